package storetest

import (
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// stable saves snapshots that stay for the whole test, many of them at one time.
func (f *fixture) stable() []saga.Summary {
	f.Helper()
	m := newModel()
	for n := range 24 {
		s := f.put(newSnapshot([]uuid.UUID{orders, refunds}[n%4/3], created(n/6*10), index(int32(n%3))))
		m.snapshots[s.ID] = &s
	}
	return m.list(&saga.Query{})
}

// testWalkUnderChange saves and deletes all around the place where the walk
// stands, also the very snapshot that Next names.
func testWalkUnderChange(f *fixture) {
	stable := f.stable()
	random := rand.New(rand.NewPCG(1, 2))
	for _, ascending := range []bool{false, true} {
		for _, limit := range []int{1, 5} {
			for _, of := range []uuid.NullUUID{{}, valid(orders)} {
				want := stable
				if of.Valid {
					want = ofSaga(stable, orders)
				}
				f.walkAndChange(random, &saga.Query{SagaID: of, Ascending: ascending, Limit: limit}, want)
			}
		}
		slices.Reverse(stable)
	}
}

func (f *fixture) walkAndChange(random *rand.Rand, q *saga.Query, want []saga.Summary) {
	f.Helper()
	passing := map[uuid.UUID]bool{}
	add := func() {
		s := f.put(newSnapshot(orders, created(random.IntN(5)*10-5*random.IntN(2)), index(int32(random.IntN(4)))))
		passing[s.ID] = true
	}
	for range 5 {
		add()
	}
	var seen []saga.Summary
	for {
		page := f.page(q)
		for _, item := range page.Items {
			seen = append(seen, item.Summary)
			if passing[item.ID] {
				f.delete(item.ID)
				delete(passing, item.ID)
			}
		}
		if page.Next == nil {
			break
		}
		q.From = page.Next
		// Fewer come than the walk passes, so it ends.
		if random.IntN(3) == 0 {
			add()
		}
	}
	for id := range passing {
		f.delete(id)
	}
	f.sawStable(seen, want, q.Ascending)
}

// sawStable checks that a walk went in one direction, and that it saw each of
// want exactly once.
func (f *fixture) sawStable(seen, want []saga.Summary, ascending bool) {
	f.Helper()
	for i := 1; i < len(seen); i++ {
		if c := compare(seen[i-1].Position(), seen[i].Position()); c == 0 || (c < 0) != ascending {
			f.Errorf("after %+v came %+v", seen[i-1], seen[i])
		}
	}
	f.sameSummaries(slices.DeleteFunc(seen, func(s saga.Summary) bool { return !slices.Contains(want, s) }), want)
}

func testWalkUnderConcurrentChange(f *fixture) {
	stable := f.stable()
	f.whileChanging(func() {
		for _, ascending := range []bool{false, true} {
			q := &saga.Query{Limit: 3, Ascending: ascending}
			f.sawStable(f.walk(q), stable, ascending)
			q.SagaID = valid(orders)
			f.sawStable(f.walk(q), ofSaga(stable, orders), ascending)
			slices.Reverse(stable)
		}
	})
}
