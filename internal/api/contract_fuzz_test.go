package api_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"snapshotd/internal/access"
	"snapshotd/internal/api"
	"snapshotd/internal/archive"
	"snapshotd/internal/store/memstore"
)

// Requests that the document's schemas describe, at their bounds and beyond: none
// is answered with a 5xx, every answer fits, a request that fits is not called
// malformed, and one that is refused changes nothing. Each is sent by a caller with
// some scope, by one who is not known, or to a server that asks for no token; who
// lacks the scope is refused, whatever the request.
func TestRequestsOutOfTheContract(t *testing.T) { rapid.Check(t, holdToContract) }

func FuzzContract(f *testing.F) { f.Fuzz(rapid.MakeFuzz(holdToContract)) }

func holdToContract(t *rapid.T) {
	p := newProber(rapid.Bool().Draw(t, "tokens"))
	operations := map[string]*operation{}
	for _, op := range theContract().operations() {
		operations[op.id] = op
	}
	p.try(t, &drawn{op: operations["saveSnapshot"], path: map[string]string{"snapshot_id": snapshotID(1)}, header: jsonHeader(), body: whole("context", odd)}, false)
	p.try(t, &drawn{op: operations["prepareReplay"], path: map[string]string{"saga_id": sagaID(1)}, header: jsonHeader(),
		body: `{"checkpoint_step": "pay", "replay_id": "` + replayID(1) + `"}`}, false)
	for range rapid.IntRange(1, 20).Draw(t, "requests") {
		p.as(t)
		r := drawRequest(t, operations[rapid.SampledFrom(sortedKeys(operations)).Draw(t, "operation")])
		mutated := rapid.IntRange(0, 2).Draw(t, "mutated") == 0
		if mutated {
			r.mutate(t)
		}
		p.try(t, r, mutated)
		if rapid.IntRange(0, 4).Draw(t, "again") == 0 {
			p.try(t, r, mutated)
		}
	}
}

// A prober sends requests to a server of its own.
type prober struct {
	server *api.Server
	client *http.Client
	found  []error
	state  string
	keys   *keys  // nil = no tokens are asked for
	scope  string // of the caller; "" = it is not known
}

// fuzzKeys are made once: what is drawn is whose token is sent.
var fuzzKeys = sync.OnceValue(func() *keys {
	k := &keys{tokens: access.NewTokens(access.Rate{}), of: map[string]string{}}
	for _, name := range access.ScopeNames() {
		scope, _ := access.ParseScopes(name)
		k.of[name] = access.NewToken()
		k.file += access.Line(name, k.of[name], scope) + "\n"
	}
	if err := k.tokens.Load([]byte(k.file)); err != nil {
		panic(err)
	}
	return k
})

// as chooses who sends what follows.
func (p *prober) as(t *rapid.T) {
	if p.keys != nil {
		p.scope = rapid.SampledFrom(append(sortedKeys(p.keys.of), "admin", "admin", "")).Draw(t, "scope")
	}
}

// token is the one that the caller sends, "" = none.
func (p *prober) token() string {
	if p.keys == nil {
		return ""
	}
	return p.keys.of[p.scope]
}

// may reports whether the caller has what an operation needs.
func (p *prober) may(op *operation) bool {
	return p.keys == nil || op.scope() == "" || op.scope() == p.scope || p.scope == "admin"
}

func newProber(asks bool) *prober {
	ids := 0
	p := &prober{}
	var tokens *access.Tokens
	var redact []string
	if asks {
		p.keys, p.scope = fuzzKeys(), "admin"
		tokens, redact = p.keys.tokens, []string{"/context/a", "/context/x/0", "/external_refs/a"}
	}
	p.server = api.New(api.Config{
		Tokens: tokens, Redact: redact,
		MaxBodySize: 256 << 10,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			fmt.Fprintln(w, "snapshotd_ready 1")
		}),
	})
	p.server.Serve(archive.New(archive.Config{
		Store: memstore.New(), Indent: true,
		Now:   func() time.Time { return time.Date(2026, 11, 22, 22, 8, 59, 119505000, time.UTC) },
		NewID: func() uuid.UUID { ids++; return numbered(0xabc, ids) },
	}))
	p.client = &http.Client{Transport: &watched{
		next: direct{p.server}, coverage: &seenBySuite, report: func(_ *exchange, err error) { p.found = append(p.found, err) },
	}}
	p.state = p.look()
	return p
}

// look answers all that the store holds.
func (p *prober) look() string {
	var b strings.Builder
	paths := []string{"/v1/stats", "/v1/snapshots?view=full&limit=1000"}
	for _, id := range fewSagas {
		paths = append(paths, "/v1/sagas/"+id+"/replays?limit=1000")
	}
	for _, path := range paths {
		req, err := http.NewRequest(http.MethodGet, "http://x"+path, nil)
		if err != nil {
			panic(err)
		}
		if p.keys != nil {
			req.Header.Set("Authorization", "Bearer "+p.keys.of["admin"])
		}
		rec := httptest.NewRecorder()
		p.server.ServeHTTP(rec, req)
		b.Write(rec.Body.Bytes())
	}
	return b.String()
}

