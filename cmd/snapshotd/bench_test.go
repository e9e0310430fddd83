package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// BenchmarkStored shows what a save, a get, the latest and a list of ten cost over
// HTTP when a hundred and when 100,000 snapshots of 2 KB are stored.
func BenchmarkStored(b *testing.B) {
	for _, sagas := range []int{10, 10_000} {
		dir, ids := layStored(b, sagas)
		url, stop := startForBench(b, dir)
		b.Run(fmt.Sprintf("stored=%d", sagas*10), func(b *testing.B) {
			n := 0
			pick := func() snapshotOf { n++; return ids[n*7919%len(ids)] }
			b.Run("save", func(b *testing.B) {
				for b.Loop() {
					sn := benchSnapshot(uuid.New(), n%10)
					sn.SagaID = pick().saga
					do(b, "PUT", url+"/v1/snapshots/"+sn.ID.String(), sn.AppendJSON(nil, false), 201)
				}
			})
			b.Run("get", func(b *testing.B) {
				for b.Loop() {
					do(b, "GET", url+"/v1/snapshots/"+pick().id.String(), nil, 200)
				}
			})
			b.Run("latest", func(b *testing.B) {
				for b.Loop() {
					do(b, "GET", url+"/v1/sagas/"+pick().saga.String()+"/snapshots/latest", nil, 200)
				}
			})
			b.Run("list", func(b *testing.B) {
				for b.Loop() {
					do(b, "GET", url+"/v1/sagas/"+pick().saga.String()+"/snapshots?limit=10", nil, 200)
				}
			})
			b.Run("stats", func(b *testing.B) {
				for b.Loop() {
					do(b, "GET", url+"/v1/stats", nil, 200)
				}
			})
		})
		stop()
	}
}

type snapshotOf struct{ saga, id uuid.UUID }

func benchSnapshot(sagaID uuid.UUID, step int) *saga.Snapshot {
	return &saga.Snapshot{
		Summary: saga.Summary{
			ID: uuid.New(), SagaID: sagaID, SagaName: "order", StepName: fmt.Sprintf("step_%d", step),
			StepIndex: int32(step), Status: "executing", RetentionUntil: saga.Never,
			CreatedAt: saga.Time(1_767_225_600_000_000 + step),
		},
		Context:        fmt.Appendf(nil, `{"amount":253.10,"note":%q}`, strings.Repeat("x", 1600)),
		CompletedSteps: []byte(`["a","b"]`), ExternalRefs: []byte(`{}`),
	}
}

// layStored lays snapshots out, ten for each saga.
func layStored(b *testing.B, sagas int) (dir string, ids []snapshotOf) {
	b.Helper()
	dir = b.TempDir()
	for range sagas {
		id := uuid.New()
		path := filepath.Join(dir, "snapshots", id.String())
		if err := os.MkdirAll(path, 0o755); err != nil {
			b.Fatal(err)
		}
		for step := range 10 {
			sn := benchSnapshot(id, step)
			if err := os.WriteFile(filepath.Join(path, sn.ID.String()+".json"), sn.AppendJSON(nil, true), 0o644); err != nil {
				b.Fatal(err)
			}
			ids = append(ids, snapshotOf{id, sn.ID})
		}
	}
	return dir, ids
}

func startForBench(b *testing.B, dir string) (url string, stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	address, code := make(chan string, 1), make(chan int, 1)
	p := process{
		args:   []string{"--listen=127.0.0.1:0", "--log-level=warn", "--cleanup-interval=0", "--base-path", dir},
		stdout: io.Discard, stderr: os.Stderr,
		started: func(addr string) { address <- addr },
	}
	go func() { code <- p.run(ctx) }()
	url = "http://" + <-address
	for {
		res, err := http.Get(url + "/readyz")
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			break
		}
	}
	return url, func() { cancel(); <-code }
}

func do(b *testing.B, method, url string, body []byte, want int) {
	b.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		b.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != want {
		b.Fatalf("%s %s: status %d", method, url, res.StatusCode)
	}
}
