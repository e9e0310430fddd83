package storetest

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// newReplay is a valid, pending replay of a saga, created at the epoch.
func newReplay(sagaID uuid.UUID) *saga.Replay {
	return &saga.Replay{
		ID: uuid.New(), OriginalSagaID: sagaID, NewSagaID: uuid.New(), CheckpointStep: "charge",
		Status: saga.ReplayPending, InitiatedBy: "system", CreatedAt: epoch, CompletedAt: saga.Never,
	}
}

func (f *fixture) putReplay(r *saga.Replay) {
	f.Helper()
	if err := f.store.PutReplay(f.ctx(), r, nil); err != nil {
		f.Fatalf("put replay %s: %v", r.ID, err)
	}
}

func (f *fixture) getReplay(id uuid.UUID) *saga.Replay {
	f.Helper()
	r, err := f.store.GetReplay(f.ctx(), id)
	if err != nil {
		f.Fatalf("get replay %s: %v", id, err)
	}
	return r
}

// fullReplay has a value in every field.
func fullReplay() *saga.Replay {
	r := newReplay(orders)
	r.Status, r.InitiatedBy = saga.ReplayFailed, "Zoë <ops>"
	r.ContextOverride = []byte(`{"amount":1.0,"note":"\u00e9\/","n":` + `123456789012345678901234567890` + `,"o":{}}`)
	r.ErrorMessage = ptr("card \"declined\"\n☂")
	r.CompletedAt = at(60) + 1
	r.SnapshotID = valid(uuid.New())
	r.DryRun = true
	return r
}

func testReplayFields(f *fixture) {
	empty := newReplay(orders)
	empty.ContextOverride, empty.ErrorMessage = []byte(`{}`), ptr("")
	for _, r := range []*saga.Replay{newReplay(orders), fullReplay(), empty} {
		f.putReplay(r)
		f.sameReplay(f.getReplay(r.ID), r)
	}
}

func testReplayMemory(f *fixture) {
	want := fullReplay()
	spoil := func(r *saga.Replay) {
		clear(r.ContextOverride)
		*r.ErrorMessage = "spoilt"
		r.Status = saga.ReplayPending
	}
	given := *want
	given.ContextOverride, given.ErrorMessage = slices.Clone(want.ContextOverride), ptr(*want.ErrorMessage)
	f.putReplay(&given)
	spoil(&given)
	for range 2 {
		got := f.getReplay(want.ID)
		f.sameReplay(got, want)
		spoil(got)
		page := f.replayPage(&saga.Query{SagaID: valid(orders), Limit: 1})
		f.sameReplay(page[0], want)
		spoil(page[0])
	}
}

func testReplayCreateOnly(f *fixture) {
	r := newReplay(orders)
	f.putReplay(r)
	other := newReplay(refunds)
	other.ID, other.Status = r.ID, saga.ReplayRunning
	for _, again := range []*saga.Replay{r, other} {
		f.wantError("put of a known id", f.store.PutReplay(f.ctx(), again, nil), saga.ErrExists)
	}
	f.sameReplay(f.getReplay(r.ID), r)
	if n := f.stats(epoch).Replays; n != 1 {
		f.Errorf("%d replays, want 1", n)
	}
}

func testConcurrentReplayPuts(f *fixture) {
	id := uuid.New()
	var won atomic.Pointer[saga.Replay]
	f.together(50, func(int) {
		r := newReplay(orders)
		r.ID = id
		switch err := f.store.PutReplay(f.ctx(), r, nil); {
		case err == nil:
			if !won.CompareAndSwap(nil, r) {
				f.Error("a second put has succeeded")
			}
		case !errors.Is(err, saga.ErrExists):
			f.Errorf("put: %v, want %v", err, saga.ErrExists)
		default:
			if _, err := f.store.GetReplay(f.ctx(), id); err != nil {
				f.Errorf("get of what exists: %v", err)
			}
		}
	})
	if won.Load() == nil {
		f.Fatal("no put has succeeded")
	}
	f.sameReplay(f.getReplay(id), won.Load())
}

