package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// testConcurrentUse has writers whose effects do not overlap, so that the end
// is known, and readers of everything beside them.
func testConcurrentUse(f *fixture) {
	const writers, rounds = 4, 8
	sagas := []uuid.UUID{orders, refunds}
	want := newModel()
	var snapshots [writers][]*saga.Snapshot
	for w := range writers {
		for n := range rounds {
			s := newSnapshot(sagas[(w+n)%2], created(n), index(int32(w)), status(saga.Statuses[n%3]))
			snapshots[w] = append(snapshots[w], s)
			if n%2 == 1 {
				want.snapshots[s.ID] = &s.Summary
			}
		}
	}
	doomed := uuid.New()
	f.together(2*writers, func(n int) {
		if n >= writers {
			for range rounds {
				f.readEverything(sagas)
			}
			return
		}
		for i, s := range snapshots[n] {
			size, err := f.store.Put(f.ctx(), &s.Summary, s.AppendJSON(nil, true))
			if err != nil {
				f.Errorf("put: %v", err)
			}
			s.SizeBytes = size
			passing := newSnapshot(doomed, kept(-1))
			if _, err := f.store.Put(f.ctx(), &passing.Summary, passing.AppendJSON(nil, true)); err != nil {
				f.Errorf("put: %v", err)
			}
			if i%2 == 0 {
				if _, err := f.store.Delete(f.ctx(), s.ID); err != nil {
					f.Errorf("delete: %v", err)
				}
			}
			if _, err := f.store.DeleteMany(f.ctx(), &store.Selection{ExpiredBefore: &epoch, Limit: 2}); err != nil {
				f.Errorf("delete expired: %v", err)
			}
			r := newReplay(sagas[i%2])
			if err := f.store.PutReplay(f.ctx(), r, nil); err != nil {
				f.Errorf("put replay: %v", err)
			}
			running := *r
			running.Status = saga.ReplayRunning
			if err := f.store.PutReplay(f.ctx(), &running, r); err != nil {
				f.Errorf("put replay again: %v", err)
			}
		}
	})
	if _, err := f.store.DeleteMany(f.ctx(), &store.Selection{ExpiredBefore: &epoch}); err != nil {
		f.Fatal(err)
	}
	f.sameSummaries(f.walk(&saga.Query{Limit: 5}), want.list(&saga.Query{}))
	if got := f.stats(epoch).ReplaysByStatus[saga.ReplayRunning]; got != writers*rounds {
		f.Errorf("%d replays are running, want %d", got, writers*rounds)
	}
}

// readEverything calls every method that reads, and complains if one fails.
func (f *fixture) readEverything(sagas []uuid.UUID) {
	page, err := f.store.List(f.ctx(), &saga.Query{Limit: 10})
	if err != nil {
		f.Errorf("list: %v", err)
		return
	}
	for _, item := range page.Items {
		if _, err := readByID(f.ctx(), f.store, item.ID, true); err != nil && !errors.Is(err, saga.ErrSnapshotNotFound) {
			f.Errorf("read: %v", err)
		}
	}
	for _, id := range sagas {
		if _, err := f.store.Saga(f.ctx(), id); err != nil && !errors.Is(err, saga.ErrSagaNotFound) {
			f.Errorf("saga: %v", err)
		}
		replays, err := f.store.ListReplays(f.ctx(), &saga.Query{SagaID: valid(id), Limit: 5})
		if err != nil {
			f.Errorf("list replays: %v", err)
			continue
		}
		for _, r := range replays.Replays {
			if _, err := f.store.GetReplay(f.ctx(), r.ID); err != nil {
				f.Errorf("get replay: %v", err)
			}
		}
	}
	if _, err := f.store.Sagas(f.ctx(), &saga.Query{Limit: 5}); err != nil {
		f.Errorf("sagas: %v", err)
	}
	if _, err := f.store.Stats(f.ctx(), epoch); err != nil {
		f.Errorf("stats: %v", err)
	}
	if err := f.store.Ping(f.ctx()); err != nil {
		f.Errorf("ping: %v", err)
	}
}

// testReadersSeeWholeSnapshots lists while snapshots come and go: what is listed
// reads back in one piece, or is gone.
func testReadersSeeWholeSnapshots(f *fixture) {
	f.whileChanging(func() {
		for _, item := range f.page(&saga.Query{Limit: 10}).Items {
			doc, err := read(f.ctx(), &item, false)
			if errors.Is(err, saga.ErrSnapshotNotFound) {
				continue
			}
			if err != nil {
				f.Fatalf("read %s: %v", item.ID, err)
			}
			s, _, err := saga.ReadSnapshot(doc)
			if err != nil {
				f.Fatalf("the document of %s: %v", item.ID, err)
			}
			s.SizeBytes = item.SizeBytes
			if s.Summary != item.Summary {
				f.Fatalf("listed %+v, the document says %+v", item.Summary, s.Summary)
			}
		}
	})
}

