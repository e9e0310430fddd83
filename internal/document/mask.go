package document

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// A Mask hides the values that some JSON Pointers lead to. The zero Mask hides
// nothing. It is not changed once it is in use.
type Mask struct {
	whole bool             // the value here is hidden
	below map[string]*Mask // by member or element
}

// Masked is the value that stands where another was hidden.
const Masked = `"[redacted]"`

// Add has the mask hide what a pointer leads to, too.
func (m *Mask) Add(pointer string) error {
	if !jsontext.Pointer(pointer).IsValid() {
		return ErrPointerSyntax
	}
	for token := range jsontext.Pointer(pointer).Tokens() {
		next := m.below[token]
		if next == nil {
			next = &Mask{}
			if m.below == nil {
				m.below = map[string]*Mask{}
			}
			m.below[token] = next
		}
		m = next
	}
	m.whole = true
	return nil
}

// At is the part of the mask for the value that a member or element has.
func (m *Mask) At(name string) *Mask {
	if next := m.below[name]; next != nil {
		return next
	}
	return &Mask{}
}

// Append appends a value with all that the mask hides replaced by Masked; every
// other byte stays as it is. The value must be valid JSON, else nothing of it may
// be shown and the error is a *SyntaxError. Where a name stands twice in an
// object both are hidden.
func (m *Mask) Append(dst, value []byte) ([]byte, error) {
	d := newDecoder(value, strict, lenient)
	defer d.release()
	w := maskWriter{decoder: d, src: value, dst: dst}
	if err := w.value(m); err != nil {
		return dst, syntaxError(err)
	}
	return append(w.dst, value[w.copied:]...), nil
}

// A maskWriter copies src to dst, up to copied so far.
type maskWriter struct {
	*decoder
	src, dst []byte
	copied   int64
}

// value reads the next value.
func (w *maskWriter) value(m *Mask) error {
	switch kind := w.PeekKind(); {
	case m.whole:
		return w.hide()
	case len(m.below) == 0 || kind != '{' && kind != '[':
		return w.SkipValue()
	}
	open, err := w.ReadToken()
	if err != nil {
		return err
	}
	end := jsontext.Kind('}')
	if open.Kind() == '[' {
		end = ']'
	}
	for i := 0; w.PeekKind() != end; i++ {
		name := strconv.Itoa(i)
		if end == '}' {
			token, err := w.ReadToken()
			if err != nil {
				return err
			}
			name = token.String()
		}
		next := m.below[name]
		if next == nil {
			next = &Mask{}
		}
		if err := w.value(next); err != nil {
			return err
		}
	}
	_, err = w.ReadToken()
	return err
}

// hide puts Masked in the place of the next value.
func (w *maskWriter) hide() error {
	value, err := w.ReadValue()
	if err != nil {
		return err
	}
	end := w.InputOffset()
	w.dst = append(w.dst, w.src[w.copied:end-int64(len(value))]...)
	w.dst = append(w.dst, Masked...)
	w.copied = end
	return nil
}
