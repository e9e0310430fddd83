package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"snapshotd/internal/api"
	"snapshotd/internal/store/memstore"
)

func serveOn(t *testing.T, h http.Handler) string {
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	return ts.URL
}

func TestMethods(t *testing.T) {
	w := newWorld(t, memstore.New())
	for path, allow := range map[string]string{
		"/v1/snapshots":                                "GET, HEAD, POST",
		"/v1/snapshots/" + snapshotID(1):               "GET, HEAD, PUT, DELETE",
		"/v1/snapshots/nonsense":                       "GET, HEAD, PUT, DELETE",
		"/v1/sagas":                                    "GET, HEAD",
		"/v1/sagas/" + sagaID(1):                       "GET, HEAD",
		"/v1/sagas/" + sagaID(1) + "/snapshots":        "GET, HEAD, DELETE",
		"/v1/sagas/" + sagaID(1) + "/snapshots/latest": "GET, HEAD",
		"/v1/sagas/" + sagaID(1) + "/replays":          "GET, HEAD, POST",
		"/v1/replays/" + replayID(1):                   "GET, HEAD, PUT, PATCH",
		"/v1/stats":                                    "GET, HEAD",
		"/v1/cleanup":                                  "POST",
		"/healthz":                                     "GET, HEAD",
		"/metrics":                                     "GET, HEAD",
		"/openapi.yaml":                                "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if strings.Contains(", "+allow+",", ", "+method+",") {
				continue
			}
			a := w.do(method, path, "").is(405).has("Allow", allow)
			if method != "HEAD" {
				a.problem(405, "method_not_allowed")
			}
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/snapshot", "/v1/snapshots/", "/v1/snapshots/" + snapshotID(1) + "/x", "/v2/snapshots", "//v1/stats", "/V1/stats", "/v1/stats/"} {
		for _, method := range []string{"GET", "POST", "BREW", "OPTIONS"} {
			w.do(method, path, "").problem(404, "route_not_found")
		}
	}
}

func TestHead(t *testing.T) {
	overStores(t, func(w *world) {
		w.fill(2)
		w.do("POST", "/v1/sagas/"+sagaID(0)+"/replays", `{"checkpoint_step": "step-0", "replay_id": "`+replayID(1)+`"}`).is(201)
		for _, path := range []string{
			"/v1/snapshots/" + snapshotID(0), "/v1/snapshots", "/v1/snapshots?view=full&limit=1", "/v1/sagas", "/v1/sagas/" + sagaID(0),
			"/v1/sagas/" + sagaID(0) + "/snapshots", "/v1/sagas/" + sagaID(0) + "/snapshots/latest", "/v1/sagas/" + sagaID(0) + "/replays",
			"/v1/replays/" + replayID(1), "/v1/stats", "/healthz", "/readyz", "/version", "/metrics", "/openapi.yaml", "/openapi.json",
			"/v1/snapshots/" + snapshotID(9), "/v1/snapshots?x=1", "/nowhere", "/v1/cleanup",
		} {
			get, head := w.get(path), w.do("HEAD", path, "")
			head.is(get.status)
			for _, name := range []string{"Content-Type", "Content-Length", "ETag", "Link", "Allow", "Cache-Control"} {
				head.has(name, get.header.Get(name))
			}
		}
	})
}

// HEAD names the coding that GET would have, with its tag, but no length that only
// compressing would tell (RFC 9110, sections 8.6 and 9.3.2).
func TestHeadOfWhatIsCompressed(t *testing.T) {
	overStores(t, func(w *world) {
		w.fill(20)
		w.do("PUT", "/v1/snapshots/"+snapshotID(30), whole("context", `{"text": "`+strings.Repeat("abc ", 1000)+`"}`)).is(201)
		for _, path := range []string{
			"/v1/snapshots/" + snapshotID(0), "/v1/snapshots/" + snapshotID(30),
			"/v1/snapshots/" + snapshotID(30) + "?pointer=/context", "/v1/sagas/" + sagaID(0) + "/snapshots/latest",
			"/v1/snapshots?view=full&limit=1", "/v1/snapshots?view=full", "/v1/snapshots?limit=5", "/v1/snapshots?limit=1",
			"/v1/stats", "/healthz", "/metrics", "/openapi.yaml",
			"/v1/snapshots/" + snapshotID(99), "/v1/snapshots?x=1", "/nowhere",
		} {
			for _, accepted := range []string{"gzip", "gzip, deflate, br, zstd", "zstd;q=0.5, gzip;q=0.6", "br"} {
				w.headIsAsGet(path, accepted)
			}
		}
		large := "/v1/snapshots/" + snapshotID(31)
		w.do("PUT", large, whole("context", fmt.Sprintf(`{"text": "%s"}`, strings.Repeat("0123456789abcdef", 70_000)))).is(201)
		w.headIsAsGet(large, "gzip")
		w.headIsAsGet(large, "br")
	})
}

