package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/api"
	"snapshotd/internal/archive"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/memstore"
)

// stores are those that every scenario runs over.
var stores = []struct {
	name string
	open func(t testing.TB) store.Store
}{
	{"memory", func(testing.TB) store.Store { return memstore.New() }},
	{"directory", func(t testing.TB) store.Store { return openDirectory(t, filestore.Config{BasePath: t.TempDir()}) }},
	{"directory of gzip files", func(t testing.TB) store.Store {
		return openDirectory(t, filestore.Config{BasePath: t.TempDir(), Compress: true})
	}},
}

func openDirectory(t testing.TB, cfg filestore.Config) store.Store {
	s, err := filestore.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A world is a server with an archive behind it, a clock that stands still
// until it is moved, and ids that count.
type world struct {
	*testing.T
	server  *api.Server
	archive *archive.Archive
	store   store.Store
	url     string
	client  *http.Client
	now     time.Time
	ids     int
	log     syncBuffer
	config  api.Config
}

// overStores runs a scenario over each store.
func overStores(t *testing.T, scenario func(w *world)) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) { scenario(newWorld(t, s.open(t))) })
	}
}

func newWorld(t *testing.T, s store.Store, options ...func(*api.Config)) *world {
	w := &world{T: t, store: s, now: time.Date(2026, 11, 22, 22, 8, 59, 119505000, time.UTC)}
	w.config = api.Config{
		Logger:  slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version: api.VersionInfo{Version: "v0.0.0-test", Revision: "abc", GoVersion: "go1.26"},
		Metrics: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/plain; version=0.0.4")
			fmt.Fprintln(rw, "snapshotd_ready 1", strings.Repeat("#", 4096))
		}),
	}
	for _, option := range options {
		option(&w.config)
	}
	w.server = api.New(w.config)
	w.archive = archive.New(archive.Config{
		Store: s, Indent: true,
		Now:   func() time.Time { return w.now },
		NewID: func() uuid.UUID { w.ids++; return numbered(0xabc, w.ids) },
	})
	w.server.Serve(w.archive)
	ts := httptest.NewUnstartedServer(w.server)
	ts.Listener, ts.Config.ConnContext = api.Cork(ts.Listener), api.ConnContext
	ts.Start()
	t.Cleanup(ts.Close)
	w.url = ts.URL
	// Without a transparent gzip, so that tests see what goes over the wire.
	wire := &http.Transport{DisableCompression: true}
	w.client = &http.Client{Transport: watch(t, wire)}
	t.Cleanup(wire.CloseIdleConnections)
	return w
}

// numbered makes ids that tell themselves apart and sort by n.
func numbered(kind, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("%08x-0000-7000-8000-%012x", kind, n))
}

func snapshotID(n int) string { return numbered(0xaaa, n).String() }
func sagaID(n int) string     { return numbered(0x5a6a, n).String() }
func replayID(n int) string   { return numbered(0x4e91, n).String() }

// An answer is checked in a chain of expectations.
type answer struct {
	w      *world
	what   string
	status int
	header http.Header
	body   string
}

// do sends a request. A body that is given is sent as application/json unless
// a header says otherwise; headers are pairs of name and value.
func (w *world) do(method, path, body string, headers ...string) *answer {
	w.Helper()
	var src io.Reader
	if body != "" {
		src = strings.NewReader(body)
	}
	return w.send(method, path, src, headers...)
}

func (w *world) send(method, path string, body io.Reader, headers ...string) *answer {
	w.Helper()
	req, err := http.NewRequest(method, w.url+path, body)
	if err != nil {
		w.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	a := &answer{w: w, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: string(text)}
	a.manners(method)
	return a
}

func (w *world) get(path string, headers ...string) *answer {
	w.Helper()
	return w.do("GET", path, "", headers...)
}

// manners checks what holds for every answer.
func (a *answer) manners(method string) {
	a.w.Helper()
	if a.header.Get("X-Request-Id") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		a.w.Errorf("%s: headers are missing: %v", a.what, a.header)
	}
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		a.w.Errorf("%s: %d without a problem document: %v %s", a.what, a.status, a.header, a.body)
	}
	comesBack := a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests
	if comesBack != (a.header.Get("Retry-After") != "") {
		a.w.Errorf("%s: %d with Retry-After %q", a.what, a.status, a.header.Get("Retry-After"))
	}
	if a.body != "" && a.header.Get("Content-Encoding") == "" && strings.Contains(a.header.Get("Content-Type"), "json") &&
		!strings.HasSuffix(a.body, "\n") {
		a.w.Errorf("%s: no newline at the end of %q", a.what, a.body)
	}
	if method == http.MethodHead && a.body != "" {
		a.w.Errorf("%s: a body: %q", a.what, a.body)
	}
}

