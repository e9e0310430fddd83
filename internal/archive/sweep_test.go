package archive_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

func TestDeleteSnapshot(t *testing.T) {
	w := newWorld(t)
	w.save(orders, 1, "")
	w.forget()
	if err := w.DeleteSnapshot(t.Context(), nth(1)); err != nil {
		t.Fatal(err)
	}
	w.wantHeard("deleted request 1")
	w.wantLogged(`msg="snapshot deleted"`, "reason=request", "snapshot_id="+nth(1).String(), "saga_id="+orders.String(), "bytes=")
	if err := w.DeleteSnapshot(t.Context(), nth(1)); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Errorf("again: %v", err)
	}
	w.wantHeard()
}

func TestDeleteSaga(t *testing.T) {
	w := newWorld(t)
	a, b := w.save(orders, 1, ""), w.save(orders, 2, "")
	w.save(refunds, 3, "")
	w.prepare(`{"checkpoint_step":"charge"}`, true)
	w.wantNoCheckpoint(orders, `{"checkpoint_step":"none"}`)
	w.wantNoCheckpoint(refunds, `{"checkpoint_step":"none"}`)
	w.forget()

	// The replay records stay, unless they are named.
	d, err := w.DeleteSaga(t.Context(), orders, false)
	if err != nil || *d != (archive.SagaDeletion{Deleted: 2, ReclaimedBytes: a.SizeBytes + b.SizeBytes}) {
		t.Errorf("%+v, %v", d, err)
	}
	w.wantIDs(orders)
	w.wantIDs(refunds, 3)
	w.wantHeard("deleted saga 2")
	w.wantLogged(`msg="snapshots deleted"`, "reason=saga", "count=2", "saga_id="+orders.String())
	if n := w.replays(orders); n != 2 {
		t.Errorf("%d replays", n)
	}

	// Erasure works without snapshots too, and of what is not there is nothing.
	for _, want := range []archive.SagaDeletion{{DeletedReplays: 2}, {}} {
		if d, err := w.DeleteSaga(t.Context(), orders, true); err != nil || *d != want {
			t.Errorf("%+v, %v, want %+v", d, err, want)
		}
	}
	w.wantHeard()
	w.wantLogged(`msg="replays deleted"`, "reason=saga", "count=2", "saga_id="+orders.String())
	if n := w.replays(refunds); n != 1 {
		t.Errorf("%d replays of another saga", n)
	}
}

func TestDeleteSagaFails(t *testing.T) {
	w := newWorld(t)
	w.save(orders, 1, "")
	w.prepare(`{"checkpoint_step":"charge"}`, true)
	w.store.deleteMany = func(context.Context, *store.Selection) (*store.Deletion, error) {
		return &store.Deletion{Count: 1, Bytes: 7}, saga.ErrReadOnly
	}
	w.forget()
	if d, err := w.DeleteSaga(t.Context(), orders, true); !errors.Is(err, saga.ErrReadOnly) || d.Deleted != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	w.wantHeard("deleted saga 1")
	if n := w.replays(orders); n != 1 {
		t.Error("the replays are gone although the snapshots are not")
	}
	w.store.deleteMany = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.DeleteSaga(ctx, orders, true); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	w.wantIDs(orders, 1)
}

// Files that were gone already count for nothing, but are progress.
func TestDeleteSagaWhoseFilesAreGone(t *testing.T) {
	w := newWorld(t)
	left := 600
	w.store.deleteMany = func(_ context.Context, sel *store.Selection) (*store.Deletion, error) {
		left -= min(left, sel.Limit)
		return &store.Deletion{Remaining: left}, nil
	}
	if d, err := w.DeleteSaga(t.Context(), orders, false); err != nil || d.Deleted != 0 || left != 0 {
		t.Errorf("%+v, %v, %d left", d, err, left)
	}

	// Where there is no progress it ends.
	calls := 0
	w.store.deleteMany = func(context.Context, *store.Selection) (*store.Deletion, error) {
		calls++
		return &store.Deletion{Remaining: 5}, nil
	}
	if d, err := w.DeleteSaga(t.Context(), orders, false); err != nil || d.Deleted != 0 || calls > 2 {
		t.Errorf("%+v, %v, %d calls", d, err, calls)
	}
	w.wantHeard()
}

