package catalog_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

const manySnapshots, manySagas = 1_000_000, 100_000

// nextRecord makes records such as busy days bring: ten snapshots to a saga, times
// that ascend, ids that do not, every second one with a retention.
func nextRecord() func() *catalog.Record {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"order", "refund", "return", "transfer", "signup"}
	var steps [20]string
	for i := range steps {
		steps[i] = fmt.Sprintf("step-%d", i)
	}
	n := 0
	return func() *catalog.Record {
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:], random.Uint64())
		binary.BigEndian.PutUint64(id[8:], random.Uint64())
		of := n % manySagas
		r := &catalog.Record{
			Summary: saga.Summary{
				ID: id, SagaID: nth(of), SagaName: names[of%5], StepName: steps[of%20], StepIndex: int32(n / manySagas),
				Status: saga.Statuses[random.IntN(6)], CreatedAt: at(n), RetentionUntil: saga.Never, SizeBytes: 2000,
			},
			Location: catalog.Location{RawSize: 2000, Modified: int64(n)},
		}
		if n%2 == 0 {
			r.RetentionUntil = at(n + random.IntN(manySnapshots))
		}
		if n == 10 {
			r.SagaName, r.StepName, r.Status = "order", "unique", "partially_committed"
		}
		n++
		return r
	}
}

// filled is the same for all benchmarks that do not change it.
var filled = sync.OnceValue(fillOne)

func fillOne() *catalog.Catalog {
	c, next := catalog.New(), nextRecord()
	for range manySnapshots {
		c.Insert(next())
	}
	return c
}

// BenchmarkInsert inserts into a catalogue that starts empty and grows.
func BenchmarkInsert(b *testing.B) {
	c, next := catalog.New(), nextRecord()
	b.ReportAllocs()
	for b.Loop() {
		c.Insert(next())
	}
}

// BenchmarkMemory reports what a snapshot takes of the heap, among a million in
// 100,000 sagas, and how long the garbage collector looks at them.
func BenchmarkMemory(b *testing.B) {
	for name, fill := range map[string]func() *catalog.Catalog{"saved": fillOne, "loaded": load} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				c := fill()
				b.ReportMetric(float64(heap()-before)/manySnapshots, "bytes/snapshot")
				start := time.Now()
				runtime.GC()
				b.ReportMetric(float64(time.Since(start))/1e6, "ms/GC")
				runtime.KeepAlive(c)
			}
		})
	}
}

// load fills a catalogue as opening a directory does.
func load() *catalog.Catalog {
	c, next := catalog.New(), nextRecord()
	c.Loading()
	sagas := make([][]catalog.Record, manySagas)
	for i := range manySnapshots {
		sagas[i%manySagas] = append(sagas[i%manySagas], *next())
	}
	for _, s := range sagas {
		c.InsertAll(s)
	}
	c.Loaded()
	return c
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkList asks a million snapshots for pages.
func BenchmarkList(b *testing.B) {
	middle := &saga.Position{CreatedAt: at(manySnapshots / 2)}
	for _, tt := range []struct {
		name string
		q    saga.Query
	}{
		{"newest", saga.Query{}},
		{"page in the middle", saga.Query{From: middle}},
		{"of a saga", saga.Query{SagaID: of(nth(77))}},
		{"common status", saga.Query{Filter: saga.Filter{Status: "failed"}}},
		{"name and status", saga.Query{Filter: saga.Filter{SagaName: "refund", Status: "failed"}}},
		{"the one, the oldest", saga.Query{Filter: saga.Filter{StepName: "unique"}}},
		{"unknown name", saga.Query{Filter: saga.Filter{SagaName: "nowhere"}}},
		{"two common ones that never meet", saga.Query{Filter: saga.Filter{SagaName: "order", StepName: "step-1"}}},
		{"rare pair", saga.Query{Filter: saga.Filter{SagaName: "order", Status: "partially_committed"}}},
		{"rare, in the older half", saga.Query{Filter: saga.Filter{Status: "partially_committed", Before: &middle.CreatedAt}}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			c := filled()
			tt.q.Limit = 100
			b.ReportAllocs()
			for b.Loop() {
				c.List(&tt.q)
			}
		})
	}
}

func BenchmarkSagas(b *testing.B) {
	for name, filter := range map[string]saga.Filter{
		"newest": {}, "status": {Status: "failed"}, "never meet": {SagaName: "order", StepName: "step-1"},
	} {
		b.Run(name, func(b *testing.B) {
			c := filled()
			b.ReportAllocs()
			for b.Loop() {
				c.Sagas(&saga.Query{Limit: 100, Filter: filter})
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	c := filled()
	page, _ := c.List(&saga.Query{Limit: 1000})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Get(page[i%1000].ID)
	}
}

func BenchmarkStats(b *testing.B) {
	c := filled()
	b.ReportAllocs()
	for b.Loop() {
		c.Fill(&store.Stats{}, at(manySnapshots))
	}
}

// BenchmarkChange removes one of many snapshots and inserts it again.
func BenchmarkChange(b *testing.B) {
	c := filled()
	page, _ := c.List(&saga.Query{Limit: 1000, From: &saga.Position{CreatedAt: at(manySnapshots / 2)}})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, _ := c.Remove(page[i%1000].ID)
		c.Insert(&r)
	}
}

// BenchmarkLargeSaga saves to a saga of 100,000 and trims it.
func BenchmarkLargeSaga(b *testing.B) {
	c := catalog.New()
	const large = 100_000
	for id := range large {
		c.Insert(record(id, first, id, 0))
	}
	sel := &store.Selection{SagaID: of(first), KeepNewest: large, Limit: 10}
	b.ReportAllocs()
	for id := large; b.Loop(); id++ {
		c.Insert(record(id, first, id, 0))
		chosen, _ := c.Choose(sel)
		for _, r := range chosen {
			c.Remove(r.ID)
		}
	}
}
