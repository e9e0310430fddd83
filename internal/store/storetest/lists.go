package storetest

import (
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// inOrder saves snapshots of two sagas, among them ones that only the step or
// only the id tells apart, and answers them newest first.
func (f *fixture) inOrder() []saga.Summary {
	f.Helper()
	newest := []*saga.Snapshot{
		newSnapshot(orders, withID(nth(1)), created(30)),
		newSnapshot(orders, withID(nth(5)), created(20), index(2)),
		newSnapshot(refunds, withID(nth(4)), created(20), index(2)),
		newSnapshot(orders, withID(nth(3)), created(20), index(2)),
		newSnapshot(orders, withID(nth(9)), created(20), index(1)),
		newSnapshot(refunds, withID(nth(8)), created(20)),
		newSnapshot(orders, withID(nth(7)), created(20)),
		newSnapshot(refunds, withID(nth(6)), created(10), index(99)),
		newSnapshot(orders, withID(nth(2)), created(-10), index(100)),
	}
	list := make([]saga.Summary, len(newest))
	for _, i := range []int{4, 0, 8, 2, 6, 3, 7, 1, 5} {
		list[i] = f.put(newest[i])
	}
	return list
}

func ofSaga(list []saga.Summary, id uuid.UUID) []saga.Summary {
	return slices.DeleteFunc(slices.Clone(list), func(s saga.Summary) bool { return s.SagaID != id })
}

func testOrder(f *fixture) {
	want := f.inOrder()
	f.sameSummaries(f.walk(&saga.Query{Limit: 100}), want)
	f.sameSummaries(f.walk(&saga.Query{Limit: 100, SagaID: valid(orders)}), ofSaga(want, orders))
	f.sameSummaries(f.walk(&saga.Query{Limit: 100, SagaID: valid(refunds)}), ofSaga(want, refunds))
}

func testAscending(f *fixture) {
	want := f.inOrder()
	slices.Reverse(want)
	f.sameSummaries(f.walk(&saga.Query{Limit: 100, Ascending: true}), want)
	f.sameSummaries(f.walk(&saga.Query{Limit: 100, Ascending: true, SagaID: valid(orders)}), ofSaga(want, orders))
}

func testPaging(f *fixture) {
	all := f.inOrder()
	for _, ascending := range []bool{false, true} {
		for _, of := range []uuid.NullUUID{{}, valid(orders)} {
			want := all
			if of.Valid {
				want = ofSaga(all, orders)
			}
			for limit := 1; limit <= len(want)+1; limit++ {
				q := &saga.Query{SagaID: of, Ascending: ascending, Limit: limit}
				f.sameSummaries(f.walk(q), want)
				first := f.page(q)
				if n := len(first.Items); n != min(limit, len(want)) {
					f.Errorf("the first page of %d has %d items", limit, n)
				}
				if (first.Next == nil) != (limit >= len(want)) {
					f.Errorf("Next is %+v on the first page of %d, of %d in all", first.Next, limit, len(want))
				}
			}
		}
		slices.Reverse(all)
	}
}

func testBounds(f *fixture) {
	ids := map[int]uuid.UUID{}
	for _, seconds := range []int{10, 20, 30} {
		ids[seconds] = f.put(newSnapshot(orders, created(seconds), index(int32(seconds)))).ID
	}
	justAfter := at(20) + 1
	for _, tt := range []struct {
		filter saga.Filter
		want   []uuid.UUID
	}{
		{saga.Filter{After: ptr(at(20))}, []uuid.UUID{ids[30]}},
		{saga.Filter{After: ptr(at(20) - 1)}, []uuid.UUID{ids[30], ids[20]}},
		{saga.Filter{After: ptr(at(30))}, nil},
		{saga.Filter{Before: ptr(at(20))}, []uuid.UUID{ids[10]}},
		{saga.Filter{Before: &justAfter}, []uuid.UUID{ids[20], ids[10]}},
		{saga.Filter{Before: ptr(at(10))}, nil},
		{saga.Filter{At: ptr(at(20))}, []uuid.UUID{ids[20], ids[10]}},
		{saga.Filter{At: ptr(at(20) - 1)}, []uuid.UUID{ids[10]}},
		{saga.Filter{At: ptr(at(9))}, nil},
		{saga.Filter{After: ptr(at(10)), Before: ptr(at(30))}, []uuid.UUID{ids[20]}},
		{saga.Filter{After: ptr(at(20)), Before: ptr(at(20))}, nil},
		{saga.Filter{After: ptr(at(30)), Before: ptr(at(10))}, nil},
		{saga.Filter{After: ptr(at(20)), At: ptr(at(20))}, nil},
		{saga.Filter{Before: ptr(at(20)), At: ptr(at(30))}, []uuid.UUID{ids[10]}},
		{saga.Filter{Before: ptr(at(31)), At: ptr(at(20))}, []uuid.UUID{ids[20], ids[10]}},
	} {
		up := slices.Clone(tt.want)
		slices.Reverse(up)
		for _, of := range []uuid.NullUUID{{}, valid(orders)} {
			f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: tt.filter}), tt.want...)
			f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: tt.filter, Ascending: true}), up...)
		}
	}
}

