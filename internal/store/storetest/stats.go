package storetest

import (
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

func testEmptyStats(f *fixture) {
	got := f.stats(epoch)
	f.sameStats(got, newModel().stats(epoch))
	if got.Type == "" {
		f.Error("the store has no type")
	}
	if got.ReplayBytes != 0 || got.IndexBytes != 0 {
		f.Errorf("nothing takes %d and %d bytes", got.ReplayBytes, got.IndexBytes)
	}
}

// save saves a snapshot in the store and in a model.
func (f *fixture) save(m *model, s *saga.Snapshot) {
	f.Helper()
	sum := f.put(s)
	m.snapshots[s.ID], m.documents[s.ID] = &sum, s.AppendJSON(nil, true)
}

func testStats(f *fixture) {
	m := newModel()
	check := func() {
		f.Helper()
		f.sameStats(f.stats(epoch), m.stats(epoch))
	}
	forget := func(n int) {
		f.delete(nth(n))
		delete(m.snapshots, nth(n))
		delete(m.documents, nth(n))
	}
	f.save(m, newSnapshot(orders, withID(nth(1)), created(10), status("failed"), kept(-1)))
	f.save(m, newSnapshot(orders, withID(nth(2)), created(30), status("completed"), withContext(peculiar+"1}")))
	f.save(m, newSnapshot(refunds, withID(nth(3)), created(-5), kept(0)))
	f.save(m, newSnapshot(refunds, withID(nth(4)), created(20), kept(-9), status("of_others")))
	check()
	if n := f.stats(epoch).SnapshotBytes; n <= 0 {
		f.Errorf("four snapshots take %d bytes", n)
	}

	forget(2) // the newest
	check()
	forget(3) // the oldest
	check()
	f.save(m, newSnapshot(orders, withID(nth(3)), created(99)))
	again := newSnapshot(orders, withID(nth(1)))
	_, err := f.store.Put(f.ctx(), &again.Summary, again.AppendJSON(nil, true))
	f.wantError("put of a known id", err, saga.ErrExists)
	check()

	f.deleteMany(store.Selection{ExpiredBefore: &epoch})
	for _, n := range []int{1, 4} {
		delete(m.snapshots, nth(n))
		delete(m.documents, nth(n))
	}
	check()

	r := newReplay(orders)
	f.putReplay(r)
	m.replays[r.ID] = r
	check()
	short := f.stats(epoch).ReplayBytes
	long := *r
	long.Status, long.ErrorMessage = saga.ReplayCancelled, ptr("this takes some more bytes than null does")
	if err := f.store.PutReplay(f.ctx(), &long, r); err != nil {
		f.Fatal(err)
	}
	m.replays[r.ID] = &long
	check()
	if n := f.stats(epoch).ReplayBytes; short <= 0 || n <= short {
		f.Errorf("the replay took %d bytes, and with more in it %d", short, n)
	}

	f.deleteMany(store.Selection{SagaID: valid(orders)})
	if _, err := f.store.DeleteReplays(f.ctx(), orders); err != nil {
		f.Fatal(err)
	}
	m = newModel()
	check()
	if n := f.stats(epoch).ReplayBytes; n != 0 {
		f.Errorf("no replays take %d bytes", n)
	}
}

func testStatsMemory(f *fixture) {
	m := newModel()
	f.save(m, newSnapshot(orders))
	r := newReplay(orders)
	f.putReplay(r)
	m.replays[r.ID] = r
	for range 2 {
		got := f.stats(epoch)
		f.sameStats(got, m.stats(epoch))
		clear(got.SnapshotsByStatus)
		got.ReplaysByStatus[saga.ReplayPending] = 99
	}
}

func testExpiredStats(f *fixture) {
	for _, seconds := range []int{10, 10, 20, 30} {
		f.put(newSnapshot(orders, kept(seconds)))
	}
	f.put(newSnapshot(orders))
	for now, want := range map[saga.Time]int{
		at(9): 0, at(10): 0, at(10) + 1: 2, at(20): 2, at(25): 3, at(30): 3, at(31): 4, saga.Never: 4,
	} {
		if got := f.stats(now).Expired; got != want {
			f.Errorf("%d have expired at %s, want %d", got, now, want)
		}
	}
}