// Expired is what ends strictly before now.
func TestCleanUp(t *testing.T) {
	w := newWorld(t)
	w.save(orders, 1, `"retention_until":"2026-03-01T11:59:59.999999Z"`)
	w.save(orders, 2, `"retention_until":"`+noon+`"`)
	w.save(orders, 3, `"retention_until":null`)
	gone := w.save(refunds, 4, `"retention_until":"0001-01-01T00:00:00Z"`)
	w.forget()

	dry, err := w.CleanUp(t.Context(), true)
	if err != nil || !dry.DryRun || dry.Deleted != 2 || dry.Remaining != 2 || len(dry.Sample) != 2 || dry.Sample[0].ID != gone.ID {
		t.Errorf("dry: %+v, %v", dry, err)
	}
	w.wantHeard()
	w.wantIDs(orders, 3, 2, 1)

	c, err := w.CleanUp(t.Context(), false)
	if err != nil || c.DryRun || c.Deleted != 2 || c.Bytes != dry.Bytes || c.Remaining != 0 || c.Sample != nil {
		t.Errorf("%+v, %v", c, err)
	}
	w.wantHeard("deleted expired 2", "cleaned up request ok 2")
	w.wantLogged(`msg="snapshots deleted"`, "reason=expired", "count=2", "remaining=0")
	w.wantIDs(orders, 3, 2)
	w.wantIDs(refunds)

	if c, err := w.CleanUp(t.Context(), false); err != nil || c.Deleted != 0 {
		t.Errorf("again: %+v, %v", c, err)
	}
	w.wantHeard("cleaned up request ok 0")
}

func TestCleanUpInBatches(t *testing.T) {
	w := newWorld(t)
	w.saveExpired(orders, 600)
	var batches []int
	w.store.deleteMany = func(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
		d, err := w.store.Store.DeleteMany(ctx, sel)
		if !sel.DryRun {
			batches = append(batches, d.Count)
		}
		return d, err
	}
	if dry, err := w.CleanUp(t.Context(), true); err != nil || dry.Deleted != 600 || len(dry.Sample) != 20 {
		t.Errorf("dry: %+v, %v", dry, err)
	}
	c, err := w.CleanUp(t.Context(), false)
	if err != nil || c.Deleted != 600 || c.Remaining != 0 || len(batches) != 3 || batches[0] != 256 {
		t.Errorf("%+v, %v in batches of %v", c, err, batches)
	}
	w.wantHeard("deleted expired 600", "cleaned up request ok 600")
}

// Each deletion has its line, with its reason, where somebody looks closely.
func TestDeletionsAreLoggedOneByOneForDebugging(t *testing.T) {
	w := newWorld(t)
	debug := newWorld(t, func(c *archive.Config) {
		c.Logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
	})
	debug.saveExpired(orders, 300)
	if _, err := debug.CleanUp(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if n := w.logged(`level=DEBUG msg="snapshot deleted" reason=expired snapshot_id=`); n != 300 {
		t.Errorf("%d lines", n)
	}
	w.wantLogged("level=DEBUG", "snapshot_id="+nth(2300).String(), "saga_id="+orders.String())
}

func TestCleanUpFails(t *testing.T) {
	w := newWorld(t)
	w.saveExpired(orders, 300)
	calls := 0
	w.store.deleteMany = func(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
		if calls++; calls == 2 {
			return nil, saga.ErrDegraded
		}
		return w.store.Store.DeleteMany(ctx, sel)
	}
	c, err := w.CleanUp(t.Context(), false)
	if !errors.Is(err, saga.ErrDegraded) || c.Deleted != 256 {
		t.Errorf("%+v, %v", c, err)
	}
	w.wantHeard("deleted expired 256", "cleaned up request error 256")

	// The next one is not in the way of the one that failed.
	if c, err := w.CleanUp(t.Context(), false); err != nil || c.Deleted != 44 {
		t.Errorf("again: %+v, %v", c, err)
	}
	w.store.deleteMany = func(context.Context, *store.Selection) (*store.Deletion, error) { return nil, saga.ErrUnsupported }
	if _, err := w.CleanUp(t.Context(), true); !errors.Is(err, saga.ErrUnsupported) {
		t.Errorf("dry: %v", err)
	}
}

func TestCleanUpCancelled(t *testing.T) {
	w := newWorld(t)
	w.saveExpired(orders, 600)
	ctx, cancel := context.WithCancel(t.Context())
	w.store.deleteMany = func(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
		defer cancel()
		return w.store.Store.DeleteMany(ctx, sel)
	}
	if c, err := w.CleanUp(ctx, false); c == nil || c.Deleted != 256 || c.Remaining != 344 || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("on the way: %+v, %v", c, err)
	}
	if _, err := w.CleanUp(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("at the start: %v", err)
	}
	if n := w.count(); n != 344 {
		t.Errorf("%d are left", n)
	}
}

