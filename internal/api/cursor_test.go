package api

import (
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// FuzzCursor: a cursor that is taken is one that we would give, of this list and no
// other.
func FuzzCursor(f *testing.F) {
	q := &saga.Query{Limit: 10, Filter: saga.Filter{SagaName: "order"}}
	at := saga.Position{CreatedAt: 1_000_000, StepIndex: 3, ID: uuid.MustParse("0b8f0d5c-6f6e-4a0e-9d0e-000000000001")}
	const pattern = "/v1/snapshots"
	f.Add(formatCursor(&at, pattern, q), "order")
	f.Add(formatCursor(&saga.Position{}, "/v1/sagas", q), "")
	f.Add("AQAGYOSZVBtgAAAAAQGS8MEAAHAAgAAAAAAAAAI2EsjBzmaAsw", "x")
	f.Add("AQAGYOSZVBtgAAAAAQGS8MEAAHAAgAAAAAAAAAI2EsjBzmaAsw==\n", "\xff")
	f.Fuzz(func(t *testing.T, text, name string) {
		q := &saga.Query{Limit: 10, Filter: saga.Filter{SagaName: name}}
		at, ok := parseCursor(text, pattern, q)
		if ok && formatCursor(&at, pattern, q) != text {
			t.Fatalf("%q is taken as %+v, which is spelled %q", text, at, formatCursor(&at, pattern, q))
		}
		if !ok {
			return
		}
		for _, other := range []*saga.Query{
			{Filter: saga.Filter{SagaName: name + "x"}}, {Filter: saga.Filter{SagaName: name}, Ascending: true},
			{Filter: saga.Filter{SagaName: name, Status: "failed"}}, {Filter: saga.Filter{SagaName: name, StepName: "x"}},
		} {
			if _, ok := parseCursor(text, pattern, other); ok {
				t.Fatalf("%q is one of two lists", text)
			}
		}
	})
}
