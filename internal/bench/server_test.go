package bench

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"snapshotd/internal/api"
	"snapshotd/internal/archive"
	"snapshotd/internal/store/memstore"
)

// serve runs the real API over memory, and answers how many snapshots it has.
func serve(t *testing.T, name string) (*Server, func() int) {
	t.Helper()
	store := memstore.New()
	a := archive.New(archive.Config{Store: store, Indent: true})
	handler := api.New(api.Config{})
	handler.Serve(a)
	return listen(t, name, handler), func() int {
		stats, err := a.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return stats.Snapshots
	}
}

func listen(t *testing.T, name string, handler http.Handler) *Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	server, err := newServer(name, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func TestOperations(t *testing.T) {
	daemon, stored := serve(t, daemonName)
	of := &subject{Target: daemon, corpus: newCorpus()}
	if err := of.fill(t.Context(), 19); err != nil {
		t.Fatal(err)
	}
	if of.sagas != 19 || stored() != 190 {
		t.Fatalf("filled with %d sagas, %d snapshots", of.sagas, stored())
	}
	ceiling := listen(t, ceilingName, NewCeiling())
	top := &subject{Target: ceiling, corpus: newCorpus(), sagas: 19}
	never := func() int64 { return -1 }
	failed, err := runCell(t.Context(), 1, limits{patience, 10}, never, top.connector(Get))
	if err != nil || failed.Errors != 10 || !strings.Contains(failed.FirstError.Error(), "status 404 instead of 200") {
		t.Errorf("before it was taught: %+v %v", failed, err)
	}
	if err := ceiling.teach(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	for _, ordinary := range []bool{false, true} {
		daemon.ordinary, ceiling.ordinary = ordinary, ordinary
		for _, operation := range Operations {
			for _, s := range []*subject{of, top} {
				round, err := runCell(t.Context(), 4, limits{patience, 80}, never, s.connector(operation))
				if err != nil || round.Operations != 80 || round.Errors != 0 {
					t.Errorf("%s of %s: %+v %v", operation, s.Name(), round, err)
				}
			}
		}
	}
	// One was saved to teach, the rest by each of the clients, one of which is not measured.
	if n := stored(); n != 190+1+2*4*(1+20) {
		t.Errorf("%d snapshots are stored", n)
	}
	if err := daemon.remove(t.Context(), of.corpus, of.next.Load()); err != nil || stored() != 0 {
		t.Errorf("after the end %d are left: %v", stored(), err)
	}
}

// TestCeilingRoutesAsTheDaemon sees that the ceiling's routes are the API's, and
// that it answers the same bytes.
func TestCeilingRoutesAsTheDaemon(t *testing.T) {
	var routes []string
	err := chi.Walk(api.New(api.Config{}).Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(patterns) != len(Operations) {
		t.Errorf("%d patterns of %d operations", len(patterns), len(Operations))
	}
	for _, p := range patterns {
		if !slices.Contains(routes, p.method+" "+p.pattern) {
			t.Errorf("the API has no %s %s", p.method, p.pattern)
		}
	}

	daemon, _ := serve(t, daemonName)
	of := &subject{Target: daemon, corpus: newCorpus()}
	if err := of.fill(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ceiling := listen(t, ceilingName, NewCeiling())
	if err := ceiling.teach(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	path := "/v1/sagas/" + of.corpus.SagaID(0).String() + "/snapshots"
	want, err1 := daemon.ask(t.Context(), "GET", path, nil, 200)
	got, err2 := ceiling.ask(t.Context(), "GET", path, nil, 200)
	if err := errors.Join(err1, err2); err != nil || string(want) != string(got) || len(got) < 10_000 {
		t.Errorf("%v; %d bytes are not the same %d", err, len(got), len(want))
	}
	for _, path := range []string{"/answers/none/200", "/answers/get/many"} {
		if _, err := ceiling.ask(t.Context(), "PUT", path, []byte("{}"), 404); err != nil {
			t.Error(err)
		}
	}
}

func TestConn(t *testing.T) {
	requests := 0
	server := listen(t, "test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		switch r.URL.Path {
		case "/chunks":
			for range 3 {
				_, _ = w.Write([]byte(strings.Repeat("x", 50_000)))
				w.(http.Flusher).Flush()
			}
		case "/close":
			w.Header().Set("Connection", "close")
			_, _ = w.Write([]byte("bye"))
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			http.Error(w, "there is nothing", http.StatusNotFound)
		}
	}))
	c, err := dial(t.Context(), server.address, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, test := range []struct {
		path   string
		status int
		want   string
	}{
		{"/chunks", 200, strings.Repeat("x", 150_000)}, {"/close", 200, "bye"}, {"/close", 200, "bye"}, {"/empty", 204, ""},
	} {
		if body, err := c.do(t.Context(), "GET", test.path, nil, test.status); err != nil || string(body) != test.want {
			t.Errorf("%s: %d bytes, %v", test.path, len(body), err)
		}
	}
	if _, err := c.do(t.Context(), "GET", "/none", nil, 200); err == nil || !strings.Contains(err.Error(), "status 404 instead of 200: there is nothing") {
		t.Error(err)
	}
	if _, err := c.do(t.Context(), "GET", "/abort", nil, 200); err == nil {
		t.Error("an aborted answer is no error")
	}
	if _, err := c.do(t.Context(), "GET", "/empty", nil, 204); err != nil {
		t.Errorf("after an error: %v", err)
	}
	if requests != 7 {
		t.Errorf("there were %d requests", requests)
	}
}

func TestOnlyThisMachine(t *testing.T) {
	for _, good := range []string{"http://127.0.0.1:7420", "http://localhost:1/", "http://[::1]:7420", "http://127.1.2.3"} {
		if _, err := newServer("x", good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:7420", "https://127.0.0.1", "http://127.0.0.1/v1", "http://10.0.0.1:7420", "http://example.org", "http://0.0.0.0:7420"} {
		if _, err := newServer("x", bad); err == nil {
			t.Errorf("%s is measured", bad)
		}
	}
}

func TestComparison(t *testing.T) {
	var c Comparison
	if err := c.UnmarshalText([]byte("other=http://127.0.0.1:1")); err != nil || c.Name != "other" || c.URL != "http://127.0.0.1:1" || c.Options != nil {
		t.Errorf("%+v %v", c, err)
	}
	if err := c.UnmarshalText([]byte("two=--store=memory --pretty-json=false")); err != nil || c.URL != "" ||
		!slices.Equal(c.Options, []string{"--store=memory", "--pretty-json=false"}) {
		t.Errorf("%+v %v", c, err)
	}
	// Refused as a URL is, not by serve as an option.
	if err := c.UnmarshalText([]byte("tls=https://127.0.0.1:1")); err != nil || c.URL != "https://127.0.0.1:1" || c.Options != nil {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := (&httpRun{}).daemon(t.Context(), c); err == nil || !strings.Contains(err.Error(), `a URL such as http://127.0.0.1:7420 was expected, not "https:`) {
		t.Error(err)
	}
	const origins = "--cors-origins=https://console.example.org"
	if err := c.UnmarshalText([]byte("three=" + origins)); err != nil || c.URL != "" || !slices.Equal(c.Options, []string{origins}) {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []string{"", "name", "name=", "=http://127.0.0.1:1"} {
		if err := c.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, c)
		}
	}
}
