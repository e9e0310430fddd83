package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
)

// The names of a large catalogue: common ones, and ones of which there are few.
var (
	manyNames    = []string{"order", "order", "order", "refund", "refund", "rare"}
	manyStatuses = []string{"completed", "completed", "completed", "executing", "failed"}
	unknown      = "nowhere"
)

// many makes records in no order, in sagas small and large, of which some are removed
// again. Names and steps depend on each other, so that some pairs of common ones are
// nowhere.
func many(seed uint64, n int) (c *catalog.Catalog, left naive) {
	random := rand.New(rand.NewPCG(seed, 0))
	c = catalog.New()
	c.Loading()
	make1 := func(id int) catalog.Record {
		name := manyNames[random.IntN(len(manyNames))]
		of := nth(2_000_000 + random.IntN(n/3))
		if random.IntN(10) == 0 {
			of = first
		}
		r := record(id, of, random.IntN(n), int32(random.IntN(3)))
		r.SagaName, r.Status = name, manyStatuses[random.IntN(len(manyStatuses))]
		r.StepName = fmt.Sprint(name, "-", random.IntN(100))
		if name == "rare" && random.IntN(20) > 0 {
			r.SagaName, r.StepName = "order", "order-7"
		}
		if random.IntN(2) == 0 {
			r.RetentionUntil = at(random.IntN(n))
		}
		return *r
	}
	byID := map[uuid.UUID]catalog.Record{}
	for id := range n {
		r := make1(id)
		byID[r.ID] = r
		if id == n/2 {
			c.Loaded()
		}
		if id%2 == 0 {
			c.Insert(&r)
		} else {
			c.InsertAll([]catalog.Record{r})
		}
	}
	for id := range n {
		if random.IntN(3) == 0 || id < n/4 && random.IntN(10) > 0 {
			c.Remove(nth(id))
			delete(byID, nth(id))
		}
	}
	for _, r := range byID {
		left = append(left, r)
	}
	slices.SortFunc(left, func(a, b catalog.Record) int { return a.Position().Compare(b.Position()) })
	return c, left
}

// TestSearchAmongMany compares pages of many filters with a search from end to end, in
// a catalogue that is larger than its parts are.
func TestSearchAmongMany(t *testing.T) {
	const n = 40_000
	c, left := many(1, n)
	latest := map[uuid.UUID]catalog.Record{}
	for _, r := range left {
		latest[r.SagaID] = r
	}
	active := left.where(func(r *catalog.Record) bool { return latest[r.SagaID].ID == r.ID })
	ofLarge := left.ofSaga(first)
	if len(ofLarge) < 600 || len(active) < 2000 {
		t.Fatalf("the large saga has %d snapshots, and there are %d sagas", len(ofLarge), len(active))
	}
	someTime := rapid.Map(rapid.IntRange(-1, n), at)
	rapid.Check(t, func(t *rapid.T) {
		q := &saga.Query{Ascending: rapid.Bool().Draw(t, "ascending"), Limit: rapid.SampledFrom([]int{1, 10, 1000}).Draw(t, "limit")}
		q.SagaName = rapid.SampledFrom([]string{"", "", "order", "refund", "rare", unknown}).Draw(t, "name")
		q.StepName = rapid.SampledFrom([]string{"", "", "order-1", "order-7", "refund-99", "rare-3", unknown}).Draw(t, "step")
		q.Status = rapid.SampledFrom([]string{"", "", "completed", "failed", unknown}).Draw(t, "status")
		q.After, q.Before, q.At = rapid.Ptr(someTime, true).Draw(t, "after"), rapid.Ptr(someTime, true).Draw(t, "before"), rapid.Ptr(someTime, true).Draw(t, "at")
		switch rapid.SampledFrom([]string{"all", "saga", "sagas"}).Draw(t, "of") {
		case "all":
			walkAll(t, q, left, func() ([]uuid.UUID, *saga.Position) { page, next := c.List(q); return naive(page).ids(), next })
		case "saga":
			q.SagaID = of(first)
			walkAll(t, q, ofLarge, func() ([]uuid.UUID, *saga.Position) { page, next := c.List(q); return naive(page).ids(), next })
		default:
			walkAll(t, q, active, func() (ids []uuid.UUID, next *saga.Position) {
				page, next := c.Sagas(q)
				for _, s := range page {
					ids = append(ids, s.LastSnapshotID)
				}
				return ids, next
			})
		}
	})
	for range 100 {
		now := at(rand.IntN(n))
		if got, want := fill(c, now).Expired, len(left.where(func(r *catalog.Record) bool { return r.RetentionUntil < now })); got != want {
			t.Fatalf("%d have expired at %d, want %d", got, now-epoch, want)
		}
	}
}