// whileChanging calls do again and again while two goroutines save snapshots
// among, behind and before those of the test, and delete them soon after.
func (f *fixture) whileChanging(do func()) {
	f.Helper()
	const enough = 30
	var rounds atomic.Int32
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-done }() // also when do ends the test
	go func() {
		defer close(done)
		f.together(2, func(int) {
			var last *saga.Snapshot
			for n := 0; ; n++ {
				s := newSnapshot([]uuid.UUID{orders, parcels}[n%2], created(n*7%50-5), index(int32(n%3)), kept(n))
				if _, err := f.store.Put(f.ctx(), &s.Summary, s.AppendJSON(nil, true)); err != nil {
					f.Errorf("put: %v", err)
				}
				if last != nil {
					if _, err := f.store.Delete(f.ctx(), last.ID); err != nil {
						f.Errorf("delete: %v", err)
					}
				}
				last = s
				rounds.Add(1)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}()
	for n := 0; n < 20 || rounds.Load() < enough; n++ {
		do()
	}
}

// testCancelled calls every method with a context that is cancelled already.
func testCancelled(f *fixture) {
	s := newSnapshot(orders, kept(-5))
	f.put(s)
	r := newReplay(orders)
	f.putReplay(r)
	before := fmt.Sprintf("%+v", counts(f.stats(epoch)))

	item, err := f.store.Get(f.ctx(), s.ID)
	if err != nil {
		f.Fatal(err)
	}
	fresh, next := newSnapshot(orders), *r
	next.Status = saga.ReplayRunning
	newReplay := newReplay(orders)
	q := &saga.Query{SagaID: valid(orders), Limit: 10}

	ctx, cancel := context.WithCancel(f.ctx())
	cancel()
	for method, call := range map[string]func() error{
		"Put":    func() error { _, err := f.store.Put(ctx, &fresh.Summary, fresh.AppendJSON(nil, true)); return err },
		"Get":    func() error { _, err := f.store.Get(ctx, s.ID); return err },
		"Open":   func() error { _, err := item.Open(ctx, false); return err },
		"List":   func() error { _, err := f.store.List(ctx, q); return err },
		"Sagas":  func() error { _, err := f.store.Sagas(ctx, q); return err },
		"Saga":   func() error { _, err := f.store.Saga(ctx, orders); return err },
		"Delete": func() error { _, err := f.store.Delete(ctx, s.ID); return err },
		"DeleteMany, a saga": func() error {
			_, err := f.store.DeleteMany(ctx, &store.Selection{SagaID: valid(orders)})
			return err
		},
		"DeleteMany, expired": func() error {
			_, err := f.store.DeleteMany(ctx, &store.Selection{ExpiredBefore: &epoch})
			return err
		},
		"DeleteMany, dry run": func() error {
			_, err := f.store.DeleteMany(ctx, &store.Selection{ExpiredBefore: &epoch, DryRun: true})
			return err
		},
		"PutReplay, new":     func() error { return f.store.PutReplay(ctx, newReplay, nil) },
		"PutReplay, replace": func() error { return f.store.PutReplay(ctx, &next, r) },
		"GetReplay":          func() error { _, err := f.store.GetReplay(ctx, r.ID); return err },
		"ListReplays":        func() error { _, err := f.store.ListReplays(ctx, q); return err },
		"DeleteReplays":      func() error { _, err := f.store.DeleteReplays(ctx, orders); return err },
		"Stats":              func() error { _, err := f.store.Stats(ctx, epoch); return err },
		"Ping":               func() error { return f.store.Ping(ctx) },
	} {
		f.wantError(method, call(), context.Canceled)
	}

	if after := fmt.Sprintf("%+v", counts(f.stats(epoch))); after != before {
		f.Errorf("stats\n now %s\n were %s", after, before)
	}
	f.comesBack(s.ID, s.AppendJSON(nil, true))
	f.sameReplay(f.getReplay(r.ID), r)
	_, err = f.store.Get(f.ctx(), fresh.ID)
	f.wantError("get of what was not saved", err, saga.ErrSnapshotNotFound)
	_, err = f.store.GetReplay(f.ctx(), newReplay.ID)
	f.wantError("get of the replay that was not saved", err, saga.ErrReplayNotFound)
}
