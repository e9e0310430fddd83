package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"snapshotd/internal/api"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/memstore"
)

// A slowRequest is a save whose body comes in pieces.
type slowRequest struct {
	w      *world
	body   *io.PipeWriter
	status chan int
}

// slow sends the beginning of a body and waits until it has been read.
func (w *world) slow(path, beginning string, headers ...string) *slowRequest {
	w.Helper()
	body, writer := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, w.url+path, body)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	s := &slowRequest{w: w, body: writer, status: make(chan int, 1)}
	transport := &http.Transport{}
	w.Cleanup(transport.CloseIdleConnections)
	w.Cleanup(func() { writer.Close() })
	go func() {
		resp, err := transport.RoundTrip(req)
		if err != nil {
			s.status <- 0
			return
		}
		resp.Body.Close()
		s.status <- resp.StatusCode
	}()
	if _, err := io.WriteString(writer, beginning); err != nil {
		w.Fatal(err)
	}
	return s
}

// end sends the rest and answers the status, 0 for none.
func (s *slowRequest) end(rest string) int {
	_, _ = io.WriteString(s.body, rest) // an answer may have come before
	s.body.Close()
	return <-s.status
}

// settled waits until so many requests are under way, which hold so many bytes.
func (w *world) settled(requests, held int64) {
	w.Helper()
	for range 20_000 {
		if n, bytes := w.server.Load(); n == requests && bytes == held {
			return
		}
		w.get("/healthz").is(200)
	}
	w.Fatal("requests are counted that are no more")
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.MaxInFlight = 2 })
	text := whole("context", "{}")
	first := w.slow("/v1/snapshots/"+snapshotID(1), text[:10])
	second := w.slow("/v1/snapshots/"+snapshotID(2), text[:10])
	w.settled(2, 0)
	for range 3 { // a refusal does not count
		w.get("/v1/stats").problem(503, "overloaded").has("Retry-After", "1")
		w.do("POST", "/v1/snapshots", text).problem(503, "overloaded")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/version", "/openapi.yaml"} {
		w.get(path).is(200)
	}
	w.get("/v1/nowhere").problem(404, "route_not_found")
	if status := first.end(text[10:]); status != 201 {
		t.Error(status)
	}
	w.settled(1, 0)
	w.do("POST", "/v1/snapshots", text).is(201)
	second.body.CloseWithError(io.ErrUnexpectedEOF) // the client is gone
	<-second.status
	w.settled(0, 0)
	w.get("/v1/stats").is(200)
}

func TestBytesInMemoryAreBounded(t *testing.T) {
	const kib = 1 << 10
	// Nothing is kept in memory between requests.
	w := newWorld(t, openDirectory(t, filestore.Config{BasePath: t.TempDir()}), func(cfg *api.Config) { cfg.MaxInFlightBytes = 900 * kib })
	large := whole("context", `{"a":"`+strings.Repeat("x", 400*kib)+`"}`)
	for _, coding := range []string{"", "gzip", "zstd"} {
		w.do("POST", "/v1/snapshots", pack(t, coding, large), "Content-Encoding", coding).is(201) // 512 KiB
		w.settled(0, 0)
	}
	w.get("/v1/snapshots?view=full").is(200)
	found := w.get("/v1/snapshots").object()["snapshots"].([]any)[0].(map[string]any)["snapshot_id"].(string)

	slow := w.slow("/v1/snapshots/"+snapshotID(1), large[:300*kib])
	w.settled(1, 512*kib)
	for _, coding := range []string{"", "gzip", "zstd"} {
		w.do("POST", "/v1/snapshots", pack(t, coding, large), "Content-Encoding", coding).problem(503, "overloaded")
	}
	w.do("POST", "/v1/snapshots", whole("context", `{"a":"`+strings.Repeat("x", 1000*kib)+`"}`)).problem(503, "overloaded")
	w.get("/v1/snapshots/"+found+"?pointer=/context/a").problem(503, "overloaded")
	w.get("/v1/snapshots/"+found).problem(503, "overloaded")
	w.get("/v1/snapshots?view=full").problem(503, "overloaded")
	w.do("POST", "/v1/snapshots", whole("context", "{}")).is(201) // which takes next to nothing
	w.get("/v1/snapshots").is(200)
	if status := slow.end(large[300*kib:]); status != 201 {
		t.Error(status)
	}
	w.settled(0, 0)
	w.do("POST", "/v1/snapshots", large).is(201)
	w.settled(0, 0)
}

// Whatever ends a request, it is no longer counted.
func TestWhatHasEndedIsNotCounted(t *testing.T) {
	failing := &failing{Store: memstore.New(), panic: true}
	w := newWorld(t, failing, func(cfg *api.Config) { cfg.MaxInFlight, cfg.MaxBodySize = 1, 200<<10 })
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), whole("context", `{"a":"`+strings.Repeat("x", 150<<10)+`"}`)).is(201)
	w.settled(0, 0)
	w.do("POST", "/v1/snapshots", strings.Repeat("x", 300<<10)).is(413)
	w.settled(0, 0)
	w.do("POST", "/v1/snapshots", "{").is(400)
	w.settled(0, 0)
	w.get("/v1/sagas/" + sagaID(1)).is(500)
	w.settled(0, 0)
	failing.unreadable(snapshotID(1))
	w.get("/v1/snapshots/" + snapshotID(1)).is(500)
	w.settled(0, 0)
}
