package storetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

func (f *fixture) deleteMany(sel store.Selection) *store.Deletion {
	f.Helper()
	d, err := f.store.DeleteMany(f.ctx(), &sel)
	if err != nil {
		f.Fatalf("delete many %+v: %v", sel, err)
	}
	return d
}

// deleted checks the numbers of a deletion.
func (f *fixture) deleted(d *store.Deletion, gone []saga.Summary, remaining int) {
	f.Helper()
	if d.Count != len(gone) || d.Bytes != bytesOf(gone) || d.Remaining != remaining || d.Unreadable != 0 {
		f.Errorf("deleted %+v, want %d of %d bytes and %d remaining", d, len(gone), bytesOf(gone), remaining)
	}
}

func bytesOf(list []saga.Summary) (n int64) {
	for _, s := range list {
		n += s.SizeBytes
	}
	return n
}

func testExpired(f *fixture) {
	long := f.put(newSnapshot(orders, kept(-100)))
	just := newSnapshot(refunds)
	just.RetentionUntil = epoch - 1
	gone := []saga.Summary{long, f.put(just)}
	now := f.put(newSnapshot(orders, kept(0)))
	later := f.put(newSnapshot(parcels, kept(1)))

	sel := store.Selection{ExpiredBefore: &epoch}
	f.deleted(f.deleteMany(sel), gone, 0)
	f.deleted(f.deleteMany(sel), nil, 0)
	for _, s := range gone {
		_, err := f.store.Get(f.ctx(), s.ID)
		f.wantError("get of what had expired", err, saga.ErrSnapshotNotFound)
	}
	_, err := f.store.Saga(f.ctx(), refunds)
	f.wantError("saga that had expired", err, saga.ErrSagaNotFound)
	f.get(now.ID)
	f.get(later.ID)
}

func testNoRetention(f *fixture) {
	f.put(newSnapshot(orders, withID(nth(1)), created(-1000)))
	f.put(newSnapshot(orders, withID(nth(2)), kept(1000)))
	for _, before := range []saga.Time{saga.Never, saga.Never - 1} {
		f.deleteMany(store.Selection{ExpiredBefore: &before})
	}
	f.sameIDs(f.ids(saga.Query{}), nth(1))
}

func testLimit(f *fixture) {
	var all []saga.Summary
	for n := range 7 {
		// Those created last expire first.
		all = append(all, f.put(newSnapshot([]uuid.UUID{orders, refunds}[n%2], created(-n), kept(-100+n))))
	}
	f.put(newSnapshot(orders, kept(1)))
	f.put(newSnapshot(orders))
	sel := store.Selection{ExpiredBefore: &epoch, Limit: 3, Sample: 10}
	d := f.deleteMany(sel)
	f.deleted(d, all[:3], 4)
	f.sameSummaries(d.Sample, all[:3])
	f.deleted(f.deleteMany(sel), all[3:6], 1)
	f.deleted(f.deleteMany(sel), all[6:], 0)
	f.deleted(f.deleteMany(sel), nil, 0)
	if n := len(f.ids(saga.Query{})); n != 2 {
		f.Errorf("%d snapshots are left, want 2", n)
	}
}

func testDeleteSaga(f *fixture) {
	all := f.inOrder()
	slices.Reverse(all)
	mine, others := ofSaga(all, orders), ofSaga(all, refunds)

	sel := store.Selection{SagaID: valid(orders), Limit: 4, Sample: 10}
	d := f.deleteMany(sel)
	f.deleted(d, mine[:4], len(mine)-4)
	f.sameSummaries(d.Sample, mine[:4])
	f.sameSummaries(f.walk(&saga.Query{SagaID: valid(orders), Ascending: true, Limit: 10}), mine[4:])
	sel.Limit = 0
	f.deleted(f.deleteMany(sel), mine[4:], 0)

	f.sameSummaries(f.walk(&saga.Query{Ascending: true, Limit: 10}), others)
	_, err := f.store.Saga(f.ctx(), orders)
	f.wantError("the saga afterwards", err, saga.ErrSagaNotFound)
	f.put(newSnapshot(orders, withID(mine[0].ID)))
}

func testDeleteUnknownSaga(f *fixture) {
	f.put(newSnapshot(orders))
	f.deleted(f.deleteMany(store.Selection{SagaID: valid(refunds)}), nil, 0)
	f.deleted(f.deleteMany(store.Selection{SagaID: valid(refunds), KeepNewest: 1}), nil, 0)
	f.deleted(f.deleteMany(store.Selection{SagaID: valid(refunds), DryRun: true}), nil, 0)
}

