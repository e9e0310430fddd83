package storetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

var epoch = saga.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

// at is so many seconds after the epoch of the tests.
func at(seconds int) saga.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func ptr[T any](v T) *T { return &v }

func valid(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: true} }

// nth is the n-th id, counted in their order.
func nth(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// orders is a saga, and so are the others.
var orders, refunds, parcels = uuid.New(), uuid.New(), uuid.New()

// An option changes a snapshot before it is saved.
type option func(*saga.Snapshot)

// newSnapshot is a valid snapshot without retention, created at the epoch.
func newSnapshot(sagaID uuid.UUID, options ...option) *saga.Snapshot {
	s := &saga.Snapshot{
		Summary: saga.Summary{
			ID: uuid.New(), SagaID: sagaID, SagaName: "order", StepName: "charge", Status: "executing",
			CreatedAt: epoch, RetentionUntil: saga.Never,
		},
		Context: []byte(`{}`), CompletedSteps: []byte(`[]`), ExternalRefs: []byte(`{}`),
	}
	for _, o := range options {
		o(s)
	}
	return s
}

func withID(id uuid.UUID) option    { return func(s *saga.Snapshot) { s.ID = id } }
func created(seconds int) option    { return func(s *saga.Snapshot) { s.CreatedAt = at(seconds) } }
func kept(seconds int) option       { return func(s *saga.Snapshot) { s.RetentionUntil = at(seconds) } }
func index(n int32) option          { return func(s *saga.Snapshot) { s.StepIndex = n } }
func step(name string) option       { return func(s *saga.Snapshot) { s.StepName = name } }
func named(name string) option      { return func(s *saga.Snapshot) { s.SagaName = name } }
func status(status string) option   { return func(s *saga.Snapshot) { s.Status = status } }
func withContext(doc string) option { return func(s *saga.Snapshot) { s.Context = []byte(doc) } }

// put saves a snapshot as an indented document and answers it with its size.
func (f *fixture) put(s *saga.Snapshot) saga.Summary {
	f.Helper()
	return f.putDocument(s.Summary, s.AppendJSON(nil, true))
}

func (f *fixture) putDocument(s saga.Summary, doc []byte) saga.Summary {
	f.Helper()
	given := s
	size, err := f.store.Put(f.ctx(), &given, doc)
	if err != nil {
		f.Fatalf("put %s: %v", s.ID, err)
	}
	s.SizeBytes = size
	return s
}

func (f *fixture) get(id uuid.UUID) saga.Summary {
	f.Helper()
	item, err := f.store.Get(f.ctx(), id)
	if err != nil {
		f.Fatalf("get %s: %v", id, err)
	}
	return item.Summary
}

func (f *fixture) delete(id uuid.UUID) {
	f.Helper()
	if _, err := f.store.Delete(f.ctx(), id); err != nil {
		f.Fatalf("delete %s: %v", id, err)
	}
}

func (f *fixture) stats(now saga.Time) *store.Stats {
	f.Helper()
	stats, err := f.store.Stats(f.ctx(), now)
	if err != nil {
		f.Fatalf("stats: %v", err)
	}
	return stats
}

// document reads the document of a snapshot that must be there.
func (f *fixture) document(id uuid.UUID) []byte {
	f.Helper()
	doc, err := readByID(f.ctx(), f.store, id, false)
	if err != nil {
		f.Fatalf("read %s: %v", id, err)
	}
	return doc
}

func readByID(ctx context.Context, s store.Store, id uuid.UUID, gzipped bool) ([]byte, error) {
	item, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return read(ctx, item, gzipped)
}

// read opens a document, reads all of it, and decompresses it if need be.
func read(ctx context.Context, item *store.Item, gzipped bool) ([]byte, error) {
	doc, err := item.Open(ctx, gzipped)
	if err != nil {
		return nil, err
	}
	stored, err := io.ReadAll(doc)
	if err := doc.Close(); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	switch {
	case err != nil:
		return nil, err
	case doc.Gzipped && !gzipped:
		return nil, fmt.Errorf("compressed, without having been asked for")
	case doc.Size >= 0 && doc.Size != int64(len(stored)):
		return nil, fmt.Errorf("%d bytes, %d were announced", len(stored), doc.Size)
	case !doc.Gzipped:
		return stored, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// page asks for a page and checks what holds for every page.
func (f *fixture) page(q *saga.Query) *store.Page {
	f.Helper()
	page, err := f.store.List(f.ctx(), q)
	if err != nil {
		f.Fatalf("list: %v", err)
	}
	n := len(page.Items)
	if n > q.Limit {
		f.Errorf("%d items on a page of %d", n, q.Limit)
	}
	if page.Next != nil && (n == 0 || *page.Next != page.Items[n-1].Position()) {
		f.Fatalf("Next is %+v, not the position of the last of %d items", page.Next, n)
	}
	return page
}

// walk follows Next to the end of a list.
func (f *fixture) walk(q *saga.Query) (all []saga.Summary) {
	f.Helper()
	for q := *q; ; {
		page := f.page(&q)
		for _, item := range page.Items {
			all = append(all, item.Summary)
		}
		if page.Next == nil {
			return all
		}
		q.From = page.Next
	}
}

// ids lists the ids of a walk along a list of up to 100 a page.
func (f *fixture) ids(q saga.Query) (ids []uuid.UUID) {
	f.Helper()
	q.Limit = 100
	for _, s := range f.walk(&q) {
		ids = append(ids, s.ID)
	}
	return ids
}

func (f *fixture) sagaPage(q *saga.Query) *store.SagaPage {
	f.Helper()
	page, err := f.store.Sagas(f.ctx(), q)
	if err != nil {
		f.Fatalf("sagas: %v", err)
	}
	n := len(page.Sagas)
	if n > q.Limit {
		f.Errorf("%d sagas on a page of %d", n, q.Limit)
	}
	if page.Next != nil && (n == 0 || *page.Next != page.Sagas[n-1].Position()) {
		f.Fatalf("Next is %+v, not the position of the last of %d sagas", page.Next, n)
	}
	return page
}

func (f *fixture) walkSagas(q *saga.Query) (all []saga.Saga) {
	f.Helper()
	for q := *q; ; {
		page := f.sagaPage(&q)
		all = append(all, page.Sagas...)
		if page.Next == nil {
			return all
		}
		q.From = page.Next
	}
}
