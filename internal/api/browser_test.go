package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"snapshotd/internal/api"
	"snapshotd/internal/store/memstore"
)

func TestHosts(t *testing.T) {
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.AllowedHosts = []string{"snapshotd", "saga.example.org"} })
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1:7420", "127.0.0.1:", "10.1.2.3:80", "[::1]", "[::1]:7420", "[fe80::1%25eth0]:1",
		"localhost", "LocalHost:7420", "snapshotd", "snapshotd:7420", "Saga.Example.org:443",
	} {
		w.get("/v1/stats", "Host", host).is(200)
	}
	for _, host := range []string{
		"attacker.example", "attacker.example:7420", "localhost.attacker.example", "snapshotd.attacker.example", "127.0.0.1.attacker.example",
		"localhost:7420:80", "localhost:x", "127.0.0.1:80@attacker.example", "127.1", "2130706433", "0x7f000001", "::1", "[::1", "[127.0.0.1]",
		"[::1]x", "[localhost]", ":7420", "localhost.", "example.org", "org",
	} {
		w.get("/v1/stats", "Host", host).problem(421, "host_not_allowed")
	}
}

// The name is looked at on every route and before anything else: the method, the
// path, the body, and whether the server is ready.
func TestHostsOnEveryRoute(t *testing.T) {
	w := newWorld(t, memstore.New())
	paths := []string{"GET /", "GET /nowhere", "PUT /v1/snapshots/x", "OPTIONS /v1/snapshots", "BREW /v1/stats", "TRACE /healthz", "DELETE /metrics"}
	err := chi.Walk(w.server.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		paths = append(paths, method+" "+route, "HEAD "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, starting := range []bool{false, true} {
		if starting {
			w.client.Transport = watch(t, direct{api.New(w.config)})
		}
		for _, path := range paths {
			method, path, _ := strings.Cut(path, " ")
			w.do(method, path, "", "Host", "attacker.example", "Origin", "http://attacker.example").is(421)
		}
	}
	if strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Error(w.log.String())
	}
}

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	w := newWorld(t, memstore.New())
	path := "/v1/snapshots/" + snapshotID(1)
	own := w.url // such as http://127.0.0.1:1234
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example"},
		{"Sec-Fetch-Site", "same-site", "Origin", "http://other.localhost"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "nonsense"},
		{"Sec-Fetch-Site", "cross-site", "Origin", own},
		{"Origin", "https://attacker.example"},
		{"Origin", "null"},
		{"Origin", "http://127.0.0.1:1"},
		{"Origin", "%"},
	} {
		for _, request := range []string{"PUT " + path, "POST /v1/snapshots", "DELETE " + path, "POST /v1/cleanup", "PATCH /v1/replays/" + replayID(1)} {
			method, path, _ := strings.Cut(request, " ")
			w.do(method, path, whole("status", `"failed"`), headers...).problem(403, "cross_origin")
		}
		a := w.get("/v1/stats", headers...).holds("0", "total_snapshots").has("Access-Control-Allow-Origin", "")
		if _, answered := a.header["Access-Control-Allow-Origin"]; answered {
			t.Error("a page may read the answer")
		}
	}
	for _, headers := range [][]string{
		{}, {"Sec-Fetch-Site", "same-origin", "Origin", own}, {"Sec-Fetch-Site", "none"}, {"Origin", own},
	} {
		w.do("PUT", path, whole("status", `"failed"`), headers...).is(201)
		w.do("DELETE", path, "", headers...).is(204)
	}
	w.do("OPTIONS", "/v1/snapshots", "", "Origin", "https://attacker.example", "Access-Control-Request-Method", "POST").
		problem(405, "method_not_allowed")
}

func TestPagesOfNamedOrigins(t *testing.T) {
	const console = "https://console.example.org"
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.CORSOrigins = []string{console, "http://localhost:3000"} })
	send := func(method, path, body string, headers ...string) *httptest.ResponseRecorder {
		t.Helper()
		req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, req)
		return rec
	}
	expect := func(rec *httptest.ResponseRecorder, status int, headers ...string) {
		t.Helper()
		if rec.Code != status {
			t.Errorf("%d was expected, not %d", status, rec.Code)
		}
		for i := 0; i < len(headers); i += 2 {
			if got := rec.Header().Get(headers[i]); got != headers[i+1] {
				t.Errorf("%s: %q was expected, not %q", headers[i], headers[i+1], got)
			}
		}
	}
	path := "/v1/snapshots/" + snapshotID(1)
	expect(send("OPTIONS", path, "", "Origin", console, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type,x-request-id"),
		204, "Access-Control-Allow-Origin", console, "Access-Control-Allow-Methods", "PUT",
		"Access-Control-Allow-Headers", "content-type,x-request-id", "Access-Control-Max-Age", "600", "Access-Control-Allow-Credentials", "")
	for _, headers := range [][]string{
		{"Origin", "https://attacker.example", "Access-Control-Request-Method", "PUT"},
		{"Origin", console, "Access-Control-Request-Method", "BREW"},
		{"Origin", console, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-forwarded-host"},
		{"Origin", "null", "Access-Control-Request-Method", "PUT"},
	} {
		expect(send("OPTIONS", path, "", headers...), 204, "Access-Control-Allow-Origin", "", "Access-Control-Allow-Methods", "")
	}
	expect(send("PUT", path, whole("status", `"failed"`), "Origin", console, "Sec-Fetch-Site", "cross-site"),
		201, "Access-Control-Allow-Origin", console, "Access-Control-Allow-Credentials", "")
	expect(send("GET", path, "", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"), 200, "Access-Control-Allow-Origin", "http://localhost:3000")
	expect(send("GET", path, "", "Origin", "https://attacker.example", "Sec-Fetch-Site", "cross-site"), 200, "Access-Control-Allow-Origin", "", "Vary", "Origin")
	expect(send("DELETE", path, "", "Origin", "https://attacker.example", "Sec-Fetch-Site", "cross-site"), 403, "Access-Control-Allow-Origin", "")
	expect(send("DELETE", path, "", "Origin", "http://console.example.org", "Sec-Fetch-Site", "cross-site"), 403)
	expect(send("OPTIONS", "/v1/snapshots", "", "Origin", console), 405) // no preflight
}

func TestBrowsersAreToldToBeCareful(t *testing.T) {
	w := newWorld(t, memstore.New())
	for _, path := range []string{"/v1/stats", "/v1/sagas/x", "/nowhere", "/healthz", "/metrics", "/openapi.yaml"} {
		w.get(path).has("X-Content-Type-Options", "nosniff").has("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	}
	w.get("/v1/stats", "Host", "attacker.example").has("Cache-Control", "private, no-cache").
		has("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

func TestNamesAndOrigins(t *testing.T) {
	for _, text := range []string{"", "a:80", "http://a", "a/b", "*.example.org", "[::1]", "a b", "a,b"} {
		if host, ok := api.ParseHost(text); ok {
			t.Errorf("%q is taken as %q", text, host)
		}
	}
	for _, text := range []string{"https://console.example.org", "http://localhost:3000", "http://[::1]:80", "http://127.0.0.1"} {
		if origin, ok := api.ParseOrigin(text); !ok || origin != text {
			t.Errorf("%q is not taken", text)
		}
	}
	for _, text := range []string{"", "*", "null", "console.example.org", "https://a/", "https://a/b", "https://", "ftp://a", "https://a?b", "https://u@a", "https://*.a", "HTTPS://a", "https://:80"} {
		if origin, ok := api.ParseOrigin(text); ok {
			t.Errorf("%q is taken as %q", text, origin)
		}
	}
}