func (a *answer) is(status int) *answer {
	a.w.Helper()
	if a.status != status {
		a.w.Fatalf("%s: %d was expected, not %d: %s", a.what, status, a.status, a.body)
	}
	return a
}

func (a *answer) has(header, want string) *answer {
	a.w.Helper()
	if got := a.header.Get(header); got != want {
		a.w.Errorf("%s: %s: %q was expected, not %q", a.what, header, want, got)
	}
	return a
}

func (a *answer) says(body string) *answer {
	a.w.Helper()
	if a.body != body {
		a.w.Errorf("%s:\n%q was expected, not\n%q", a.what, body, a.body)
	}
	return a
}

// object decodes the answer, numbers as spelled.
func (a *answer) object() map[string]any {
	a.w.Helper()
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		a.w.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return v
}

// field finds a value of the answer and spells it as JSON.
func (a *answer) field(names ...string) string {
	a.w.Helper()
	var v any = a.object()
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	text, err := json.Marshal(v)
	if err != nil {
		a.w.Fatal(err)
	}
	return string(text)
}

func (a *answer) holds(want string, names ...string) *answer {
	a.w.Helper()
	if got := a.field(names...); got != want {
		a.w.Errorf("%s: %v: %s was expected, not %s", a.what, names, want, got)
	}
	return a
}

// ids lists what a page holds: the values of key in its list.
func (a *answer) ids(list, key string) []string {
	a.w.Helper()
	entries, ok := a.is(200).object()[list].([]any)
	if !ok {
		a.w.Fatalf("%s: no list %s: %s", a.what, list, a.body)
	}
	found := []string{}
	for _, entry := range entries {
		found = append(found, entry.(map[string]any)[key].(string))
	}
	return found
}

func (a *answer) lists(list, key string, want ...string) *answer {
	a.w.Helper()
	if got := a.ids(list, key); !slices.Equal(got, want) {
		a.w.Errorf("%s:\n%v was expected, not\n%v", a.what, want, got)
	}
	return a
}

func (a *answer) snapshots(numbers ...int) *answer {
	a.w.Helper()
	want := []string{}
	for _, n := range numbers {
		want = append(want, snapshotID(n))
	}
	return a.lists("snapshots", "snapshot_id", want...)
}

// problem checks a problem document; pointers are those of its errors.
func (a *answer) problem(status int, code string, pointers ...string) *answer {
	a.w.Helper()
	a.is(status)
	p := a.object()
	codesSeen.add(code)
	for key, want := range map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": json.Number(fmt.Sprint(status)),
		"code": code, "request_id": a.header.Get("X-Request-Id"),
	} {
		if p[key] != want {
			a.w.Errorf("%s: %s: %v was expected, not %v: %s", a.what, key, want, p[key], a.body)
		}
	}
	if detail, _ := p["detail"].(string); len(detail) < 10 || !strings.HasSuffix(detail, ".") {
		a.w.Errorf("%s: the detail is no sentence: %q", a.what, detail)
	}
	var got []string
	errs, _ := p["errors"].([]any)
	for _, e := range errs {
		got = append(got, e.(map[string]any)["pointer"].(string))
	}
	if !slices.Equal(got, pointers) {
		a.w.Errorf("%s: pointers %q were expected, not %q: %s", a.what, pointers, got, a.body)
	}
	return a
}

// syncBuffer is a log that a server writes while a test reads it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// codes are all there are; TestMain misses those that no test has seen.
const codes = `invalid_json invalid_field missing_field unknown_field duplicate_field id_mismatch too_deep
	invalid_id invalid_parameter unknown_parameter invalid_pointer invalid_cursor
	snapshot_not_found saga_not_found replay_not_found checkpoint_not_found pointer_not_found route_not_found
	method_not_allowed snapshot_conflict replay_conflict precondition_failed
	body_too_large unsupported_media_type unsupported_encoding snapshot_unreadable internal unsupported_by_store
	host_not_allowed cross_origin starting draining degraded outcome_unknown overloaded no_space
	unauthorized insufficient_scope rate_limited`

type codeSet struct {
	mu   sync.Mutex
	seen map[string]bool
}

var codesSeen = codeSet{seen: map[string]bool{}}

func (c *codeSet) add(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[code] = true
}

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	if whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""; whole && status == 0 {
		for code := range strings.FieldsSeq(codes) {
			if !codesSeen.seen[code] {
				fmt.Println("no test has seen the problem code", code)
				status = 1
			}
		}
		if err := seenBySuite.report(os.Stdout); err != nil {
			fmt.Println(err)
			status = 1
		}
	}
	os.Exit(status)
}
