package storetest

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// damage makes a saved document unreadable and lets the store notice: when it
// is opened, or else when the document is read.
func (f *fixture) damage(ids ...uuid.UUID) {
	f.Helper()
	if f.Corrupt == nil {
		f.Skip("there is no way to damage a document of this store")
	}
	for _, id := range ids {
		f.Corrupt(f.T, f.store, id)
	}
	if f.Reopen != nil {
		f.reopen()
	}
	for _, id := range ids {
		f.unreadable(id)
	}
}

func (f *fixture) unreadable(id uuid.UUID) {
	f.Helper()
	_, err := readByID(f.ctx(), f.store, id, false)
	var corrupt *saga.CorruptError
	if !errors.As(err, &corrupt) || corrupt.ID != id || !errors.Is(err, saga.ErrCorrupt) {
		f.Errorf("read of the damaged %s: %v, want a CorruptError that names it", id, err)
	}
}

func testCorruptRead(f *fixture) {
	f.put(newSnapshot(orders, withID(nth(1)), withContext(`{"some":"text"}`)))
	whole := f.put(newSnapshot(orders, withID(nth(2))))
	if f.Corrupt != nil {
		f.Corrupt(f.T, f.store, nth(1))
		f.unreadable(nth(1))
	}
	f.damage(nth(1))
	f.unreadable(nth(1))
	if got := f.get(nth(2)); got != whole {
		f.Errorf("found %+v, want the other, %+v", got, whole)
	}
}

func testCorruptPut(f *fixture) {
	s := newSnapshot(orders)
	f.put(s)
	f.damage(s.ID)
	elsewhere := newSnapshot(refunds, withID(s.ID))
	for _, again := range []*saga.Snapshot{s, elsewhere} {
		_, err := f.store.Put(f.ctx(), &again.Summary, again.AppendJSON(nil, true))
		f.wantError("put of its id", err, saga.ErrExists)
	}
	f.unreadable(s.ID)
}

func testCorruptList(f *fixture) {
	f.put(newSnapshot(orders, withID(nth(1)), created(1)))
	f.put(newSnapshot(orders, withID(nth(2)), created(2)))
	f.put(newSnapshot(orders, withID(nth(3)), created(3)))
	f.put(newSnapshot(refunds, withID(nth(4)), created(4)))
	f.damage(nth(2))
	for _, of := range []uuid.NullUUID{{}, valid(orders)} {
		for _, ascending := range []bool{false, true} {
			q := saga.Query{SagaID: of, Ascending: ascending, Limit: 1}
			page := f.page(&q)
			f.sameIDs(page.Unreadable, nth(2))
			for q.From = page.Next; q.From != nil; q.From = page.Next {
				page = f.page(&q)
				f.sameIDs(page.Unreadable)
			}
			if slices.Contains(f.ids(q), nth(2)) {
				f.Error("a list shows the damaged one")
			}
		}
	}
	f.sameIDs(f.page(&saga.Query{SagaID: valid(refunds), Limit: 1}).Unreadable)
	if s, err := f.store.Saga(f.ctx(), orders); err != nil || s.SnapshotCount != 2 {
		f.Errorf("the saga is %+v, %v; want the two that can be read", s, err)
	}
}

func testCorruptStats(f *fixture) {
	m := newModel()
	f.save(m, newSnapshot(orders))
	s := f.put(newSnapshot(orders, status("failed"), kept(-1)))
	f.damage(s.ID)
	want := m.stats(epoch)
	want.UnreadableSnapshots = 1
	f.sameStats(f.stats(epoch), want)
}

func testCorruptDelete(f *fixture) {
	s := f.put(newSnapshot(orders))
	f.damage(s.ID)
	got, err := f.store.Delete(f.ctx(), s.ID)
	if err != nil || got.ID != s.ID {
		f.Fatalf("deleted %+v, %v; want what is known of %s", got, err, s.ID)
	}
	_, err = f.store.Get(f.ctx(), s.ID)
	f.wantError("get afterwards", err, saga.ErrSnapshotNotFound)
	if n := f.stats(epoch).UnreadableSnapshots; n != 0 {
		f.Errorf("%d are counted as unreadable", n)
	}
	f.put(newSnapshot(orders, withID(s.ID)))
}

func testCorruptDeleteSaga(f *fixture) {
	s := f.put(newSnapshot(orders))
	whole := f.put(newSnapshot(orders))
	other := f.put(newSnapshot(refunds))
	f.damage(s.ID, other.ID)

	sel := store.Selection{SagaID: valid(orders), DryRun: true}
	if d := f.deleteMany(sel); d.Count != 2 || d.Unreadable != 1 {
		f.Errorf("a dry run answers %+v, want two, one of them unreadable", d)
	}
	sel.DryRun = false
	d := f.deleteMany(sel)
	if d.Count != 2 || d.Unreadable != 1 || d.Bytes < whole.SizeBytes || d.Remaining != 0 {
		f.Errorf("deleted %+v, want two, one of them unreadable", d)
	}
	_, err := f.store.Get(f.ctx(), s.ID)
	f.wantError("get afterwards", err, saga.ErrSnapshotNotFound)
	f.unreadable(other.ID)
}

func testCorruptDeleteSagaBounded(f *fixture) {
	var ids []uuid.UUID
	for n := range 6 {
		ids = append(ids, f.put(newSnapshot(orders, created(n))).ID)
	}
	f.damage(ids[1], ids[3], ids[5])
	sel := store.Selection{SagaID: valid(orders), Limit: 2}
	unreadable := 0
	for _, remaining := range []int{4, 2, 0, 0} {
		d := f.deleteMany(sel)
		if d.Count > sel.Limit || d.Remaining != remaining {
			f.Errorf("deleted %+v, want %d remaining", d, remaining)
		}
		unreadable += d.Unreadable
	}
	if unreadable != 3 {
		f.Errorf("%d unreadable ones were deleted, want 3", unreadable)
	}
}

func testCorruptSpared(f *fixture) {
	s := f.put(newSnapshot(orders, created(-9), kept(-9)))
	f.put(newSnapshot(orders, created(1)))
	f.damage(s.ID)
	f.deleteMany(store.Selection{ExpiredBefore: ptr(saga.Never)})
	f.deleteMany(store.Selection{SagaID: valid(orders), KeepNewest: 1})
	f.unreadable(s.ID)
}
