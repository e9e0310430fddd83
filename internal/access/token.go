package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// tokenPrefix lets people and scanners see what a token is.
const tokenPrefix = "snapshotd_"

// NewToken makes a token of 256 random bits.
func NewToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret[:])
	return tokenPrefix + strings.ToLower(text)
}

// Line is what a tokens file says of a token.
func Line(name, token string, scopes Scope) string {
	hash := sha256.Sum256([]byte(token))
	return name + "  " + hex.EncodeToString(hash[:]) + "  " + scopes.String()
}