func (p *prober) try(t *rapid.T, r *drawn, mutated bool) {
	req, err := http.NewRequest(r.op.method, "http://x"+r.uri(), strings.NewReader(r.body))
	if err != nil {
		return // not even a request
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if token := p.token(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	now := p.look()
	// Who may not name somebody else may try to.
	claims := p.scope == "replay" && slices.ContainsFunc(r.members, func(m member) bool { return m.name == "initiated_by" })
	// A mutated path may be none of the routes, which is told to everybody.
	elsewhere := mutated && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed)
	// The one refusal that is recorded.
	recorded := strings.Contains(string(text), `"available_steps":`)
	switch status := resp.StatusCode; {
	case len(p.found) > 0:
		t.Fatalf("%s: %v", r, p.found)
	case status >= 500:
		t.Fatalf("%s: %d %s", r, status, text)
	case !p.may(r.op) && !elsewhere && (p.scope == "" && status != 401 || p.scope != "" && status != 403):
		t.Fatalf("%s: with the scope %q answered %d %s", r, p.scope, status, text)
	case p.may(r.op) && (status == 401 || status == 403 && !claims):
		t.Fatalf("%s: with the scope %q answered %d %s", r, p.scope, status, text)
	case status >= 400 && now != p.state && !recorded:
		t.Fatalf("%s: refused with %d, but it has changed\n%s\nto\n%s", r, status, p.state, now)
	case !mutated && (status == 400 || status == 413 || status == 415):
		t.Fatalf("%s: fits the document, and was answered %d %s", r, status, text)
	}
	p.state = now
}

// A drawn request is one that can still be mutated.
type drawn struct {
	op      *operation
	path    map[string]string
	query   []member // values are texts; one that is bare stands without =
	header  map[string]string
	members []member
	body    string
}

func jsonHeader() map[string]string { return map[string]string{"Content-Type": "application/json"} }

const bare = "\x00 bare" // a value that is not even empty

func (r *drawn) uri() string {
	path := r.op.path
	for name, value := range r.path {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	var query []string
	for _, m := range r.query {
		if m.value == bare {
			query = append(query, url.QueryEscape(m.name))
		} else {
			query = append(query, url.QueryEscape(m.name)+"="+url.QueryEscape(m.value))
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return path
}

func (r *drawn) String() string {
	return fmt.Sprintf("%s %s %v\n%.2000q\n", r.op.method, r.uri(), r.header, r.body)
}

func drawRequest(t *rapid.T, op *operation) *drawn {
	r := &drawn{op: op, path: map[string]string{}, header: map[string]string{}}
	for _, p := range op.parameters() {
		schema := resolve(p.Ref)["schema"].(node)
		name := p.Value.Name
		if p.Value.In != "path" && rapid.IntRange(0, 2).Draw(t, "with "+name) > 0 {
			continue
		}
		switch {
		case p.Value.In == "path":
			r.path[name] = drawText(t, schema)
			if rapid.IntRange(0, 4).Draw(t, "known") > 0 {
				r.path[name] = strings.Trim(familiar(t, name, r.path[name]), `"`)
			}
		case name == "cursor" || name == "Content-Encoding": // which go with another request, and with the body
		case p.Value.In == "query" && p.Value.AllowEmptyValue && rapid.Bool().Draw(t, "bare"):
			r.query = append(r.query, member{name, bare})
		case p.Value.In == "query":
			r.query = append(r.query, member{name, drawText(t, schema)})
		default:
			r.header[name] = drawHeader(t, name)
		}
	}
	if body := op.spec.RequestBody; body != nil {
		schema := resolve(body.Ref)["content"].(node)["application/json"].(node)["schema"].(node)
		r.members = r.agreed(drawMembers(t, resolve(schema["$ref"].(string))))
		r.body = object(r.members)
		r.header["Content-Type"] = "application/json"
		if coding := rapid.SampledFrom([]string{"", "", "gzip", "zstd"}).Draw(t, "coding"); coding != "" {
			r.header["Content-Encoding"] = coding
		}
	}
	return r.packed()
}

// packed applies the content coding that the header names.
func (r *drawn) packed() *drawn {
	if coding := r.header["Content-Encoding"]; coding == "gzip" || coding == "zstd" {
		var err error
		if r.body, err = packed(coding, r.body); err != nil {
			panic(err)
		}
	}
	return r
}

func drawHeader(t *rapid.T, name string) string {
	switch name {
	case "If-None-Match":
		return "*"
	case "Accept-Encoding":
		return rapid.SampledFrom([]string{"gzip", "zstd", "gzip, zstd;q=0.5", "br", "*", "identity"}).Draw(t, name)
	default:
		return rapid.StringMatching(`[!-~]{1,130}|[a-z]+ [a-z]+`).Draw(t, name)
	}
}

// agreed leaves out what the prose of the document rules out: another id than in
// the path, and an end of a replay that has none.
func (r *drawn) agreed(members []member) []member {
	status := ""
	for _, m := range members {
		if m.name == "replay_status" {
			status = strings.Trim(m.value, `"`)
		}
	}
	return slices.DeleteFunc(members, func(m member) bool {
		_, inPath := r.path[m.name]
		switch m.name {
		case "error_message":
			return m.value != "null" && status != "failed" && status != "cancelled"
		case "completed_at":
			return m.value != "null" && (status == "pending" || status == "running")
		}
		return inPath
	})
}

// wrongValues are such that hardly any field takes them.
var wrongValues = []string{
	"null", "true", "-1", "2147483648", "1e2", "1.0", "007", "-0", `""`, `"x"`, `"\u0000"`, `"\ud800"`, `"\u0085"`, "[]", "{}", "[1]",
	`"` + strings.Repeat("x", 256) + `"`, `"` + strings.Repeat("a", 51) + `"`, `"2026-02-30T00:00:00Z"`, `"2026-11-22T22:08:59"`,
	`"0000-01-01T00:00:00Z"`, `"0001-01-01T00:00:00+00:01"`, `"2026-11-22T22:08:60Z"`, `{"a":1,"a":1}`, `{"a":{"b":1,"\u0062":1}}`, "NaN", "'x'",
	`{"a":"` + strings.Repeat("x", 4097) + `"}`, `["` + strings.Repeat(`x","`, 10_000) + `"]`, `"urn:uuid:` + snapshotID(1) + `"`,
	strings.Repeat("[", 101) + strings.Repeat("]", 101), strings.Repeat("[", 10_000), `"` + strings.Repeat("x", 300<<10) + `"`, "\"\xff\"",
}

var wrongTexts = []string{
	"", "x", "0", "-1", "1e2", "99999999999999999999", "null", "true", "TRUE", "../..", "\x00", "\xff", "%", "é", " ", "2026-13-01T00:00:00Z",
	"10000-01-01T00:00:00Z", "context", "/~2", "/context", "desc,asc", strings.Repeat("x", 300), snapshotID(1) + " ", "eyJ2IjoxfQ",
}

// mutate makes a request that may no longer fit, in one way.
func (r *drawn) mutate(t *rapid.T) {
	wrong := func() string { return rapid.SampledFrom(wrongTexts).Draw(t, "wrong text") }
	mutations := map[string]func(){
		"a parameter": func() { r.query = append(r.query, member{wrong(), wrong()}) },
		"one that is misused": func() {
			of := rapid.SampledFrom(sortedKeys(resolve("#/components/parameters"))).Draw(t, "parameter")
			r.query = append(r.query, member{resolve("#/components/parameters/" + of)["name"].(string), wrong()})
		},
		"a header": func() {
			name := rapid.SampledFrom([]string{"Content-Type", "Content-Encoding", "If-None-Match", "Accept-Encoding"}).Draw(t, "header")
			r.header[name] = rapid.SampledFrom([]string{"", "x", "*", "text/plain", "br", "gzip", "zstd", `"x"`, "gzip;q=x", "application/json; charset=x"}).Draw(t, "value")
		},
		"the whole body": func() { r.body = rapid.SampledFrom(wrongValues).Draw(t, "wrong body") },
	}
	for name := range r.path {
		mutations["the path's "+name] = func() { r.path[name] = wrong() }
	}
	if len(r.query) > 0 {
		mutations["a value"] = func() { r.query[0].value = wrong() }
		mutations["a value twice"] = func() { r.query = append(r.query, r.query[0]) }
	}
	if len(r.body) > 0 {
		at := rapid.IntRange(0, len(r.body)-1).Draw(t, "at")
		mutations["an end too early"] = func() { r.body = r.body[:at] }
		mutations["another byte"] = func() { r.body = r.body[:at] + string(rapid.Byte().Draw(t, "byte")) + r.body[at+1:] }
	}
	if len(r.members) > 0 {
		i := rapid.IntRange(0, len(r.members)-1).Draw(t, "member")
		members := func(change func([]member) []member) func() {
			return func() { r.body = object(change(slices.Clone(r.members))); r.packed() }
		}
		mutations["a field less"] = members(func(list []member) []member { return slices.Delete(list, i, i+1) })
		mutations["a field twice"] = members(func(list []member) []member { return append(list, list[i]) })
		mutations["a field more"] = members(func(list []member) []member { return append(list, member{wrong(), "1"}) })
		mutations["a field that is wrong"] = members(func(list []member) []member {
			list[i].value = rapid.SampledFrom(wrongValues).Draw(t, "wrong value")
			return list
		})
	}
	mutations[rapid.SampledFrom(sortedKeys(mutations)).Draw(t, "mutation")]()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
