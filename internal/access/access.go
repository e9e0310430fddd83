// Package access knows who may do what: callers, their tokens and their scopes,
// and the file that lists them. It knows no HTTP.
package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A Scope is a kind of thing that a caller may do; a set of them is their sum.
type Scope uint8

// The scopes. Admin implies all others, and is what the answers of a redacting
// server are whole for.
const (
	Read Scope = 1 << iota
	Write
	Replay
	Delete
	Metrics
	Admin

	Open Scope = 0 // what everybody may do, known or not
)

// names are all scopes, in the order in which they are listed.
var names = []struct {
	scope Scope
	name  string
}{{Read, "read"}, {Write, "write"}, {Replay, "replay"}, {Delete, "delete"}, {Metrics, "metrics"}, {Admin, "admin"}}

// ScopeNames are the names of all scopes.
func ScopeNames() []string {
	var list []string
	for _, n := range names {
		list = append(list, n.name)
	}
	return list
}

// String lists the names of a set, separated by commas.
func (s Scope) String() string {
	var list []string
	for _, n := range names {
		if s&n.scope != 0 {
			list = append(list, n.name)
		}
	}
	return strings.Join(list, ",")
}

// ParseScopes reads names separated by commas: at least one, none twice.
func ParseScopes(text string) (set Scope, ok bool) {
	for name := range strings.SplitSeq(text, ",") {
		scope := Open
		for _, n := range names {
			if n.name == name {
				scope = n.scope
			}
		}
		if scope == Open || set&scope != 0 {
			return Open, false
		}
		set |= scope
	}
	return set, true
}

// A Caller is whoever sent a token. A nil Caller may do nothing.
type Caller struct {
	Name    string
	scopes  Scope
	hash    [sha256.Size]byte
	limiter *rate.Limiter // nil = as fast as it likes
}

// Everybody is the caller where there are no tokens: it has no name and may do
// everything.
var Everybody = &Caller{scopes: Admin}

// May reports whether the caller has a scope.
func (c *Caller) May(scope Scope) bool { return c != nil && c.scopes&(scope|Admin) != 0 }

// Wait answers 0 when the caller may send a request now, and counts it; else how
// long it has to wait before its next one.
func (c *Caller) Wait() time.Duration {
	if c.limiter == nil {
		return 0
	}
	r := c.limiter.Reserve()
	wait := r.Delay()
	if wait > 0 {
		r.Cancel()
	}
	return wait
}

// A Rate is how often one token may be used.
type Rate struct {
	PerSecond float64 // 0 = without a bound
	Burst     int     // at once, after a pause
}

// Tokens are those that are valid at present. They are safe for concurrent use.
type Tokens struct {
	rate    Rate
	callers atomic.Pointer[[]*Caller]
}

// NewTokens returns an empty set: until Load nobody is known.
func NewTokens(r Rate) *Tokens {
	t := &Tokens{rate: r}
	t.callers.Store(&[]*Caller{})
	return t
}

// Load replaces the set by what a tokens file says; after an error, which is a
// *FileError, it is as before. A token that stays keeps what it has used of its
// rate.
func (t *Tokens) Load(file []byte) error {
	callers, err := parse(file)
	if err != nil {
		return err
	}
	for _, c := range callers {
		if t.rate.PerSecond > 0 {
			c.limiter = rate.NewLimiter(rate.Limit(t.rate.PerSecond), t.rate.Burst)
		}
		if before := t.find(c.hash); before != nil && before.limiter != nil {
			c.limiter = before.limiter
		}
	}
	t.callers.Store(&callers)
	return nil
}

// Len is the number of tokens.
func (t *Tokens) Len() int { return len(*t.callers.Load()) }

// Authenticate finds whose token a text is; nil when it is nobody's. How long it
// takes does not depend on the text, beyond its length.
func (t *Tokens) Authenticate(token string) *Caller { return t.find(sha256.Sum256([]byte(token))) }

func (t *Tokens) find(hash [sha256.Size]byte) (found *Caller) {
	for _, c := range *t.callers.Load() {
		if subtle.ConstantTimeCompare(c.hash[:], hash[:]) == 1 {
			found = c // and goes on to the end, whoever it is
		}
	}
	return found
}
