package storetest

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// sagaIDs answers the sagas of a list, on pages of every size up to theirs.
func (f *fixture) sagaIDs(q saga.Query) (ids []uuid.UUID) {
	f.Helper()
	q.Limit = 100
	all := f.walkSagas(&q)
	for limit := range all {
		q.Limit = limit + 1
		f.sameSagas(f.walkSagas(&q), all)
	}
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

func testSagaSummary(f *fixture) {
	middle := f.put(newSnapshot(orders, created(20), index(1), step("charge"), named("order v1")))
	first := f.put(newSnapshot(orders, created(10), index(5), step("start"), status("pending")))
	last := f.put(newSnapshot(orders, created(20), index(2), step("ship"), status("failed"), named("order v2")))
	f.put(newSnapshot(refunds, created(40)))
	want := saga.Saga{
		ID: orders, Name: "order v2", SnapshotCount: 3, FirstCreatedAt: at(10), LastCreatedAt: at(20),
		LastSnapshotID: last.ID, LastStepName: "ship", LastStepIndex: 2, LastStatus: "failed",
		SizeBytes: first.SizeBytes + middle.SizeBytes + last.SizeBytes,
	}
	got, err := f.store.Saga(f.ctx(), orders)
	if err != nil || *got != want {
		f.Errorf("%+v, %v; want %+v", got, err, want)
	}
	page := f.sagaPage(&saga.Query{Limit: 10})
	if len(page.Sagas) != 2 || page.Sagas[1] != want {
		f.Errorf("listed %+v, want %+v behind another", page.Sagas, want)
	}
}

func testSagaMissing(f *fixture) {
	_, err := f.store.Saga(f.ctx(), orders)
	f.wantError("unknown", err, saga.ErrSagaNotFound)
	f.putReplay(newReplay(orders))
	_, err = f.store.Saga(f.ctx(), orders)
	f.wantError("with replays only", err, saga.ErrSagaNotFound)
	s := f.put(newSnapshot(orders))
	f.delete(s.ID)
	_, err = f.store.Saga(f.ctx(), orders)
	f.wantError("after its last snapshot was deleted", err, saga.ErrSagaNotFound)
	f.sameIDs(f.sagaIDs(saga.Query{}))
}

func testSagaOrder(f *fixture) {
	f.put(newSnapshot(orders, created(10), index(7)))
	f.put(newSnapshot(refunds, created(10), index(8)))
	f.put(newSnapshot(parcels, created(5), index(9)))
	f.sameIDs(f.sagaIDs(saga.Query{}), refunds, orders, parcels)
	f.sameIDs(f.sagaIDs(saga.Query{Ascending: true}), parcels, orders, refunds)
	f.sameIDs(f.sagaIDs(saga.Query{SagaID: valid(orders)}), refunds, orders, parcels) // ignored

	f.put(newSnapshot(parcels, withID(nth(1)), created(10), index(8)))
	f.put(newSnapshot(orders, withID(nth(2)), created(10), index(8)))
	f.sameIDs(f.sagaIDs(saga.Query{})[1:], orders, parcels)
}

func testSagaMoves(f *fixture) {
	f.put(newSnapshot(orders, created(10)))
	latest := f.put(newSnapshot(orders, created(40)))
	f.put(newSnapshot(refunds, created(20)))
	f.put(newSnapshot(parcels, created(30)))
	f.sameIDs(f.sagaIDs(saga.Query{}), orders, parcels, refunds)

	early := f.put(newSnapshot(refunds, created(-100)))
	f.sameIDs(f.sagaIDs(saga.Query{}), orders, parcels, refunds)
	if s, err := f.store.Saga(f.ctx(), refunds); err != nil || s.FirstCreatedAt != at(-100) || s.LastCreatedAt != at(20) {
		f.Errorf("after a back-dated save: %+v, %v", s, err)
	}
	f.delete(latest.ID)
	f.sameIDs(f.sagaIDs(saga.Query{}), parcels, refunds, orders)
	f.delete(early.ID)
	f.sameIDs(f.sagaIDs(saga.Query{}), parcels, refunds, orders)
	if s, err := f.store.Saga(f.ctx(), refunds); err != nil || s.FirstCreatedAt != at(20) || s.SnapshotCount != 1 {
		f.Errorf("after its first was deleted: %+v, %v", s, err)
	}
}

func testSagaFilters(f *fixture) {
	f.put(newSnapshot(orders, created(10), status("failed"), step("charge")))
	f.put(newSnapshot(orders, created(20), status("completed"), step("ship")))
	f.put(newSnapshot(refunds, created(10), status("completed"), named("refund"), step("charge")))
	f.put(newSnapshot(parcels, created(15), status("failed"), step("ship")))
	for _, tt := range []struct {
		filter saga.Filter
		want   []uuid.UUID
	}{
		{saga.Filter{Status: "failed"}, []uuid.UUID{parcels}},
		{saga.Filter{Status: "completed"}, []uuid.UUID{orders, refunds}},
		{saga.Filter{StepName: "charge"}, []uuid.UUID{refunds}},
		{saga.Filter{SagaName: "order"}, []uuid.UUID{orders, parcels}},
		{saga.Filter{SagaName: "order", Status: "completed"}, []uuid.UUID{orders}},
		{saga.Filter{Before: ptr(at(20))}, []uuid.UUID{parcels, refunds}},
		{saga.Filter{After: ptr(at(10))}, []uuid.UUID{orders, parcels}},
		{saga.Filter{At: ptr(at(15))}, []uuid.UUID{parcels, refunds}},
		{saga.Filter{At: ptr(at(9))}, nil},
	} {
		f.sameIDs(f.sagaIDs(saga.Query{Filter: tt.filter}), tt.want...)
		slices.Reverse(tt.want)
		f.sameIDs(f.sagaIDs(saga.Query{Filter: tt.filter, Ascending: true}), tt.want...)
	}
}

func testSagaPaging(f *fixture) {
	var want []uuid.UUID
	for n := range 7 {
		id := uuid.New()
		f.put(newSnapshot(id, created(n/3*10), index(int32(n%3))))
		f.put(newSnapshot(id, created(-1-n), index(9)))
		want = append(want, id)
	}
	f.sameIDs(f.sagaIDs(saga.Query{Ascending: true}), want...)
	slices.Reverse(want)
	f.sameIDs(f.sagaIDs(saga.Query{}), want...)
	if page := f.sagaPage(&saga.Query{Limit: 7}); page.Next != nil {
		f.Errorf("Next is %+v behind the last saga", page.Next)
	}
}

func testSagaWalkUnderChange(f *fixture) {
	stays := map[uuid.UUID]int{}
	var moves []saga.Summary
	for n := range 6 {
		stays[f.put(newSnapshot(uuid.New(), created(10*n))).SagaID] = 0
		moves = append(moves, f.put(newSnapshot(uuid.New(), created(10*n+5))))
	}
	n := 0
	for q := (saga.Query{Limit: 1}); ; n++ {
		page := f.sagaPage(&q)
		for _, s := range page.Sagas {
			if _, ok := stays[s.ID]; ok {
				stays[s.ID]++
			}
		}
		if page.Next == nil {
			break
		}
		q.From = page.Next
		switch i := n % len(moves); n % 3 {
		case 0: // to the front
			f.put(newSnapshot(moves[i].SagaID, created(1000+n)))
		case 1: // a new one, behind
			f.put(newSnapshot(uuid.New(), created(-n), named(fmt.Sprint("new ", n))))
		case 2: // away
			if _, err := f.store.Delete(f.ctx(), moves[i].ID); err == nil {
				moves[i] = f.put(newSnapshot(moves[i].SagaID, created(25)))
			}
		}
	}
	for id, times := range stays {
		if times != 1 {
			f.Errorf("saga %s was seen %d times", id, times)
		}
	}
}
