package saga

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"snapshotd/internal/document"
)

// Bounds of a record's fields.
const (
	maxName     = 255 // code points
	maxSteps    = 10_000
	maxRefs     = 1_000
	maxRefValue = 4_096 // code points
	maxStatus   = 50
)

// ParseID reads a UUID in the form of 36 characters, in either case; google's
// parser takes braces, URNs and bare hexadecimal too.
func ParseID(s string) (uuid.UUID, error) {
	if len(s) == 36 {
		if id, err := uuid.Parse(s); err == nil {
			return id, nil
		}
	}
	return uuid.UUID{}, errors.New("a UUID such as 018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a was expected")
}

// A reader takes values out of a document a client sent and gathers what is
// wrong with them.
type reader struct {
	errs InvalidError
}

func (r *reader) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return r.errs
}

func pointer(name []byte) string {
	return string(jsontext.Pointer("").AppendToken(string(name)))
}

func (r *reader) fail(at, format string, args ...any) {
	r.errs = append(r.errs, FieldError{Code: InvalidField, Pointer: at, Detail: fmt.Sprintf(format, args...)})
}

func (r *reader) unknown(m document.Member) {
	r.errs = append(r.errs, FieldError{Code: UnknownField, Pointer: pointer(m.Name), Detail: "no field has this name"})
}

func (r *reader) require(members []document.Member, names ...string) {
	for _, name := range names {
		if !slices.ContainsFunc(members, func(m document.Member) bool { return string(m.Name) == name }) {
			r.errs = append(r.errs, FieldError{Code: MissingField, Pointer: "/" + name, Detail: "the field is required"})
		}
	}
}

func (r *reader) string(m document.Member) (string, bool) {
	s, ok := document.String(m.Value)
	if !ok {
		r.fail(pointer(m.Name), "a string was expected, not %s", document.KindName(m.Value))
	}
	return s, ok
}

// name reads a saga or step name, or the name of who started a replay.
func (r *reader) name(m document.Member) string {
	s, ok := r.string(m)
	if !ok {
		return ""
	}
	if n := utf8.RuneCountInString(s); n == 0 || n > maxName {
		r.fail(pointer(m.Name), "1 to %d characters were expected, not %d", maxName, n)
	} else if strings.ContainsFunc(s, isControl) {
		r.fail(pointer(m.Name), "a text without control characters was expected")
	} else if !document.WellFormed(m.Value) {
		r.fail(pointer(m.Name), "a text without lone surrogates was expected")
	}
	return s
}

// isControl is true for C0, DEL and C1.
func isControl(c rune) bool { return c < 0x20 || 0x7f <= c && c <= 0x9f }

func (r *reader) id(m document.Member) uuid.UUID {
	s, ok := r.string(m)
	if !ok {
		return uuid.UUID{}
	}
	id, err := ParseID(s)
	if err != nil {
		r.fail(pointer(m.Name), "%v", err)
	}
	return id
}

func (r *reader) index(m document.Member) int32 {
	for _, c := range m.Value {
		if !isDigit(c) {
			r.fail(pointer(m.Name), "a whole number from 0 to 2147483647 in plain digits was expected")
			return 0
		}
	}
	n, err := strconv.ParseInt(string(m.Value), 10, 32)
	if err != nil {
		r.fail(pointer(m.Name), "a whole number from 0 to 2147483647 was expected")
	}
	return int32(n)
}

func (r *reader) status(m document.Member) string {
	s, ok := r.string(m)
	if ok && !IsStatus(s) {
		r.fail(pointer(m.Name), "a status is a lower-case letter followed by at most 49 lower-case letters, digits or underscores, such as executing")
	}
	return s
}

// IsStatus reports whether s has the form of a status.
func IsStatus(s string) bool {
	if s == "" || len(s) > maxStatus || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && !isDigit(c) && c != '_' {
			return false
		}
	}
	return true
}

func (r *reader) object(m document.Member) []byte {
	if m.Value[0] != '{' {
		r.fail(pointer(m.Name), "an object was expected, not %s", document.KindName(m.Value))
	}
	return m.Value
}

func (r *reader) strings(m document.Member) []byte {
	list, at, err := document.Strings(m.Value)
	switch {
	case err != nil && at == "":
		r.fail(pointer(m.Name), "an array of strings was expected, not %s", document.KindName(m.Value))
	case err != nil:
		r.fail(pointer(m.Name)+at, "a string was expected")
	case len(list) > maxSteps:
		r.fail(pointer(m.Name), "at most %d steps were expected, not %d", maxSteps, len(list))
	}
	return m.Value
}

func (r *reader) refs(m document.Member) []byte {
	at := pointer(m.Name)
	if m.Value[0] != '{' {
		r.fail(at, "an object of strings was expected, not %s", document.KindName(m.Value))
		return m.Value
	}
	refs, err := document.Members(m.Value, nil)
	if err != nil {
		r.fail(at, "%v", err)
	}
	if len(refs) > maxRefs {
		r.fail(at, "at most %d references were expected, not %d", maxRefs, len(refs))
		return m.Value
	}
	for _, ref := range refs {
		value, ok := document.String(ref.Value)
		if !ok {
			r.fail(at+pointer(ref.Name), "a string was expected, not %s", document.KindName(ref.Value))
		} else if n := utf8.RuneCountInString(value); n > maxRefValue {
			r.fail(at+pointer(ref.Name), "at most %d characters were expected, not %d", maxRefValue, n)
		}
	}
	return m.Value
}

func (r *reader) time(m document.Member) Time {
	s, ok := r.string(m)
	if !ok {
		return 0
	}
	t, err := ParseTime(s)
	if err != nil {
		r.fail(pointer(m.Name), "%v", err)
	}
	return t
}

func (r *reader) timeOrNull(m document.Member) Time {
	if document.IsNull(m.Value) {
		return Never
	}
	return r.time(m)
}

func (r *reader) bool(m document.Member) bool {
	if m.Value[0] != 't' && m.Value[0] != 'f' {
		r.fail(pointer(m.Name), "true or false was expected, not %s", document.KindName(m.Value))
	}
	return m.Value[0] == 't'
}

// invalidDocument turns the scanner's verdict into that of a record.
func invalidDocument(err error) error {
	var se *document.SyntaxError
	if !errors.As(err, &se) {
		return err
	}
	code := InvalidJSON
	detail := fmt.Sprintf("%s, at byte %d", se.Detail, se.Offset)
	switch se.Kind {
	case document.DuplicateName:
		code, detail = DuplicateField, se.Detail
	case document.TooDeep:
		code, detail = TooDeep, se.Detail
	}
	return InvalidError{{Code: code, Pointer: se.Pointer, Detail: detail}}
}
