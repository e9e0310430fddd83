package wal

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// An ID tells a log from all others: its segments carry it, so that one of another log
// among them is known. The zero ID is none.
type ID [4]byte

// NewID makes an ID.
func NewID() (id ID) {
	for id == (ID{}) {
		_, _ = rand.Read(id[:]) // it never fails
	}
	return id
}

// MarshalText spells an ID as 8 hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText has written.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("%q is no identity of a log", text)
	}
	_, err := hex.Decode(id[:], text)
	return err
}
