//go:build !race

package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"snapshotd/internal/api"
	"snapshotd/internal/archive"
	"snapshotd/internal/store/filestore"
)

// What a request allocates between net/http and the filesystem, access log included,
// lest it grows unnoticed. Whoever lowers it lowers the bound. (The race detector has pools
// forget at random.)
func TestAllocations(t *testing.T) {
	s := api.New(api.Config{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	directory := openDirectory(t, filestore.Config{BasePath: t.TempDir(), Cache: 1 << 20})
	s.Serve(archive.New(archive.Config{Store: directory, Indent: true}))
	const runs = 200
	var saves []*http.Request
	for i := range runs + 1 { // AllocsPerRun makes one run more
		saves = append(saves, saveRequest(i))
	}
	for _, tt := range []struct {
		name    string
		request func(int) *http.Request
		status  int
		most    float64
	}{
		{"save", func(i int) *http.Request { return saves[i] }, http.StatusCreated, 80},
		{"get", getRequest("/v1/snapshots/" + snapshotID(1)), http.StatusOK, 27},
		{"latest", getRequest("/v1/sagas/" + sagaID(0) + "/snapshots/latest"), http.StatusOK, 32},
		{"list of 10", getRequest("/v1/sagas/" + sagaID(0) + "/snapshots"), http.StatusOK, 57},
	} {
		run := 0
		got := testing.AllocsPerRun(runs, func() {
			d := &discard{header: http.Header{}}
			s.ServeHTTP(d, tt.request(run))
			if d.status != tt.status {
				t.Fatalf("%s was answered %d", tt.name, d.status)
			}
			run++
		})
		if got > tt.most {
			t.Errorf("%s allocates %v times, at most %v were expected", tt.name, got, tt.most)
		}
		t.Log(tt.name, got)
	}
}
