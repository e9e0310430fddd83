package filestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// BenchmarkOpen opens a directory of 100,000 snapshots of 2 KB in 10,000 sagas,
// as the library would leave it (every file is read) and as we leave it (the
// indexes are trusted). It reports what the catalogue takes for each snapshot.
func BenchmarkOpen(b *testing.B) {
	dir := layMany(b, 10_000, 10)
	for _, name := range []string{"reading every file", "trusting indexes"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				start := time.Now()
				s, err := filestore.Open(b.Context(), filestore.Config{BasePath: dir})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s/open")
				b.ReportMetric(float64(heap()-before)/100_000, "bytes/snapshot")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// layMany writes snapshots, unsynced and without indexes.
func layMany(b *testing.B, sagas, perSaga int) string {
	b.Helper()
	dir := b.TempDir()
	padding := fmt.Sprintf(`{"note":%q}`, strings.Repeat("x", 1600))
	for n := range sagas {
		id := uuid.New()
		path := filepath.Join(dir, "snapshots", id.String())
		if err := os.MkdirAll(path, 0o755); err != nil {
			b.Fatal(err)
		}
		for step := range perSaga {
			sn := snapshot(id, int32(step), "2026-01-01T00:00:00Z")
			sn.CreatedAt += saga.Time(n*perSaga+step) * 1_000_000
			sn.StepName = fmt.Sprintf("step_%d", step)
			sn.Context = []byte(padding)
			sn.RetentionUntil = sn.CreatedAt.Add(30 * 24 * time.Hour)
			if err := os.WriteFile(filepath.Join(path, sn.ID.String()+".json"), sn.AppendJSON(nil, true), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	return dir
}

// BenchmarkPut saves snapshots of 2 KB, ten a saga, by 1 and by 64 goroutines.
func BenchmarkPut(b *testing.B) {
	for _, durability := range []string{"full", "relaxed"} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/writers=%d", durability, writers), func(b *testing.B) {
				s, err := filestore.Open(b.Context(), filestore.Config{BasePath: b.TempDir(), Relaxed: durability == "relaxed"})
				if err != nil {
					b.Fatal(err)
				}
				context := fmt.Appendf(nil, `{"note":%q}`, strings.Repeat("x", 1600))
				b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					id := uuid.New()
					for step := int32(0); pb.Next(); step++ {
						if step%10 == 0 {
							id = uuid.New()
						}
						sn := snapshot(id, step%10, "2026-01-01T00:00:00Z")
						sn.Context = context
						if _, err := s.Put(b.Context(), &sn.Summary, sn.AppendJSON(nil, true)); err != nil {
							b.Error(err)
							return
						}
					}
				})
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
