package access_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"snapshotd/internal/access"
)

func load(t *testing.T, r access.Rate, lines ...string) *access.Tokens {
	t.Helper()
	tokens := access.NewTokens(r)
	if err := tokens.Load([]byte(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestCallersAndScopes(t *testing.T) {
	reader, ops := access.NewToken(), access.NewToken()
	tokens := load(t, access.Rate{},
		"# who may do what", "", "  \t", "reader\t"+strings.ToUpper(access.Line("", reader, access.Read)[2:66])+"  read",
		access.Line("ops@example.org", ops, access.Admin), "")
	if tokens.Len() != 2 {
		t.Error(tokens.Len())
	}
	if c := tokens.Authenticate(reader); c == nil || c.Name != "reader" || !c.May(access.Read) || c.May(access.Write) || c.May(access.Admin) {
		t.Errorf("%+v", c)
	}
	c := tokens.Authenticate(ops)
	if c == nil || c.Name != "ops@example.org" {
		t.Fatalf("%+v", c)
	}
	for _, name := range access.ScopeNames() {
		scope, ok := access.ParseScopes(name)
		if !ok || scope.String() != name || !c.May(scope) || !access.Everybody.May(scope) {
			t.Errorf("%s: %v", name, ok)
		}
		if nobody := (*access.Caller)(nil); nobody.May(scope) {
			t.Error("nobody may", name)
		}
	}
	for _, wrong := range []string{"", "x", reader[:len(reader)-1], reader + " ", strings.ToUpper(reader), access.NewToken()} {
		if c := tokens.Authenticate(wrong); c != nil {
			t.Errorf("%q is %s", wrong, c.Name)
		}
	}
	if c := access.NewTokens(access.Rate{}).Authenticate(reader); c != nil {
		t.Error("before there are tokens somebody is known")
	}
}

func TestNewTokens(t *testing.T) {
	form := regexp.MustCompile(`^snapshotd_[a-z2-7]{52}$`)
	seen := map[string]bool{}
	for range 100 {
		token := access.NewToken()
		if !form.MatchString(token) || seen[token] {
			t.Error(token)
		}
		seen[token] = true
	}
}

// A broken file is refused as a whole, by line and field, and nothing of it is
// quoted; the tokens that were valid stay so.
func TestBrokenFiles(t *testing.T) {
	token := access.NewToken()
	good := access.Line("good", token, access.Read)
	hash := good[6:70]
	many := make([]string, access.MaxTokens+1)
	for i := range many {
		many[i] = access.Line("n", fmt.Sprint(i), access.Read)
	}
	tokens := load(t, access.Rate{}, good)
	for name, c := range map[string]struct {
		file string
		line int
		want string
	}{
		"empty":              {"", 0, "at least one token"},
		"comments alone":     {"# none\n\n", 0, "at least one token"},
		"two fields":         {good + "\nx " + hash, 2, "line 2: three fields were expected, a name, a SHA-256 in hex and scopes, not 2"},
		"a space in a list":  {"x " + hash + " read, write", 1, "not 4"},
		"a name":             {"-x " + hash + " read", 1, "line 1, name: 1 to 64 letters"},
		"a long name":        {strings.Repeat("x", 65) + " " + hash + " read", 1, "name: "},
		"a token for a name": {token + " " + hash + " read", 1, "name: "},
		"a token for a hash": {"\n\nx " + token + " read", 3, "line 3, hash: the SHA-256 of the token"},
		"a short hash":       {"x " + hash[2:] + " read", 1, "hash: "},
		"a scope":            {"# x\nx " + hash + " read,wirte", 2, "line 2, scopes: some of read, write, replay, delete, metrics, admin were expected"},
		"a scope twice":      {"x " + hash + " read,read", 1, "scopes: "},
		"no scope":           {"x " + hash + " ,", 1, "scopes: "},
		"a hash twice":       {good + "\n" + good, 2, "another token than that of line 1"},
		"not a text":         {good + "\n\xff", 0, "UTF-8"},
		"zeros":              {good + "\n\x00\x00", 0, "UTF-8"},
		"too many":           {strings.Join(many, "\n"), access.MaxTokens + 1, "at most 1000"},
	} {
		var broken *access.FileError
		err := tokens.Load([]byte(c.file))
		if !errors.As(err, &broken) || broken.Line != c.line || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), hash) || strings.Contains(err.Error(), "wirte") {
			t.Errorf("%s: it quotes the file: %v", name, err)
		}
		if c := tokens.Authenticate(token); c == nil || c.Name != "good" {
			t.Errorf("%s: what was valid no longer is", name)
		}
	}
	if err := tokens.Load([]byte(strings.Join(many[1:], "\r\n"))); err != nil {
		t.Error(err)
	}
	if c := tokens.Authenticate(token); c != nil {
		t.Error("a token that was taken out is still valid")
	}
}

// A name has two tokens while one replaces the other.
func TestReplacingAToken(t *testing.T) {
	before, after := access.NewToken(), access.NewToken()
	tokens := load(t, access.Rate{}, access.Line("x", before, access.Read), access.Line("x", after, access.Read|access.Write))
	if a, b := tokens.Authenticate(before), tokens.Authenticate(after); a == nil || b == nil || a.Name != b.Name || a.May(access.Write) || !b.May(access.Write) {
		t.Error(a, b)
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := access.NewToken(), access.NewToken()
		file := access.Line("x", x, access.Read) + "\n" + access.Line("y", y, access.Read)
		tokens := load(t, access.Rate{PerSecond: 2, Burst: 3}, file)
		for range 3 {
			if wait := tokens.Authenticate(x).Wait(); wait != 0 {
				t.Error(wait)
			}
		}
		for range 3 { // asking costs nothing
			if wait := tokens.Authenticate(x).Wait(); wait != 500*time.Millisecond {
				t.Error(wait)
			}
		}
		if err := tokens.Load([]byte(file)); err != nil || tokens.Authenticate(x).Wait() == 0 {
			t.Error("a reload forgets what has been used", err)
		}
		if wait := tokens.Authenticate(y).Wait(); wait != 0 {
			t.Error("one waits for another:", wait)
		}
		time.Sleep(500 * time.Millisecond)
		if wait := tokens.Authenticate(x).Wait(); wait != 0 {
			t.Error(wait)
		}
	})
	token := access.NewToken()
	tokens := load(t, access.Rate{}, access.Line("x", token, access.Read))
	for range 1000 {
		if wait := tokens.Authenticate(token).Wait(); wait != 0 {
			t.Fatal(wait)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	for _, n := range []int{10, access.MaxTokens} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var lines []string
			for range n {
				lines = append(lines, access.Line("x", access.NewToken(), access.Read))
			}
			token := access.NewToken()
			tokens := access.NewTokens(access.Rate{})
			if err := tokens.Load([]byte(strings.Join(append(lines[1:], access.Line("x", token, access.Read)), "\n"))); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if tokens.Authenticate(token) == nil {
					b.Fatal("nobody")
				}
			}
		})
	}
}
