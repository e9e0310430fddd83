package document

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrWrongType is returned when a value is not of the type asked for.
var ErrWrongType = errors.New("wrong type")

// String decodes a JSON string. ok is false when the value is none. A lone
// surrogate becomes U+FFFD.
func String(value []byte) (s string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	b, _ := jsontext.AppendUnquote(nil, value)
	return string(b), true
}

// WellFormed reports whether a JSON string decodes without loss, that is,
// whether it has no lone surrogate escape.
func WellFormed(value []byte) bool {
	_, err := jsontext.AppendUnquote(nil, value)
	return err == nil
}

// AppendString appends s as a JSON string with the fewest escapes.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// Strings decodes an array of strings. The pointer it returns with
// ErrWrongType names the first element that is none, "" the array itself.
func Strings(value []byte) (list []string, pointer string, err error) {
	if len(value) == 0 || value[0] != '[' {
		return nil, "", ErrWrongType
	}
	d := newDecoder(value, strict, lenient)
	defer d.release()
	if _, err := d.ReadToken(); err != nil {
		return nil, "", syntaxError(err)
	}
	list = []string{}
	for d.PeekKind() != ']' {
		tok, err := d.ReadToken()
		if err != nil {
			return nil, "", syntaxError(err)
		}
		if tok.Kind() != '"' {
			return nil, "/" + strconv.Itoa(len(list)), ErrWrongType
		}
		list = append(list, tok.String())
	}
	return list, "", nil
}

// StringMap decodes an object whose values are strings. The pointer it returns
// with ErrWrongType names the first value that is none, "" the object itself.
func StringMap(value []byte) (m map[string]string, pointer string, err error) {
	if len(value) == 0 || value[0] != '{' {
		return nil, "", ErrWrongType
	}
	members, err := Members(value, nil)
	if err != nil {
		return nil, "", err
	}
	m = make(map[string]string, len(members))
	for _, member := range members {
		s, ok := String(member.Value)
		if !ok {
			return nil, string(jsontext.Pointer("").AppendToken(string(member.Name))), ErrWrongType
		}
		m[string(member.Name)] = s
	}
	return m, "", nil
}