// walkAll compares the pages of a list, the first few and all of a short one.
func walkAll(t *rapid.T, q *saga.Query, of naive, ask func() ([]uuid.UUID, *saga.Position)) {
	q.From = nil
	whole := *q
	whole.Limit = len(of)
	want, _ := of.page(&whole)
	for range 8 {
		got, next := ask()
		n := min(q.Limit, len(want))
		if !slices.Equal(got, want[:n].ids()) || (next != nil) != (n < len(want)) {
			t.Fatalf("%d answered, more=%t; want %d, more=%t", len(got), next != nil, n, n < len(want))
		}
		if next == nil {
			return
		}
		if *next != want[n-1].Position() {
			t.Fatalf("next is %+v", next)
		}
		want, q.From = want[n:], next
	}
}

// TestAllIsForgotten removes everything, twice: what is left takes no room, and names
// that are used no more are not kept.
func TestAllIsForgotten(t *testing.T) {
	c := catalog.New()
	for range 2 {
		for id := range 3000 {
			r := expiring(record(id, nth(5000+id%7), 3000-id, 0), id)
			r.StepName = fmt.Sprint("step-", id)
			insert(t, c, r)
		}
		for id := range 3000 {
			if r, ok := c.Remove(nth(id * 7 % 3000)); !ok || r.StepName != fmt.Sprint("step-", id*7%3000) {
				t.Fatalf("removed %+v, %t", r, ok)
			}
		}
		if s := fill(c, saga.Never); s.Snapshots+s.Sagas+s.Expired+len(s.SnapshotsByStatus) > 0 || s.Newest != saga.Never {
			t.Fatalf("left is %+v", s)
		}
		check(t, c, saga.Query{})
		checkSagas(t, c, saga.Query{})
	}
	if snapshots, kinds, blocks := c.Sizes(); snapshots != 3000 || kinds > 3001 || blocks != 0 {
		t.Errorf("room for %d snapshots and %d kinds, %d blocks", snapshots, kinds, blocks)
	}
}

// TestWhileLoading finds by id, and puts the rest in order at the end.
func TestWhileLoading(t *testing.T) {
	c := catalog.New()
	c.Loading()
	if known := c.InsertAll([]catalog.Record{*record(3, first, 3, 0), *record(1, first, 1, 0)}); known != nil {
		t.Errorf("known are %v", known)
	}
	known := c.InsertAll([]catalog.Record{*record(3, second, 9, 0), *expiring(record(2, second, 2, 0), 5)})
	if len(known) != 1 || known[0].SagaID != second || known[0].ID != nth(3) {
		t.Errorf("known are %+v", known)
	}
	if r, ok := c.Remove(nth(3)); !ok || r.SagaID != first {
		t.Errorf("removed %+v", r)
	}
	insert(t, c, record(3, second, 9, 0))
	c.Loaded()
	check(t, c, saga.Query{}, 3, 2, 1)
	checkSagas(t, c, saga.Query{}, second, first)
	if s := fill(c, at(6)); s.Expired != 1 {
		t.Errorf("%d have expired", s.Expired)
	}
}
