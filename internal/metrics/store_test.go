package metrics

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/memstore"
	"snapshotd/internal/store/storetest"
)

// TestMeasuredStore runs the conformance suite through the decorator.
func TestMeasuredStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: func(*testing.T) store.Store { return New(Config{}).Wrap(memstore.New()) },
	})
}

func TestResultOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, "ok"},
		{saga.ErrSnapshotNotFound, "not_found"},
		{saga.ErrSagaNotFound, "not_found"},
		{fmt.Errorf("wrapped: %w", saga.ErrReplayNotFound), "not_found"},
		{saga.ErrExists, "exists"},
		{saga.ErrReplayChanged, "conflict"},
		{&saga.CorruptError{ID: uuid.New(), Err: errors.New("planted")}, "corrupt"},
		{saga.ErrNoSpace, "no_space"},
		{saga.ErrReadOnly, "unavailable"},
		{fmt.Errorf("%w: %w", saga.ErrDegraded, saga.ErrNoSpace), "unavailable"},
		{fmt.Errorf("%w: %w", saga.ErrOutcomeUnknown, context.Canceled), "unavailable"},
		{context.Canceled, "cancelled"},
		{context.DeadlineExceeded, "cancelled"},
		{errors.New("planted"), "error"},
		{saga.ErrUnsupported, "error"},
	} {
		if got := resultOf(test.err); got != test.want {
			t.Errorf("%v counts as %s, not %s", test.err, got, test.want)
		}
	}
}

// TestEveryCallIsCounted calls each method once.
func TestEveryCallIsCounted(t *testing.T) {
	m := New(Config{})
	s := m.Wrap(memstore.New())
	ctx, now := context.Background(), saga.At(time.Now())
	sum := &saga.Summary{ID: uuid.New(), SagaID: uuid.New(), SagaName: "order", StepName: "pay", Status: "failed", CreatedAt: now, RetentionUntil: saga.Never}
	replay := &saga.Replay{ID: uuid.New(), OriginalSagaID: sum.SagaID, NewSagaID: uuid.New(), CheckpointStep: "pay", Status: saga.ReplayPending, CreatedAt: now, CompletedAt: saga.Never}
	ofSaga := &saga.Query{SagaID: uuid.NullUUID{UUID: sum.SagaID, Valid: true}, Limit: 10}

	_, put := s.Put(ctx, sum, []byte("{}\n"))
	item, get := s.Get(ctx, sum.ID)
	doc, open := item.Open(ctx, false)
	page, list := s.List(ctx, ofSaga)
	listed, openListed := page.Items[0].Open(ctx, false)
	_, sagas := s.Sagas(ctx, ofSaga)
	_, one := s.Saga(ctx, sum.SagaID)
	putReplay := s.PutReplay(ctx, replay, nil)
	_, getReplay := s.GetReplay(ctx, replay.ID)
	_, listReplays := s.ListReplays(ctx, ofSaga)
	_, deleteReplays := s.DeleteReplays(ctx, sum.SagaID)
	_, stats := s.Stats(ctx, now)
	ping := s.Ping(ctx)
	_, del := s.Delete(ctx, sum.ID)
	_, deleteMany := s.DeleteMany(ctx, &store.Selection{ExpiredBefore: &now})
	for _, err := range []error{
		put, get, open, list, openListed, sagas, one, putReplay, getReplay, listReplays,
		deleteReplays, stats, ping, del, deleteMany, doc.Close(), listed.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, operation := range operations {
		want := 1.0
		if operation == opOpen {
			want = 2
		}
		if got := value(t, m, "snapshotd_store_operations_total", operation, resultOK); got != want {
			t.Errorf("%s is counted %v times, not %v", operation, got, want)
		}
		if got := value(t, m, "snapshotd_store_operation_duration_seconds", operation, resultOK); got != want {
			t.Errorf("%s is timed %v times, not %v", operation, got, want)
		}
	}
	if _, err := s.Get(ctx, sum.ID); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Fatal(err)
	}
	if got := value(t, m, "snapshotd_store_operations_total", opGet, resultNotFound); got != 1 {
		t.Errorf("what was not found is counted %v times", got)
	}
}
