package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"snapshotd/internal/api"
	"snapshotd/internal/archive"
	"snapshotd/internal/store/memstore"
)

// discard is an http.ResponseWriter that keeps nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// benchmarkHandler measures requests that make builds; accept is their
// Accept-Encoding.
func benchmarkHandler(b *testing.B, prepared int, want int, request func(i int) *http.Request) {
	s := api.New(api.Config{})
	s.Serve(archive.New(archive.Config{Store: memstore.New(), Indent: true}))
	for i := range prepared {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, saveRequest(i))
		if rec.Code != 201 {
			b.Fatal(rec.Body)
		}
	}
	d := &discard{header: http.Header{}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := request(i)
		clear(d.header)
		s.ServeHTTP(d, r)
		if d.status != want {
			b.Fatal(d.status)
		}
	}
}

// benchContext makes documents of about 2 KB, as runtimes save them.
var benchContext = `{"order_id": "ORD-00011", "amount": 253.08, "currency": "EUR", "items": [` +
	strings.TrimSuffix(strings.Repeat(`{"sku": "SKU-698", "qty": 4, "price": "63.27"}, `, 36), ", ") + `]}`

func saveRequest(i int) *http.Request {
	body := fmt.Sprintf(`{"saga_id": "%s", "saga_name": "order", "step_name": "step-%d", "step_index": %d, "status": "executing", "context": %s}`,
		sagaID(i/10), i%10, i%10, benchContext)
	r := httptest.NewRequest(http.MethodPut, "http://localhost/v1/snapshots/"+snapshotID(i), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func getRequest(path string, headers ...string) func(int) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return func(int) *http.Request { return r }
}

func BenchmarkSave(b *testing.B) {
	benchmarkHandler(b, 0, 201, saveRequest)
}

func BenchmarkSaveAgain(b *testing.B) {
	r := saveRequest(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkHandler(b, 2, 200, func(int) *http.Request {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		return r
	})
}

func BenchmarkGet(b *testing.B) {
	benchmarkHandler(b, 10, 200, getRequest("/v1/snapshots/"+snapshotID(1)))
}

func BenchmarkGetGzip(b *testing.B) {
	benchmarkHandler(b, 10, 200, getRequest("/v1/snapshots/"+snapshotID(1), "Accept-Encoding", "gzip"))
}

func BenchmarkLatest(b *testing.B) {
	benchmarkHandler(b, 10, 200, getRequest("/v1/sagas/"+sagaID(0)+"/snapshots/latest"))
}

func BenchmarkListOf10(b *testing.B) {
	benchmarkHandler(b, 10, 200, getRequest("/v1/sagas/"+sagaID(0)+"/snapshots"))
}

func BenchmarkSummariesOf10(b *testing.B) {
	benchmarkHandler(b, 10, 200, getRequest("/v1/sagas/"+sagaID(0)+"/snapshots?view=summary"))
}

func BenchmarkHealthz(b *testing.B) {
	benchmarkHandler(b, 0, 200, getRequest("/healthz"))
}