func testExtremePositions(f *fixture) {
	first := saga.At(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	last := saga.At(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))
	low := f.put(newSnapshot(orders, withID(uuid.Nil)))
	high := f.put(newSnapshot(orders, withID(uuid.Max), index(math.MaxInt32)))
	oldest := newSnapshot(orders, withID(nth(1)))
	oldest.CreatedAt = first
	newest := newSnapshot(orders, withID(nth(2)))
	newest.CreatedAt = last
	f.put(oldest)
	f.put(newest)
	for _, of := range []uuid.NullUUID{{}, valid(orders)} {
		f.sameIDs(f.ids(saga.Query{SagaID: of}), newest.ID, high.ID, low.ID, oldest.ID)
		f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: saga.Filter{After: &epoch}}), newest.ID)
		f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: saga.Filter{Before: &epoch}}), oldest.ID)
		f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: saga.Filter{At: &epoch}}), high.ID, low.ID, oldest.ID)
		f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: saga.Filter{Before: &first}}))
		f.sameIDs(f.ids(saga.Query{SagaID: of, Filter: saga.Filter{After: &last}}))
	}
}

func testFilters(f *fixture) {
	charge := f.put(newSnapshot(orders, created(1), step("charge"), status("completed"), named("order"))).ID
	ship := f.put(newSnapshot(orders, created(2), step("ship"), status("completed"), named("order"))).ID
	broke := f.put(newSnapshot(orders, created(3), step("ship"), status("failed"), named("order"))).ID
	other := f.put(newSnapshot(refunds, created(4), step("ship"), status("failed"), named("refund"))).ID
	of := valid(orders)
	for _, tt := range []struct {
		q    saga.Query
		want []uuid.UUID
	}{
		{saga.Query{Filter: saga.Filter{StepName: "ship"}}, []uuid.UUID{other, broke, ship}},
		{saga.Query{Filter: saga.Filter{Status: "completed"}}, []uuid.UUID{ship, charge}},
		{saga.Query{Filter: saga.Filter{SagaName: "refund"}}, []uuid.UUID{other}},
		{saga.Query{Filter: saga.Filter{StepName: "ship", Status: "failed", SagaName: "order"}}, []uuid.UUID{broke}},
		{saga.Query{Filter: saga.Filter{StepName: "ship", Before: ptr(at(3))}}, []uuid.UUID{ship}},
		{saga.Query{Filter: saga.Filter{StepName: "Ship"}}, nil},
		{saga.Query{Filter: saga.Filter{StepName: "shi"}}, nil},
		{saga.Query{SagaID: of, Filter: saga.Filter{StepName: "ship"}}, []uuid.UUID{broke, ship}},
		{saga.Query{SagaID: of, Filter: saga.Filter{Status: "failed"}}, []uuid.UUID{broke}},
		{saga.Query{SagaID: of, Filter: saga.Filter{SagaName: "refund"}}, nil},
	} {
		f.sameIDs(f.ids(tt.q), tt.want...)
		tt.q.Ascending = true
		slices.Reverse(tt.want)
		f.sameIDs(f.ids(tt.q), tt.want...)
	}
	// The last match has no Next, though more snapshots follow.
	if page := f.page(&saga.Query{Filter: saga.Filter{SagaName: "refund"}, Limit: 1}); page.Next != nil {
		f.Errorf("Next is %+v behind the only match", page.Next)
	}
}

func testUnknownSaga(f *fixture) {
	f.put(newSnapshot(orders))
	page := f.page(&saga.Query{SagaID: valid(refunds), Limit: 10})
	if len(page.Items) != 0 || page.Next != nil || len(page.Unreadable) != 0 {
		f.Errorf("an unknown saga has %+v", page)
	}
}
