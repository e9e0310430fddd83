package catalog_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	epoch         = saga.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	first, second = nth(1001), nth(1002) // sagas
)

// nth is the n-th id, counted in their order.
func nth(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func ptr[T any](v T) *T { return &v }

// at is so many microseconds after the epoch of the tests.
func at(n int) saga.Time { return epoch + saga.Time(n) }

// record is a snapshot of 10 bytes that is kept for ever.
func record(id int, sagaID uuid.UUID, created int, step int32) *catalog.Record {
	return &catalog.Record{
		Summary: saga.Summary{
			ID: nth(id), SagaID: sagaID, SagaName: "order", StepName: "charge", StepIndex: step, Status: "executing",
			CreatedAt: at(created), RetentionUntil: saga.Never, SizeBytes: 10,
		},
		Location: catalog.Location{RawSize: 30},
	}
}

func expiring(r *catalog.Record, until int) *catalog.Record {
	r.RetentionUntil = at(until)
	return r
}

func insert(t *testing.T, c *catalog.Catalog, records ...*catalog.Record) {
	t.Helper()
	for _, r := range records {
		if !c.Insert(r) {
			t.Fatalf("%s is known already", r.ID)
		}
	}
}

// ordered is a catalogue whose snapshots are, oldest first, those with the ids
// 2, 6, 7, 8, 9, 3, 4, 5, 1, of which 6, 8 and 4 belong to the second saga.
func ordered(t *testing.T) *catalog.Catalog {
	c := catalog.New()
	insert(t, c,
		record(9, first, 20, 1), record(1, first, 30, 0), record(2, first, -10, 100),
		record(4, second, 20, 2), record(7, first, 20, 0), record(3, first, 20, 2),
		record(8, second, 20, 0), record(5, first, 20, 2), record(6, second, 10, 99))
	return c
}

// list answers the last bytes of the ids on all pages.
func list(t *testing.T, c *catalog.Catalog, q saga.Query) (ids []int) {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	for {
		page, next := c.List(&q)
		for _, r := range page {
			ids = append(ids, int(r.ID[15]))
		}
		if next == nil {
			return ids
		}
		if len(page) != q.Limit || *next != page[q.Limit-1].Position() {
			t.Fatalf("next is %+v behind %d of %d records", next, len(page), q.Limit)
		}
		q.From = next
	}
}

func of(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: true} }