// The questions are passed on, and so are the answers.
func TestReading(t *testing.T) {
	w := newWorld(t)
	w.save(orders, 1, `"retention_until":"2026-03-01T11:00:00Z"`)
	w.save(refunds, 2, `"created_at":"2026-03-02T00:00:00Z"`)
	latest, err := w.Latest(t.Context(), &saga.Query{SagaID: valid(orders), Limit: 99})
	if err != nil || latest.ID != nth(1) {
		t.Errorf("latest: %+v, %v", latest, err)
	}
	if _, err := w.Latest(t.Context(), &saga.Query{SagaID: valid(nth(5))}); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Errorf("latest of nothing: %v", err)
	}
	if s, err := w.Saga(t.Context(), orders); err != nil || s.SnapshotCount != 1 {
		t.Errorf("saga: %+v, %v", s, err)
	}
	if _, err := w.Saga(t.Context(), nth(5)); !errors.Is(err, saga.ErrSagaNotFound) {
		t.Errorf("no saga: %v", err)
	}
	if page, err := w.Sagas(t.Context(), &saga.Query{Limit: 10}); err != nil || len(page.Sagas) != 2 || page.Sagas[0].ID != refunds {
		t.Errorf("sagas: %+v, %v", page, err)
	}
	if s, err := w.Stats(t.Context()); err != nil || s.Snapshots != 2 || s.Expired != 1 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if err := w.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// What cannot be deleted does not keep the clean-up from what comes after it.
func TestCleanUpGoesAroundWhatStays(t *testing.T) {
	w := newWorld(t)
	left, stuck := 1000, 300
	w.store.deleteMany = func(_ context.Context, sel *store.Selection) (*store.Deletion, error) {
		d := &store.Deletion{Kept: min(stuck, sel.Limit)}
		d.Count = min(sel.Limit-d.Kept, left-stuck)
		left -= d.Count
		d.Remaining = left
		return d, saga.ErrReadOnly
	}
	if c, err := w.CleanUp(t.Context(), false); !errors.Is(err, saga.ErrReadOnly) || c.Deleted != 700 || c.Remaining != 300 {
		t.Errorf("%+v, %v", c, err)
	}
	w.wantHeard("deleted expired 700", "cleaned up request error 700")
}

// Whether something was deleted is not known: a later answer must not deny it.
func TestCleanUpEndsWithAnUnknownOutcome(t *testing.T) {
	w := newWorld(t)
	calls := 0
	w.store.deleteMany = func(context.Context, *store.Selection) (*store.Deletion, error) {
		if calls++; calls > 1 {
			return &store.Deletion{Remaining: 5}, saga.ErrDegraded
		}
		return &store.Deletion{Count: 1, Remaining: 5}, saga.ErrOutcomeUnknown
	}
	if _, err := w.CleanUp(t.Context(), false); !errors.Is(err, saga.ErrOutcomeUnknown) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
