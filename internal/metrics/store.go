package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// Operations of a store; opOpen is the opening of a document that was found.
const (
	opPut           = "put"
	opGet           = "get"
	opOpen          = "open"
	opList          = "list"
	opSagas         = "sagas"
	opSaga          = "saga"
	opDelete        = "delete"
	opDeleteMany    = "delete_many"
	opPutReplay     = "put_replay"
	opGetReplay     = "get_replay"
	opListReplays   = "list_replays"
	opDeleteReplays = "delete_replays"
	opStats         = "stats"
	opPing          = "ping"
)

var operations = []string{
	opPut, opGet, opOpen, opList, opSagas, opSaga, opDelete, opDeleteMany,
	opPutReplay, opGetReplay, opListReplays, opDeleteReplays, opStats, opPing,
}

// Results of an operation. resultError is what nothing else fits, and worth a
// look; the store's log says more.
const (
	resultOK          = "ok"
	resultNotFound    = "not_found"
	resultExists      = "exists"
	resultConflict    = "conflict"
	resultCorrupt     = "corrupt"
	resultNoSpace     = "no_space"
	resultUnavailable = "unavailable"
	resultCancelled   = "cancelled"
	resultError       = "error"
)

var results = []string{
	resultOK, resultNotFound, resultExists, resultConflict, resultCorrupt,
	resultNoSpace, resultUnavailable, resultCancelled, resultError,
}

func resultOf(err error) string {
	if err == nil {
		return resultOK
	}
	for _, known := range []struct {
		err    error
		result string
	}{
		// These first: they may wrap a cause that is among the others.
		{saga.ErrDegraded, resultUnavailable},
		{saga.ErrReadOnly, resultUnavailable},
		{saga.ErrOutcomeUnknown, resultUnavailable},
		{saga.ErrSnapshotNotFound, resultNotFound},
		{saga.ErrSagaNotFound, resultNotFound},
		{saga.ErrReplayNotFound, resultNotFound},
		{saga.ErrExists, resultExists},
		{saga.ErrReplayChanged, resultConflict},
		{saga.ErrCorrupt, resultCorrupt},
		{saga.ErrNoSpace, resultNoSpace},
		{context.Canceled, resultCancelled},
		{context.DeadlineExceeded, resultCancelled},
	} {
		if errors.Is(err, known.err) {
			return known.result
		}
	}
	return resultError
}

// Wrap returns s with every call measured, and has scrapes ask s what is stored
// until the returned store is closed.
func (m *Metrics) Wrap(s store.Store) store.Store {
	m.store.Store(&s)
	return &measured{next: s, metrics: m}
}

// measured writes each method out, so that none slips through unmeasured.
type measured struct {
	next    store.Store
	metrics *Metrics
}

// done counts a call that began at start. It is deferred, hence the pointer.
func (s *measured) done(operation string, start time.Time, err *error) {
	if *err == nil {
		m := s.metrics.succeeded[operation]
		m.calls.Inc()
		m.durations.Observe(time.Since(start).Seconds())
		return
	}
	result := resultOf(*err)
	s.metrics.operations.WithLabelValues(operation, result).Inc()
	s.metrics.durations.WithLabelValues(operation, result).Observe(time.Since(start).Seconds())
}

// measureOpen has the opening of the item's document measured, too.
func (s *measured) measureOpen(item *store.Item) {
	open := item.Open
	item.Open = func(ctx context.Context, gzipped bool) (doc *store.Document, err error) {
		defer s.done(opOpen, time.Now(), &err)
		return open(ctx, gzipped)
	}
}

func (s *measured) Put(ctx context.Context, sum *saga.Summary, doc []byte) (sizeBytes int64, err error) {
	defer s.done(opPut, time.Now(), &err)
	return s.next.Put(ctx, sum, doc)
}

func (s *measured) Get(ctx context.Context, id uuid.UUID) (item *store.Item, err error) {
	defer s.done(opGet, time.Now(), &err)
	if item, err = s.next.Get(ctx, id); err == nil {
		s.measureOpen(item)
	}
	return item, err
}

func (s *measured) List(ctx context.Context, q *saga.Query) (page *store.Page, err error) {
	defer s.done(opList, time.Now(), &err)
	if page, err = s.next.List(ctx, q); err == nil {
		for i := range page.Items {
			s.measureOpen(&page.Items[i])
		}
	}
	return page, err
}

func (s *measured) Sagas(ctx context.Context, q *saga.Query) (page *store.SagaPage, err error) {
	defer s.done(opSagas, time.Now(), &err)
	return s.next.Sagas(ctx, q)
}

func (s *measured) Saga(ctx context.Context, id uuid.UUID) (sum *saga.Saga, err error) {
	defer s.done(opSaga, time.Now(), &err)
	return s.next.Saga(ctx, id)
}

func (s *measured) Delete(ctx context.Context, id uuid.UUID) (sum *saga.Summary, err error) {
	defer s.done(opDelete, time.Now(), &err)
	return s.next.Delete(ctx, id)
}

func (s *measured) DeleteMany(ctx context.Context, sel *store.Selection) (d *store.Deletion, err error) {
	defer s.done(opDeleteMany, time.Now(), &err)
	return s.next.DeleteMany(ctx, sel)
}

func (s *measured) PutReplay(ctx context.Context, r, expect *saga.Replay) (err error) {
	defer s.done(opPutReplay, time.Now(), &err)
	return s.next.PutReplay(ctx, r, expect)
}

func (s *measured) GetReplay(ctx context.Context, id uuid.UUID) (r *saga.Replay, err error) {
	defer s.done(opGetReplay, time.Now(), &err)
	return s.next.GetReplay(ctx, id)
}

func (s *measured) ListReplays(ctx context.Context, q *saga.Query) (page *store.ReplayPage, err error) {
	defer s.done(opListReplays, time.Now(), &err)
	return s.next.ListReplays(ctx, q)
}

func (s *measured) DeleteReplays(ctx context.Context, sagaID uuid.UUID) (n int, err error) {
	defer s.done(opDeleteReplays, time.Now(), &err)
	return s.next.DeleteReplays(ctx, sagaID)
}

func (s *measured) Stats(ctx context.Context, now saga.Time) (stats *store.Stats, err error) {
	defer s.done(opStats, time.Now(), &err)
	return s.next.Stats(ctx, now)
}

func (s *measured) Ping(ctx context.Context) (err error) {
	defer s.done(opPing, time.Now(), &err)
	return s.next.Ping(ctx)
}

// Close is the last call; scrapes ask no more from here on.
func (s *measured) Close() error {
	s.metrics.store.Store(nil)
	return s.next.Close()
}