func reversed(ids []int) []int {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

// check runs a query downwards and upwards.
func check(t *testing.T, c *catalog.Catalog, q saga.Query, descending ...int) {
	t.Helper()
	q.Ascending = false
	if got := list(t, c, q); !slices.Equal(got, descending) {
		t.Errorf("%+v down: %v, want %v", q, got, descending)
	}
	q.Ascending = true
	if got := list(t, c, q); !slices.Equal(got, reversed(descending)) {
		t.Errorf("%+v up: %v, want %v", q, got, reversed(descending))
	}
}

func TestOrder(t *testing.T) {
	c := ordered(t)
	for limit := 1; limit < 11; limit++ {
		check(t, c, saga.Query{Limit: limit}, 1, 5, 4, 3, 9, 8, 7, 6, 2)
		check(t, c, saga.Query{Limit: limit, SagaID: of(first)}, 1, 5, 3, 9, 7, 2)
		check(t, c, saga.Query{Limit: limit, SagaID: of(second)}, 4, 8, 6)
	}
	check(t, c, saga.Query{SagaID: of(nth(77))})
	if page, next := c.List(&saga.Query{Limit: 9}); len(page) != 9 || next != nil {
		t.Errorf("a full last page: %d records, next %+v", len(page), next)
	}
}

func TestBounds(t *testing.T) {
	c := ordered(t)
	for _, tt := range []struct {
		filter saga.Filter
		want   []int
	}{
		{saga.Filter{After: ptr(at(20))}, []int{1}},
		{saga.Filter{After: ptr(at(19))}, []int{1, 5, 4, 3, 9, 8, 7}},
		{saga.Filter{Before: ptr(at(20))}, []int{6, 2}},
		{saga.Filter{Before: ptr(at(21))}, []int{5, 4, 3, 9, 8, 7, 6, 2}},
		{saga.Filter{At: ptr(at(20))}, []int{5, 4, 3, 9, 8, 7, 6, 2}},
		{saga.Filter{At: ptr(at(19))}, []int{6, 2}},
		{saga.Filter{After: ptr(at(-10)), Before: ptr(at(20))}, []int{6}},
		{saga.Filter{After: ptr(at(10)), At: ptr(at(20)), Before: ptr(at(30))}, []int{5, 4, 3, 9, 8, 7}},
		{saga.Filter{At: ptr(at(30)), Before: ptr(at(10))}, []int{2}},
		{saga.Filter{After: ptr(at(20)), Before: ptr(at(20))}, nil},
		{saga.Filter{After: ptr(at(30)), Before: ptr(at(-10))}, nil},
		{saga.Filter{After: ptr(at(30))}, nil},
		{saga.Filter{Before: ptr(at(-10))}, nil},
	} {
		check(t, c, saga.Query{Filter: tt.filter, Limit: 2}, tt.want...)
		mine := slices.DeleteFunc(tt.want, func(id int) bool { return id == 4 || id == 6 || id == 8 })
		check(t, c, saga.Query{Filter: tt.filter, Limit: 2, SagaID: of(first)}, mine...)
	}
}

func TestBoundsMeetExtremePositions(t *testing.T) {
	c := catalog.New()
	low, high := record(0, first, 0, 0), record(0, first, 0, 1<<31-1)
	high.ID = uuid.Max
	insert(t, c, low, high)
	for _, q := range []saga.Query{{}, {SagaID: of(first)}} {
		check(t, c, q, 255, 0)
		q.After = &epoch
		check(t, c, q)
		q.After, q.Before = nil, &epoch
		check(t, c, q)
		q.Before, q.At = nil, &epoch
		check(t, c, q, 255, 0)
	}
}

func TestFilters(t *testing.T) {
	c := catalog.New()
	for id, f := range [][3]string{
		1: {"order", "charge", "completed"},
		2: {"order", "ship", "completed"},
		3: {"order", "ship", "failed"},
		4: {"refund", "ship", "failed"},
	} {
		if id == 0 {
			continue
		}
		r := record(id, first, id, 0)
		r.SagaName, r.StepName, r.Status = f[0], f[1], f[2]
		insert(t, c, r)
	}
	for _, limit := range []int{1, 2, 10} {
		check(t, c, saga.Query{Limit: limit, Filter: saga.Filter{SagaName: "order"}}, 3, 2, 1)
		check(t, c, saga.Query{Limit: limit, Filter: saga.Filter{StepName: "ship"}}, 4, 3, 2)
		check(t, c, saga.Query{Limit: limit, Filter: saga.Filter{Status: "completed"}}, 2, 1)
		check(t, c, saga.Query{Limit: limit, Filter: saga.Filter{SagaName: "order", StepName: "ship", Status: "failed"}}, 3)
		check(t, c, saga.Query{Limit: limit, Filter: saga.Filter{StepName: "sh"}})
		check(t, c, saga.Query{Limit: limit, Filter: saga.Filter{Status: "failed", Before: ptr(at(4))}}, 3)
	}
}

// A cursor is a place, not a record: it stays where it is when its record goes
// and others come.
func TestCursorIsStable(t *testing.T) {
	for _, q := range []saga.Query{{}, {SagaID: of(first)}} {
		c := catalog.New()
		for id := range 10 {
			insert(t, c, record(id, first, id/3, int32(id%3)))
		}
		q.Limit = 4
		page, next := c.List(&q)
		for _, r := range page {
			c.Remove(r.ID)
		}
		insert(t, c, record(20, first, 3, 5), record(21, first, 2, 0), record(22, first, 1, 1))
		q.From = next
		if got, want := list(t, c, q), []int{5, 22, 4, 3, 2, 1, 0}; !slices.Equal(got, want) {
			t.Errorf("down: %v, want %v", got, want)
		}
		q.Ascending = true
		if got, want := list(t, c, q), []int{21, 20}; !slices.Equal(got, want) {
			t.Errorf("up: %v, want %v", got, want)
		}
	}
}

func TestInsertOfAKnownID(t *testing.T) {
	c := catalog.New()
	insert(t, c, record(1, first, 0, 0))
	other := record(1, second, 5, 5)
	if c.Insert(other) {
		t.Error("inserted twice")
	}
	if r, _ := c.Get(nth(1)); r != *record(1, first, 0, 0) {
		t.Errorf("found %+v, want the first", r)
	}
	if c.Contains(second) {
		t.Error("the second saga has appeared")
	}
	c.Remove(nth(1))
	insert(t, c, other)
	if r, _ := c.Get(nth(1)); r != *other {
		t.Errorf("found %+v, want %+v", r, *other)
	}
	check(t, c, saga.Query{}, 1)
	check(t, c, saga.Query{SagaID: of(first)})
}

func TestRecordsComeBack(t *testing.T) {
	c := catalog.New()
	r := expiring(record(1, first, 3, 4), 5)
	r.Location = catalog.Location{RawSize: 1 << 40, Modified: 1234567890123456789, Gzip: true, GzipName: true, Foreign: true}
	insert(t, c, r, record(2, first, 9, 9))
	got, ok := c.Get(nth(1))
	if !ok || got != *r {
		t.Errorf("found %+v, want %+v", got, *r)
	}
	if got := c.Snapshots(first); len(got) != 2 || got[1] != *r {
		t.Errorf("the saga's snapshots are %+v, newest first", got)
	}
	if got, ok := c.Remove(nth(1)); !ok || got != *r {
		t.Errorf("removed %+v, want %+v", got, *r)
	}
	if _, ok := c.Get(nth(1)); ok {
		t.Error("found afterwards")
	}
	if _, ok := c.Remove(nth(1)); ok {
		t.Error("removed twice")
	}
	if got := c.Snapshots(second); got != nil {
		t.Errorf("an unknown saga has %+v", got)
	}
}

func fill(c *catalog.Catalog, now saga.Time) *store.Stats {
	var s store.Stats
	c.Fill(&s, now)
	return &s
}
