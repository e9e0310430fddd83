package catalog_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
)

const manySnapshots, manySagas = 100_000, 10_000

// nextRecord makes records such as a busy day brings: ten snapshots to a saga,
// times that ascend, ids that do not, every second one with a retention.
func nextRecord() func() *catalog.Record {
	random := rand.New(rand.NewPCG(1, 2))
	var steps [20]string
	for i := range steps {
		steps[i] = fmt.Sprintf("step-%d", i)
	}
	n := 0
	return func() *catalog.Record {
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:], random.Uint64())
		binary.BigEndian.PutUint64(id[8:], random.Uint64())
		r := &catalog.Record{
			Summary: saga.Summary{
				ID: id, SagaID: nth(n % manySagas), SagaName: "order", StepName: steps[n%20], StepIndex: int32(n / manySagas),
				Status: saga.Statuses[n%8], CreatedAt: at(n), RetentionUntil: saga.Never, SizeBytes: 2000,
			},
			Location: catalog.Location{RawSize: 2000, Modified: int64(n)},
		}
		if n%2 == 0 {
			r.RetentionUntil = at(n + random.IntN(manySnapshots))
		}
		n++
		return r
	}
}

func filled() *catalog.Catalog {
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

// BenchmarkMemory reports what a snapshot takes of the heap, among 100,000 in
// 10,000 sagas.
func BenchmarkMemory(b *testing.B) {
	var taken, runs uint64
	for b.Loop() {
		before := heap()
		c := filled()
		taken += heap() - before
		runs++
		runtime.KeepAlive(c)
	}
	b.ReportMetric(float64(taken)/float64(runs*manySnapshots), "bytes/snapshot")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkList asks for the newest 100 snapshots, of all and of one saga.
func BenchmarkList(b *testing.B) {
	c := filled()
	for name, q := range map[string]*saga.Query{
		"all":  {Limit: 100},
		"saga": {Limit: 100, SagaID: of(nth(77))},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.List(q)
			}
		})
	}
}

func BenchmarkSagas(b *testing.B) {
	c := filled()
	for b.Loop() {
		c.Sagas(&saga.Query{Limit: 100})
	}
}
