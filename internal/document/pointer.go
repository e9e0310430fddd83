package document

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrPointerSyntax is returned for a text that is not a JSON Pointer.
var ErrPointerSyntax = errors.New("a JSON Pointer is empty or starts with '/', and writes '~' as ~0 and '/' as ~1 (RFC 6901)")

// ErrPointerNotFound is returned when a pointer leads nowhere.
var ErrPointerNotFound = errors.New("the pointer leads to no value")

// Find returns the value a JSON Pointer (RFC 6901) leads to, as spelled. The
// document must be valid JSON.
func Find(doc []byte, pointer string) ([]byte, error) {
	if !jsontext.Pointer(pointer).IsValid() {
		return nil, ErrPointerSyntax
	}
	d := newDecoder(doc, strict, lenient)
	defer d.release()
	for tok := range jsontext.Pointer(pointer).Tokens() {
		if err := d.enter(tok); err != nil {
			return nil, err
		}
	}
	value, err := d.ReadValue()
	if err != nil {
		return nil, syntaxError(err)
	}
	return value.Clone(), nil
}

// enter moves to the member or element that one token of a pointer names.
func (d *decoder) enter(token string) error {
	open, err := d.ReadToken()
	if err != nil {
		return syntaxError(err)
	}
	switch open.Kind() {
	case '{':
		for d.PeekKind() == '"' {
			name, err := d.ReadToken()
			if err != nil {
				return syntaxError(err)
			}
			if name.String() == token {
				return nil
			}
			if err := d.SkipValue(); err != nil {
				return syntaxError(err)
			}
		}
	case '[':
		i, err := strconv.ParseUint(token, 10, 32)
		if err != nil || (token[0] == '0' && len(token) > 1) || strings.HasPrefix(token, "+") {
			return ErrPointerNotFound
		}
		for ; d.PeekKind() != ']'; i-- {
			if i == 0 {
				return nil
			}
			if err := d.SkipValue(); err != nil {
				return syntaxError(err)
			}
		}
	}
	return ErrPointerNotFound
}
