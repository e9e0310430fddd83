package document

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendCompact appends a value without white space between its tokens; the
// tokens keep their spelling. The value must be valid JSON.
func AppendCompact(dst, value []byte) []byte {
	return appendFormat(dst, value, compact...)
}

// AppendIndent appends a value with one token a line and two spaces a level, as
// it looks when it stands level objects deep: every line but the first is
// indented by that much. The tokens keep their spelling. The value must be
// valid JSON. A large one that would become more than five times as large, because
// it nests deep around little, is laid out compact instead.
func AppendIndent(dst, value []byte, level int) []byte {
	if len(value) > indentFreely && whiteSpace(value, level) > maxWhiteSpace*len(value) {
		return AppendCompact(dst, value)
	}
	if level < len(indentedAt) {
		return appendFormat(dst, value, indentedAt[level]...)
	}
	return appendFormat(dst, value, indentedBy(level)...)
}

const (
	indentFreely  = 64 << 10 // bytes: up to here the white space is not worth counting
	maxWhiteSpace = 4        // for each byte of a value
)

// whiteSpace answers how many bytes of white space AppendIndent adds to a value,
// about.
func whiteSpace(value []byte, level int) (n int) {
	inString := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			level++
			n += 2*level + 1
		case c == '}' || c == ']':
			level--
			n += 2*level + 1
		case c == ',':
			n += 2*level + 1
		case c == ':':
			n++
		}
	}
	return n
}

var (
	compact = []jsontext.Options{
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true),
	}
	indented = append(compact[:len(compact):len(compact)],
		jsontext.Multiline(true), jsontext.WithIndent("  "), jsontext.SpaceAfterColon(true))

	// indentedAt are the options for the levels that values are put at.
	indentedAt = [...][]jsontext.Options{indentedBy(0), indentedBy(1), indentedBy(2)}
)

func indentedBy(level int) []jsontext.Options {
	return append(indented[:len(indented):len(indented)], jsontext.WithIndentPrefix(strings.Repeat("  ", level)))
}

func appendFormat(dst, value []byte, opts ...jsontext.Options) []byte {
	out, err := jsontext.AppendFormat(dst, value, opts...)
	if err != nil {
		// Only unchecked input gets here; as it stands is the best there is.
		return append(dst, value...)
	}
	return out
}

// Equal reports whether two valid documents consist of the same tokens in the
// same order, spelled alike: 1.0 and 1 differ, and so do "é" and "\u00e9".
func Equal(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return bytes.Equal(AppendCompact(nil, a), AppendCompact(nil, b))
}

// Merge lays override over base, both valid objects, one level deep: a name of
// override replaces base's whole value in its place, and new names follow in
// override's order. The result is compact.
func Merge(base, override []byte) ([]byte, error) {
	old, err := Members(base, nil)
	if err != nil {
		return nil, err
	}
	add, err := Members(override, nil)
	if err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(add))
	for _, m := range add {
		values[string(m.Name)] = m.Value
	}
	out := append(make([]byte, 0, len(base)+len(override)), '{')
	member := func(m Member) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, m.Spelled...), ':')
		out = AppendCompact(out, m.Value)
	}
	for _, m := range old {
		if v, ok := values[string(m.Name)]; ok {
			m.Value = v
			delete(values, string(m.Name))
		}
		member(m)
	}
	for _, m := range add {
		if _, ok := values[string(m.Name)]; ok {
			member(m)
		}
	}
	return append(out, '}'), nil
}

// An Object lays out a JSON object member by member.
type Object struct {
	buf    []byte
	indent bool
	empty  bool
}

// NewObject starts an object behind dst: indented by two spaces, or compact.
func NewObject(dst []byte, indent bool) *Object {
	return &Object{buf: append(dst, '{'), indent: indent, empty: true}
}

// Raw adds a member whose value is given as JSON; its tokens keep their
// spelling.
func (o *Object) Raw(name string, value []byte) {
	o.name(name)
	o.value(value)
}

func (o *Object) value(value []byte) {
	if o.indent {
		o.buf = AppendIndent(o.buf, value, 1)
	} else {
		o.buf = AppendCompact(o.buf, value)
	}
}

// String adds a member whose value is a string.
func (o *Object) String(name, value string) {
	o.name(name)
	o.buf = AppendString(o.buf, value)
}

// Member adds a member taken from another document, its name as spelled there.
func (o *Object) Member(m Member) {
	o.spelledName(m.Spelled)
	o.value(m.Value)
}

func (o *Object) name(name string) {
	o.beforeName()
	o.buf = AppendString(o.buf, name)
	o.afterName()
}

func (o *Object) spelledName(spelled []byte) {
	o.beforeName()
	o.buf = append(o.buf, spelled...)
	o.afterName()
}

func (o *Object) beforeName() {
	if !o.empty {
		o.buf = append(o.buf, ',')
	}
	o.empty = false
	if o.indent {
		o.buf = append(o.buf, "\n  "...)
	}
}

func (o *Object) afterName() {
	o.buf = append(o.buf, ':')
	if o.indent {
		o.buf = append(o.buf, ' ')
	}
}

// End closes the object and returns the whole buffer.
func (o *Object) End() []byte {
	if o.indent && !o.empty {
		o.buf = append(o.buf, '\n')
	}
	return append(o.buf, '}')
}