func (w *world) headIsAsGet(path, accepted string) {
	w.Helper()
	get, head := w.get(path, "Accept-Encoding", accepted), w.do("HEAD", path, "", "Accept-Encoding", accepted)
	head.is(get.status)
	for _, name := range []string{"Content-Type", "Content-Encoding", "ETag", "Vary", "Link", "Cache-Control"} {
		head.has(name, get.header.Get(name))
	}
	length := head.header.Get("Content-Length")
	if length != "" && length != fmt.Sprint(len(get.body)) {
		w.Errorf("%s in %q: Content-Length %s, and %d bytes of GET", path, accepted, length, len(get.body))
	}
	if get.header.Get("Content-Encoding") == "" && length != get.header.Get("Content-Length") {
		w.Errorf("%s in %q: no Content-Length, although nothing is compressed", path, accepted)
	}
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t, memstore.New())
	for _, id := range []string{"a", "5f3c!~{}", strings.Repeat("x", 128)} {
		w.get("/healthz", "X-Request-Id", id).has("X-Request-Id", id)
		w.get("/nowhere", "X-Request-Id", id).problem(404, "route_not_found").has("X-Request-Id", id)
	}
	seen := map[string]bool{}
	for _, id := range []string{"two words", strings.Repeat("x", 129), "caf\u00e9", ""} {
		got := w.get("/v1/nowhere", "X-Request-Id", id).problem(404, "route_not_found").header.Get("X-Request-Id")
		if got == id || len(got) < 10 || seen[got] {
			t.Errorf("%q became %q", id, got)
		}
		seen[got] = true
	}
}

func TestConditionalGet(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/snapshots/" + snapshotID(1)
		w.do("PUT", path, whole("context", `{"text": "`+strings.Repeat("abc ", 1000)+`"}`)).is(201)
		etags := map[string]bool{}
		for _, accepted := range []string{"", "gzip", "zstd"} {
			a := w.get(path, "Accept-Encoding", accepted).is(200).has("Content-Encoding", accepted).
				has("Cache-Control", "private, no-cache").has("Vary", "Accept-Encoding")
			etag := a.header.Get("ETag")
			if !strings.HasPrefix(etag, `"`) || etags[etag] || accepted != "" && !strings.HasSuffix(etag, "-"+accepted+`"`) {
				t.Errorf("%q: ETag %s", accepted, etag)
			}
			etags[etag] = true
			w.get(path, "Accept-Encoding", accepted).is(200).has("ETag", etag).says(a.body)
			for _, known := range []string{etag, "W/" + etag, `"x", ` + etag + `, "y"`} {
				w.get(path, "Accept-Encoding", accepted, "If-None-Match", known).is(304).says("").has("ETag", etag).
					has("Cache-Control", "private, no-cache").has("Content-Encoding", "").has("Content-Type", "")
			}
			w.get(path, "Accept-Encoding", accepted, "If-None-Match", "*").is(304)
			w.get(path, "Accept-Encoding", accepted, "If-None-Match", `"x"`).is(200)
			w.get(path, "Accept-Encoding", accepted, "If-None-Match", strings.Trim(etag, `"`)).is(200)
			w.get("/v1/sagas/"+sagaID(1)+"/snapshots/latest", "Accept-Encoding", accepted, "If-None-Match", etag).is(304)
			w.do("HEAD", path, "", "If-None-Match", w.do("HEAD", path, "").header.Get("ETag")).is(304)
		}
		etag := w.get(path).header.Get("ETag")
		part := w.get(path + "?pointer=/status").header.Get("ETag")
		w.get(path+"?pointer=/status", "If-None-Match", part).is(304)
		w.get(path+"?pointer=/status", "If-None-Match", etag).is(200)

		w.do("DELETE", path, "").is(204)
		w.get(path, "If-None-Match", etag).problem(404, "snapshot_not_found")
		w.do("PUT", path, whole("context", `{"other": 1}`)).is(201)
		w.get(path, "If-None-Match", etag).is(200)
	})
}

func TestLargeDocumentsAreStreamed(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/snapshots/" + snapshotID(1)
		text := strings.Repeat("0123456789abcdef", 200_000)
		w.do("PUT", path, whole("context", `{"text": "`+text+`"}`)).is(201)
		a := w.get(path).is(200)
		if !strings.Contains(a.body, text) {
			t.Error("the document is not whole")
		}
		etag := a.header.Get("ETag")
		w.get(path, "If-None-Match", etag).is(304)
		w.do("HEAD", path, "").is(200).has("ETag", etag)
		for _, coding := range []string{"gzip", "zstd"} {
			packed := w.get(path, "Accept-Encoding", coding).is(200).has("Content-Encoding", coding)
			if unpack(t, coding, packed.body) != a.body {
				t.Error(coding, "says something else")
			}
			w.get(path, "Accept-Encoding", coding, "If-None-Match", packed.header.Get("ETag")).is(304)
		}
		if got := w.get(path + "?pointer=/context/text").is(200).body; got != `"`+text+"\"\n" {
			t.Error("the part is not whole")
		}
	})
}