func testReplayCompareAndSet(f *fixture) {
	r := newReplay(orders)
	f.putReplay(r)
	running, done, mine := *r, *r, *r
	running.Status = saga.ReplayRunning
	mine.InitiatedBy = "me"
	done.Status, done.CompletedAt = saga.ReplaySuccess, at(9)

	f.wantError("expecting another one", f.store.PutReplay(f.ctx(), &done, &running), saga.ErrReplayChanged)
	f.sameReplay(f.getReplay(r.ID), r)
	f.wantError("expecting another one of its status", f.store.PutReplay(f.ctx(), &running, &mine), saga.ErrReplayChanged)
	f.wantError("expecting it", f.store.PutReplay(f.ctx(), &running, r), nil)
	f.sameReplay(f.getReplay(r.ID), &running)
	f.wantError("once more", f.store.PutReplay(f.ctx(), &running, r), saga.ErrReplayChanged)
	f.wantError("to the end", f.store.PutReplay(f.ctx(), &done, &running), nil)
	f.sameReplay(f.getReplay(r.ID), &done)

	f.sameReplays(f.walkReplays(&saga.Query{SagaID: valid(orders), Limit: 10}), &done)
	m := newModel()
	m.replays[r.ID] = &done
	f.sameStats(f.stats(epoch), m.stats(epoch))

	gone := newReplay(orders)
	f.wantError("of a replay that is not there", f.store.PutReplay(f.ctx(), gone, gone), saga.ErrReplayChanged)
	_, err := f.store.GetReplay(f.ctx(), gone.ID)
	f.wantError("get afterwards", err, saga.ErrReplayNotFound)
}

func testConcurrentCompareAndSet(f *fixture) {
	r := newReplay(orders)
	f.putReplay(r)
	var won atomic.Pointer[saga.Replay]
	f.together(50, func(n int) {
		next := *r
		next.Status = saga.ReplayStatuses[1+n%4]
		next.InitiatedBy = uuid.NewString()
		if err := f.store.PutReplay(f.ctx(), &next, r); err != nil {
			f.wantError("replace", err, saga.ErrReplayChanged)
		} else if !won.CompareAndSwap(nil, &next) {
			f.Error("a second replacement has succeeded")
		}
	})
	if won.Load() == nil {
		f.Fatal("no replacement has succeeded")
	}
	f.sameReplay(f.getReplay(r.ID), won.Load())
}

func testReplayMissing(f *fixture) {
	f.putReplay(newReplay(orders))
	s := f.put(newSnapshot(orders))
	for _, id := range []uuid.UUID{uuid.New(), s.ID, orders} {
		_, err := f.store.GetReplay(f.ctx(), id)
		f.wantError("get", err, saga.ErrReplayNotFound)
	}
}

func (f *fixture) replayPage(q *saga.Query) []*saga.Replay {
	f.Helper()
	page, err := f.store.ListReplays(f.ctx(), q)
	if err != nil {
		f.Fatalf("list replays: %v", err)
	}
	n := len(page.Replays)
	if n > q.Limit {
		f.Errorf("%d replays on a page of %d", n, q.Limit)
	}
	if page.Next != nil && (n == 0 || *page.Next != page.Replays[n-1].Position()) {
		f.Fatalf("Next is %+v, not the position of the last of %d replays", page.Next, n)
	}
	q.From = page.Next
	return page.Replays
}

func (f *fixture) walkReplays(q *saga.Query) (all []*saga.Replay) {
	f.Helper()
	for q := *q; ; {
		all = append(all, f.replayPage(&q)...)
		if q.From == nil {
			return all
		}
	}
}

func (f *fixture) sameReplays(got []*saga.Replay, want ...*saga.Replay) {
	f.Helper()
	if !slices.EqualFunc(got, want, equalReplays) {
		f.Errorf("%d replays %+v, want %d: %+v", len(got), got, len(want), want)
	}
}