func testKeepNewest(f *fixture) {
	all := f.inOrder()
	slices.Reverse(all)
	mine := ofSaga(all, orders)
	n := len(mine)
	sel := func(keep, limit int) store.Selection {
		return store.Selection{SagaID: valid(orders), KeepNewest: keep, Limit: limit}
	}
	f.deleted(f.deleteMany(sel(n, 0)), nil, 0)
	f.deleted(f.deleteMany(sel(n+1, 0)), nil, 0)
	f.deleted(f.deleteMany(sel(n-3, 2)), mine[:2], 1)
	f.deleted(f.deleteMany(sel(n-3, 2)), mine[2:3], 0)
	f.sameSummaries(f.walk(&saga.Query{SagaID: valid(orders), Ascending: true, Limit: 10}), mine[3:])
	f.deleted(f.deleteMany(sel(1, 0)), mine[3:n-1], 0)
	f.sameSummaries(f.walk(&saga.Query{SagaID: valid(orders), Limit: 10}), mine[n-1:])
	f.sameSummaries(f.walk(&saga.Query{SagaID: valid(refunds), Ascending: true, Limit: 10}), ofSaga(all, refunds))
}

func testSample(f *fixture) {
	var all []saga.Summary
	for n := range 6 {
		all = append(all, f.put(newSnapshot(orders, created(n), kept(-100+n))))
	}
	for _, sel := range []store.Selection{{SagaID: valid(orders)}, {ExpiredBefore: &epoch}} {
		sel.DryRun = true
		for sample := range 8 {
			sel.Sample = sample
			f.sameSummaries(f.deleteMany(sel).Sample, all[:min(sample, 6)])
		}
	}
	f.sameSummaries(f.deleteMany(store.Selection{SagaID: valid(orders), Limit: 1}).Sample, nil)
	f.sameSummaries(f.deleteMany(store.Selection{ExpiredBefore: &epoch, Limit: 3, Sample: 2}).Sample, all[1:3])
	f.sameSummaries(f.deleteMany(store.Selection{SagaID: valid(orders), Limit: 1, Sample: 2}).Sample, all[4:5])
}

func testDryRun(f *fixture) {
	gone := []saga.Summary{f.put(newSnapshot(orders, kept(-5))), f.put(newSnapshot(orders, created(1), kept(-4)))}
	spared := f.put(newSnapshot(orders, created(2)))
	before := f.stats(epoch)
	for _, tt := range []struct {
		sel  store.Selection
		want []saga.Summary
	}{
		{store.Selection{ExpiredBefore: &epoch}, gone},
		{store.Selection{SagaID: valid(orders)}, append(gone, spared)},
		{store.Selection{SagaID: valid(orders), KeepNewest: 2}, gone[:1]},
	} {
		tt.sel.DryRun, tt.sel.Sample = true, 10
		for range 2 {
			d := f.deleteMany(tt.sel)
			f.deleted(d, tt.want, len(tt.want))
			f.sameSummaries(d.Sample, tt.want)
		}
	}
	f.sameStats(f.stats(epoch), before)
	for _, s := range append(gone, spared) {
		f.document(s.ID)
	}
}

// A tiring context is cancelled once it has been asked for its error so often.
type tiring struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int32
}

func newTiring(ctx context.Context, left int) *tiring {
	c := &tiring{}
	c.Context, c.cancel = context.WithCancel(ctx)
	c.left.Store(int32(left))
	return c
}

func (c *tiring) Err() error {
	if c.left.Add(-1) < 0 {
		c.cancel()
	}
	return c.Context.Err()
}

// testStopped does not say when a store looks at its context, only what it
// must answer then.
func testStopped(f *fixture) {
	for patience := 1; patience < 6; patience++ {
		for _, sel := range []store.Selection{{SagaID: valid(orders)}, {ExpiredBefore: &epoch}} {
			var all []saga.Summary
			for n := range 4 {
				all = append(all, f.put(newSnapshot(orders, created(n), kept(-10+n))))
			}
			ctx := newTiring(f.ctx(), patience)
			sel.Sample = 10
			d, err := f.store.DeleteMany(ctx, &sel)
			ctx.cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				f.Fatalf("stopped: %v", err)
			}
			left := f.walk(&saga.Query{Ascending: true, Limit: 10})
			n := len(all) - len(left)
			f.sameSummaries(left, all[n:])
			f.deleted(d, all[:n], len(left))
			f.sameSummaries(d.Sample, all[:n])
			f.deleteMany(store.Selection{SagaID: valid(orders)})
		}
	}
}
