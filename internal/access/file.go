package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxTokens is how many a file may have: each request is compared with all.
const MaxTokens = 1000

// A FileError says what is wrong with a tokens file, and where. It quotes nothing
// of the file: what stands in the wrong place may be a token.
type FileError struct {
	Line   int    // from 1; 0 = the file as a whole
	Field  string // name, hash or scopes; "" = the whole line
	Detail string // what was expected
}

func (e *FileError) Error() string {
	switch {
	case e.Line == 0:
		return e.Detail
	case e.Field == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Detail)
	}
	return fmt.Sprintf("line %d, %s: %s", e.Line, e.Field, e.Detail)
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@:/+-]{0,63}$`)

// NameExpected says what CheckName takes.
const NameExpected = "1 to 64 letters, digits and . _ @ : / + - were expected, of which the first is a letter or a digit"

// CheckName reports whether a caller may have this name. One that looks like a
// token may not: names are logged.
func CheckName(name string) bool {
	return nameForm.MatchString(name) && !strings.HasPrefix(name, tokenPrefix)
}

// parse reads a tokens file: one token a line, as its caller's name, its SHA-256
// in hex and its scopes. Empty lines and those that begin with # say nothing. A
// name may stand there more than once, so that its token can be replaced by a new
// one while both are valid; a hash may not.
func parse(file []byte) ([]*Caller, error) {
	if !utf8.Valid(file) || bytes.IndexByte(file, 0) >= 0 {
		return nil, &FileError{Detail: "a text in UTF-8 was expected"}
	}
	var callers []*Caller
	lines := map[[sha256.Size]byte]int{}
	n := 0
	for line := range strings.Lines(string(file)) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		c, err := parseLine(fields)
		if err != nil {
			err.Line = n
			return nil, err
		}
		if first := lines[c.hash]; first > 0 {
			return nil, &FileError{n, "hash", fmt.Sprintf("another token than that of line %d was expected", first)}
		}
		lines[c.hash] = n
		if callers = append(callers, c); len(callers) > MaxTokens {
			return nil, &FileError{n, "", fmt.Sprintf("at most %d tokens were expected", MaxTokens)}
		}
	}
	if len(callers) == 0 {
		return nil, &FileError{Detail: "at least one token was expected: a line with a name, a SHA-256 in hex and scopes"}
	}
	return callers, nil
}

func parseLine(fields []string) (*Caller, *FileError) {
	if len(fields) != 3 {
		return nil, &FileError{0, "", fmt.Sprintf("three fields were expected, a name, a SHA-256 in hex and scopes, not %d", len(fields))}
	}
	c := &Caller{Name: fields[0]}
	if !CheckName(c.Name) {
		return nil, &FileError{0, "name", NameExpected}
	}
	hash, err := hex.DecodeString(fields[1])
	if err != nil || len(hash) != len(c.hash) {
		return nil, &FileError{0, "hash", "the SHA-256 of the token was expected, 64 hexadecimal digits"}
	}
	copy(c.hash[:], hash)
	var ok bool
	if c.scopes, ok = ParseScopes(fields[2]); !ok {
		return nil, &FileError{0, "scopes", "some of " + strings.Join(ScopeNames(), ", ") + " were expected, separated by commas, each once"}
	}
	return c, nil
}