// replaysInOrder saves replays of two sagas and answers those of orders, newest first.
func (f *fixture) replaysInOrder() []*saga.Replay {
	f.Helper()
	newest := make([]*saga.Replay, 6)
	for i, seconds := range []int{30, 20, 20, 20, 10, -10} {
		newest[i] = newReplay(orders)
		newest[i].ID, newest[i].CreatedAt = nth(100-i), at(seconds)
		newest[i].Status = saga.ReplayStatuses[i%5]
	}
	for _, i := range []int{2, 0, 5, 3, 1, 4} {
		f.putReplay(newest[i])
		f.putReplay(newReplay(refunds))
	}
	return newest
}

func testReplayOrder(f *fixture) {
	want := f.replaysInOrder()
	q := &saga.Query{SagaID: valid(orders), Limit: 100}
	f.sameReplays(f.walkReplays(q), want...)
	q.Filter = saga.Filter{SagaName: "x", StepName: "x", Status: "x", After: ptr(at(25)), Before: ptr(at(0)), At: ptr(at(0))}
	f.sameReplays(f.walkReplays(q), want...) // ignored
	q.Ascending = true
	slices.Reverse(want)
	f.sameReplays(f.walkReplays(q), want...)
	f.sameReplays(f.walkReplays(&saga.Query{SagaID: valid(parcels), Limit: 1}))
}

func testReplayPaging(f *fixture) {
	want := f.replaysInOrder()
	for _, ascending := range []bool{false, true} {
		for limit := 1; limit <= len(want)+1; limit++ {
			q := saga.Query{SagaID: valid(orders), Ascending: ascending, Limit: limit}
			f.sameReplays(f.walkReplays(&q), want...)
			f.replayPage(&q)
			if (q.From == nil) != (limit >= len(want)) {
				f.Errorf("Next is %+v on the first page of %d, of %d in all", q.From, limit, len(want))
			}
		}
		slices.Reverse(want)
	}
}

func testReplayWalkUnderChange(f *fixture) {
	want := f.replaysInOrder()
	var stable []*saga.Replay
	n := 0
	for q := (saga.Query{SagaID: valid(orders), Limit: 1}); ; n++ {
		for _, r := range f.replayPage(&q) {
			if slices.ContainsFunc(want, func(w *saga.Replay) bool { return w.ID == r.ID }) {
				stable = append(stable, r)
			}
		}
		if q.From == nil {
			break
		}
		passing := newReplay(orders)
		passing.CreatedAt = at(20 + 5*(n%2))
		f.putReplay(passing)
		if _, err := f.store.DeleteReplays(f.ctx(), refunds); err != nil {
			f.Fatal(err)
		}
	}
	f.sameReplays(stable, want...)
}

func testDeleteReplays(f *fixture) {
	mine := f.replaysInOrder()
	s := f.put(newSnapshot(orders))
	for _, want := range []int{len(mine), 0} {
		if n, err := f.store.DeleteReplays(f.ctx(), orders); err != nil || n != want {
			f.Fatalf("deleted %d, %v; want %d", n, err, want)
		}
	}
	f.sameReplays(f.walkReplays(&saga.Query{SagaID: valid(orders), Limit: 10}))
	for _, r := range mine {
		_, err := f.store.GetReplay(f.ctx(), r.ID)
		f.wantError("get of a deleted replay", err, saga.ErrReplayNotFound)
	}
	f.get(s.ID)
	if n := len(f.walkReplays(&saga.Query{SagaID: valid(refunds), Limit: 10})); n != 6 {
		f.Errorf("the other saga has %d replays, want 6", n)
	}
	if n := f.stats(epoch).Replays; n != 6 {
		f.Errorf("%d replays are counted, want 6", n)
	}
	f.putReplay(mine[0])
}