// lines decodes what has been logged.
func (w *world) lines() (list []map[string]any) {
	w.Helper()
	for line := range strings.Lines(w.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			w.Fatalf("%v: %s", err, line)
		}
		list = append(list, m)
	}
	return list
}

func TestAccessLog(t *testing.T) {
	w := newWorld(t, memstore.New())
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, ""), "X-Request-Id", "r1", "Traceparent", "00-abc-def-01").is(201)
	w.get("/nowhere?secret=1", "X-Request-Id", "r2")
	w.do("BREW", "/v1/stats", "", "X-Request-Id", "r3")
	w.get("/healthz", "X-Request-Id", "r4")
	w.get("/readyz", "X-Request-Id", "r5")
	w.get("/metrics", "X-Request-Id", "r6")
	want := []map[string]any{
		{"level": "INFO", "method": "PUT", "route": "/v1/snapshots/{snapshot_id}", "path": "/v1/snapshots/" + snapshotID(1), "status": 201.0, "request_id": "r1", "traceparent": "00-abc-def-01", "remote": "127.0.0.1"},
		{"level": "INFO", "method": "GET", "route": "other", "path": "/nowhere", "status": 404.0, "request_id": "r2"},
		{"level": "INFO", "method": "BREW", "route": "other", "status": 405.0, "request_id": "r3"},
		{"level": "DEBUG", "route": "/healthz", "status": 200.0, "request_id": "r4"},
		{"level": "DEBUG", "route": "/readyz", "status": 200.0, "request_id": "r5"},
		{"level": "DEBUG", "route": "/metrics", "status": 200.0, "request_id": "r6"},
	}
	lines := w.waitForLines(len(want))
	for i, fields := range want {
		for key, value := range fields {
			if lines[i][key] != value {
				t.Errorf("line %d: %s: %v was expected: %v", i, key, value, lines[i])
			}
		}
		if lines[i]["msg"] != "request" || lines[i]["duration"] == nil || lines[i]["bytes"].(float64) < 10 {
			t.Errorf("line %d: %v", i, lines[i])
		}
	}
	if strings.Contains(w.log.String(), "secret") || strings.Count(w.log.String(), "request_id") != len(want) {
		t.Error(w.log.String())
	}
}

// waitForLines waits until the log has n lines: they follow the answers.
func (w *world) waitForLines(n int) []map[string]any {
	w.Helper()
	for range 500 {
		if lines := w.lines(); len(lines) >= n {
			return lines
		}
		time.Sleep(time.Millisecond)
	}
	w.Fatalf("%d lines were expected:\n%s", n, w.log.String())
	return nil
}

func TestObservers(t *testing.T) {
	type seen struct {
		method, route string
		status        int
	}
	var mu sync.Mutex
	var requests []seen
	var rejected []string
	inFlight, most := 0, 0
	w := newWorld(t, memstore.New(), func(cfg *api.Config) {
		cfg.MaxBodySize = 1000
		cfg.NewRequestID = func() string { return "made" }
		cfg.Observe = func(method, route string, status int, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			requests = append(requests, seen{method, route, status})
		}
		cfg.InFlight = func(delta int) {
			mu.Lock()
			defer mu.Unlock()
			inFlight += delta
			most = max(most, inFlight)
		}
		cfg.Rejected = func(reason string) {
			mu.Lock()
			defer mu.Unlock()
			rejected = append(rejected, reason)
		}
	})
	h := w.server
	call := func(method, path, body string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(rec, req)
		return rec
	}
	if got := call("GET", "/v1/stats", "").Header().Get("X-Request-Id"); got != "made" {
		t.Error(got)
	}
	call("HEAD", "/v1/sagas/x", "")
	call("BREW", "/v1/stats", "")
	call("GET", "/x", "")
	call("POST", "/v1/snapshots", strings.Repeat("x", 1001))
	h.Drain()
	call("GET", "/v1/stats", "")
	call("GET", "/readyz", "")
	want := []seen{
		{"GET", "/v1/stats", 200}, {"HEAD", "/v1/sagas/{saga_id}", 400}, {"BREW", "other", 405}, {"GET", "other", 404},
		{"POST", "/v1/snapshots", 413}, {"GET", "/v1/stats", 503}, {"GET", "/readyz", 503},
	}
	for i := range want {
		if requests[i] != want[i] {
			t.Errorf("%v was expected, not %v", want[i], requests[i])
		}
	}
	if strings.Join(rejected, " ") != "body_too_large draining" || inFlight != 0 || most != 1 {
		t.Error(rejected, inFlight, most)
	}
}
