// Package memstore keeps snapshots and replays in memory, for as long as the
// process lives.
package memstore

import (
	"bytes"
	"context"
	"sync"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

var _ store.Store = (*Store)(nil)

// A Store holds its documents in maps. Every record of the catalogues has its
// document there whenever mu is free.
type Store struct {
	catalog *catalog.Catalog
	replays catalog.Replays

	mu            sync.RWMutex
	documents     map[uuid.UUID][]byte
	replayRecords map[uuid.UUID][]byte
}

// New returns an empty store.
func New() *Store {
	return &Store{
		catalog:       catalog.New(),
		documents:     map[uuid.UUID][]byte{},
		replayRecords: map[uuid.UUID][]byte{},
	}
}

func (s *Store) Put(ctx context.Context, sum *saga.Summary, doc []byte) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := &catalog.Record{Summary: *sum, Location: catalog.Location{RawSize: int64(len(doc))}}
	r.SizeBytes = r.RawSize
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.catalog.Insert(r) {
		return 0, saga.ErrExists
	}
	s.documents[r.ID] = bytes.Clone(doc)
	return r.SizeBytes, nil
}

func (s *Store) Get(ctx context.Context, id uuid.UUID) (*store.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, ok := s.catalog.Get(id)
	if !ok {
		return nil, saga.ErrSnapshotNotFound
	}
	item := s.item(&r)
	return &item, nil
}

func (s *Store) item(r *catalog.Record) store.Item {
	id := r.ID
	return store.Item{Summary: r.Summary, RawSize: r.RawSize, Open: func(ctx context.Context, _ bool) (*store.Document, error) {
		return s.open(ctx, id)
	}}
}

func (s *Store) open(ctx context.Context, id uuid.UUID) (*store.Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	doc, ok := s.documents[id]
	if !ok {
		return nil, saga.ErrSnapshotNotFound
	}
	return store.InMemory(doc, nil), nil
}

func (s *Store) List(ctx context.Context, q *saga.Query) (*store.Page, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, next := s.catalog.List(q)
	page := &store.Page{Items: make([]store.Item, len(records)), Next: next}
	for i := range records {
		page.Items[i] = s.item(&records[i])
	}
	return page, nil
}

func (s *Store) Sagas(ctx context.Context, q *saga.Query) (*store.SagaPage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sagas, next := s.catalog.Sagas(q)
	return &store.SagaPage{Sagas: sagas, Next: next}, nil
}

func (s *Store) Saga(ctx context.Context, id uuid.UUID) (*saga.Saga, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sum, ok := s.catalog.Saga(id)
	if !ok {
		return nil, saga.ErrSagaNotFound
	}
	return &sum, nil
}

func (s *Store) Delete(ctx context.Context, id uuid.UUID) (*saga.Summary, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.catalog.Remove(id)
	if !ok {
		return nil, saga.ErrSnapshotNotFound
	}
	delete(s.documents, id)
	return &r.Summary, nil
}

func (s *Store) DeleteMany(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sel.DryRun {
		return s.catalog.Describe(sel), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen, _ := s.catalog.Choose(sel)
	d := &store.Deletion{Remaining: s.catalog.Count(sel)}
	for _, r := range chosen {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		s.catalog.Remove(r.ID)
		delete(s.documents, r.ID)
		d.Count++
		d.Remaining--
		d.Bytes += r.SizeBytes
		if len(d.Sample) < sel.Sample {
			d.Sample = append(d.Sample, r.Summary)
		}
	}
	return d, nil
}

func (s *Store) PutReplay(ctx context.Context, r, expect *saga.Replay) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, exists := s.replays.Get(r.ID)
	switch {
	case expect == nil && exists:
		return saga.ErrExists
	case expect != nil && !exists:
		return saga.ErrReplayChanged
	case expect != nil:
		if stored, err := s.readReplay(r.ID); err != nil {
			return err
		} else if !stored.Equal(expect) {
			return saga.ErrReplayChanged
		}
	}
	doc := r.AppendJSON(nil, false)
	s.replayRecords[r.ID] = doc
	s.replays.Put(catalog.ReplayRecord{
		ID: r.ID, OriginalSagaID: r.OriginalSagaID, CreatedAt: r.CreatedAt, Status: r.Status, Size: int64(len(doc)),
	})
	return nil
}

func (s *Store) GetReplay(ctx context.Context, id uuid.UUID) (*saga.Replay, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.readReplay(id)
}

// readReplay answers a copy: what ReadReplay returns aliases what it read.
func (s *Store) readReplay(id uuid.UUID) (*saga.Replay, error) {
	doc, ok := s.replayRecords[id]
	if !ok {
		return nil, saga.ErrReplayNotFound
	}
	return saga.ReadReplay(bytes.Clone(doc))
}

func (s *Store) ListReplays(ctx context.Context, q *saga.Query) (*store.ReplayPage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids, next := s.replays.List(q)
	page := &store.ReplayPage{Next: next}
	for _, id := range ids {
		r, err := s.readReplay(id)
		if err != nil {
			return nil, err
		}
		page.Replays = append(page.Replays, r)
	}
	return page, nil
}

func (s *Store) DeleteReplays(ctx context.Context, sagaID uuid.UUID) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, _ := s.replays.List(&saga.Query{
		SagaID: uuid.NullUUID{UUID: sagaID, Valid: true},
		Limit:  len(s.replayRecords),
	})
	for _, id := range ids {
		s.replays.Remove(id)
		delete(s.replayRecords, id)
	}
	return len(ids), nil
}

func (s *Store) Stats(ctx context.Context, now saga.Time) (*store.Stats, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stats := &store.Stats{Type: "memory", Durability: "none"}
	s.catalog.Fill(stats, now)
	stats.Replays, stats.ReplaysByStatus, stats.ReplayBytes, stats.UnreadableReplays = s.replays.Counts()
	return stats, nil
}

func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

// Close forgets nothing and releases nothing; the garbage collector does.
func (s *Store) Close() error { return nil }
