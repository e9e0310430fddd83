// Package document handles JSON documents as bytes and tokens: it checks them,
// takes them apart, lays them out again, merges and compares them, and never
// decodes a value into Go types of its own choosing. What a caller does not
// ask about keeps its spelling, to the last digit and escape.
//
// The grammar is RFC 8259 with three restrictions: names are unique within
// their object (compared after decoding escapes), the text is valid UTF-8, and
// values nest at most [MaxDepth] deep. A lone surrogate escape such as "\ud800"
// is allowed inside a string, because other writers produce them.
package document

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep a document may nest; its outermost object is level 1.
const MaxDepth = 100

// Kind tells what is wrong with a document.
type Kind int

// Kinds of what can be wrong.
const (
	Malformed     Kind = iota // not JSON, not one object, not UTF-8, or followed by something
	DuplicateName             // a name stands twice in one object
	TooDeep                   // nested beyond MaxDepth
)

// SyntaxError says what is wrong with a document and where. It never quotes
// values, only names (in Pointer).
type SyntaxError struct {
	Kind    Kind
	Pointer string // RFC 6901, "" for the whole document
	Offset  int64  // in bytes
	Detail  string // a clause, without a full stop
}

func (e *SyntaxError) Error() string { return e.Detail }

// A Member is one name and value of an object. All of it may alias the document.
type Member struct {
	Name    []byte // decoded
	Spelled []byte // the name as spelled, with its quotes
	Value   []byte // as spelled, without surrounding white space
	End     int    // offset in the document of the first byte behind the value
}

// decoder is a pooled tokenizer over a byte slice.
type decoder struct {
	*jsontext.Decoder
	src bytes.Buffer
}

// Stored documents and merged ones have been checked when they came in, so
// duplicate names are looked for by Members alone. AllowInvalidUTF8 is what
// lets lone surrogates through; raw bytes are checked by utf8.Valid.
var (
	strict  = jsontext.AllowInvalidUTF8(true)
	lenient = jsontext.AllowDuplicateNames(true)
)

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.Decoder = jsontext.NewDecoder(&d.src)
	return d
}}

func newDecoder(doc []byte, opts ...jsontext.Options) *decoder {
	d := decoders.Get().(*decoder)
	d.src = *bytes.NewBuffer(doc)
	d.Reset(&d.src, opts...)
	return d
}

func (d *decoder) release() {
	d.src = bytes.Buffer{}
	d.Reset(&d.src)
	decoders.Put(d)
}

// Members checks a whole document, which must be one object, and appends its
// members to dst in the order in which they stand. Errors are *SyntaxError.
func Members(doc []byte, dst []Member) ([]Member, error) {
	if !utf8.Valid(doc) {
		return nil, &SyntaxError{Detail: "the text is not valid UTF-8", Offset: invalidUTF8At(doc)}
	}
	d := newDecoder(doc, strict)
	defer d.release()

	tok, err := d.ReadToken()
	if err != nil {
		return nil, syntaxError(err)
	}
	if tok.Kind() != '{' {
		return nil, &SyntaxError{Detail: "a JSON object was expected, not " + KindName(doc)}
	}
	for {
		before := d.InputOffset()
		tok, err := d.ReadToken()
		if err != nil {
			return nil, syntaxError(err)
		}
		if tok.Kind() == '}' {
			break
		}
		m := Member{Spelled: trimLeft(doc[before:d.InputOffset()], ',')}
		m.Name = unquote(m.Spelled)
		before = d.InputOffset()
		if err := d.skipChecked(); err != nil {
			return nil, err
		}
		m.End = int(d.InputOffset())
		m.Value = trimLeft(doc[before:m.End], ':')
		dst = append(dst, m)
	}
	if _, err := d.ReadToken(); err == nil {
		return nil, &SyntaxError{Detail: "the document is followed by more text", Offset: d.InputOffset()}
	} else if !errors.Is(err, io.EOF) {
		e := syntaxError(err)
		e.Detail = "the document is followed by more text"
		return nil, e
	}
	return dst, nil
}

// skipChecked reads one value token by token, so that depth is checked before
// it costs anything.
func (d *decoder) skipChecked() error {
	base := d.StackDepth()
	for {
		if _, err := d.ReadToken(); err != nil {
			return syntaxError(err)
		}
		switch depth := d.StackDepth(); {
		case depth > MaxDepth:
			return &SyntaxError{
				Kind:    TooDeep,
				Pointer: string(d.StackPointer()),
				Offset:  d.InputOffset(),
				Detail:  "values nest more than 100 deep",
			}
		case depth == base:
			return nil
		}
	}
}

// unquote decodes a name, without a copy where it has no escapes.
func unquote(spelled []byte) []byte {
	if bytes.IndexByte(spelled, '\\') < 0 {
		return spelled[1 : len(spelled)-1]
	}
	name, _ := jsontext.AppendUnquote(nil, spelled)
	return name
}

// trimLeft cuts white space and the separator before a token.
func trimLeft(b []byte, separator byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n' || b[0] == separator) {
		b = b[1:]
	}
	return b
}

func invalidUTF8At(doc []byte) int64 {
	for i := 0; i < len(doc); {
		r, n := utf8.DecodeRune(doc[i:])
		if r == utf8.RuneError && n == 1 {
			return int64(i)
		}
		i += n
	}
	return int64(len(doc))
}

// syntaxError translates an error of the tokenizer. Its own texts can quote
// the document, so only those known not to are passed on.
func syntaxError(err error) *SyntaxError {
	out := &SyntaxError{Detail: "the document is not valid JSON"}
	var se *jsontext.SyntacticError
	if errors.As(err, &se) {
		out.Pointer, out.Offset = string(se.JSONPointer), se.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		out.Kind, out.Detail = DuplicateName, "the name stands twice in its object"
	case errors.Is(err, jsontext.ErrNonStringName):
		out.Detail = "an object's names must be strings"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		out.Detail = "the document ends too early"
	}
	return out
}

// KindName says in words what a value is, for error texts: "a string", "null".
func KindName(value []byte) string {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// IsNull reports whether the value is the literal null.
func IsNull(value []byte) bool { return string(value) == "null" }
