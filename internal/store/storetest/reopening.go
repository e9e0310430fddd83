package storetest

import (
	"slices"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

func testReopenKeepsSnapshots(f *fixture) {
	m := newModel()
	f.save(m, newSnapshot(orders, created(2), kept(-1), index(4), withContext(peculiar+"1}")))
	f.save(m, newSnapshot(orders, created(2), kept(1), index(5), status("failed"), named("größe")))
	f.save(m, newSnapshot(refunds, created(-2)))
	compact := newSnapshot(refunds, created(3), withContext(`{"n":1.0}`))
	doc := compact.AppendJSON(nil, false)
	sum := f.putDocument(compact.Summary, doc)
	m.snapshots[sum.ID], m.documents[sum.ID] = &sum, doc

	for range 2 {
		f.reopen()
		f.sameSummaries(f.walk(&saga.Query{Limit: 2}), m.list(&saga.Query{}))
		f.sameStats(f.stats(epoch), m.stats(epoch))
		for id, doc := range m.documents {
			f.comesBack(id, doc)
		}
	}
}

func testReopenKeepsDeletions(f *fixture) {
	all := f.inOrder()
	f.delete(all[4].ID)
	f.deleteMany(store.Selection{SagaID: valid(refunds)})
	want := slices.Delete(slices.Clone(all), 4, 5)
	f.reopen()
	f.sameSummaries(f.walk(&saga.Query{Limit: 100}), ofSaga(want, orders))
	_, err := f.store.Saga(f.ctx(), refunds)
	f.wantError("the saga that was deleted", err, saga.ErrSagaNotFound)
	f.put(newSnapshot(parcels, withID(all[4].ID)))
}

func testReopenKeepsReplays(f *fixture) {
	full := fullReplay()
	f.putReplay(full)
	first := newReplay(orders)
	f.putReplay(first)
	changed := *first
	changed.Status, changed.CreatedAt = saga.ReplayRunning, epoch
	if err := f.store.PutReplay(f.ctx(), &changed, first); err != nil {
		f.Fatal(err)
	}
	f.putReplay(newReplay(refunds))
	if _, err := f.store.DeleteReplays(f.ctx(), refunds); err != nil {
		f.Fatal(err)
	}
	before := f.stats(epoch)
	list := f.walkReplays(&saga.Query{SagaID: valid(orders), Limit: 10})
	f.reopen()
	f.sameReplay(f.getReplay(full.ID), full)
	f.sameReplay(f.getReplay(changed.ID), &changed)
	f.sameReplays(f.walkReplays(&saga.Query{SagaID: valid(orders), Limit: 10}), list...)
	after := f.stats(epoch)
	f.sameStats(after, before)
	if after.ReplayBytes != before.ReplayBytes {
		f.Errorf("replays take %d bytes, before %d", after.ReplayBytes, before.ReplayBytes)
	}
}

func testReopenKeepsPositions(f *fixture) {
	all := f.inOrder()
	q := &saga.Query{Limit: 4}
	first := f.page(q)
	f.reopen()
	q.From = first.Next
	f.sameSummaries(f.walk(q), all[4:])
}

func testReopenThenWrite(f *fixture) {
	known := f.put(newSnapshot(orders))
	f.reopen()
	_, err := f.store.Put(f.ctx(), &known, newSnapshot(orders, withID(known.ID)).AppendJSON(nil, true))
	f.wantError("put of a known id", err, saga.ErrExists)
	f.wantError("ping", f.store.Ping(f.ctx()), nil)
	f.put(newSnapshot(orders, created(1)))
	f.delete(known.ID)
	f.putReplay(newReplay(orders))
}
