package api_test

import (
	"context"
	"io"
	"strings"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// A failing store does what it is told instead of its work.
type failing struct {
	store.Store
	err   error                                // of every method below
	panic bool                                 // of Saga
	open  map[string]func() (io.Reader, error) // instead of a document, by id

	gzipped bool // what is opened instead is said to be a gzip stream
}

func (f *failing) Put(ctx context.Context, s *saga.Summary, doc []byte) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Store.Put(ctx, s, doc)
}

func (f *failing) Ping(ctx context.Context) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Ping(ctx)
}

func (f *failing) Get(ctx context.Context, id uuid.UUID) (*store.Item, error) {
	if f.err != nil {
		return nil, f.err
	}
	item, err := f.Store.Get(ctx, id)
	if err == nil {
		f.spoil(item)
	}
	return item, err
}

func (f *failing) List(ctx context.Context, q *saga.Query) (*store.Page, error) {
	if f.err != nil {
		return nil, f.err
	}
	page, err := f.Store.List(ctx, q)
	if err == nil {
		for i := range page.Items {
			f.spoil(&page.Items[i])
		}
	}
	return page, err
}

func (f *failing) spoil(item *store.Item) {
	if open := f.open[item.ID.String()]; open != nil {
		item.Open = func(context.Context, bool) (*store.Document, error) {
			r, err := open()
			doc := &store.Document{File: io.NopCloser(r), Size: -1, Gzipped: f.gzipped}
			if text, ok := r.(*strings.Reader); ok {
				doc.Size = text.Size()
			}
			return doc, err
		}
	}
}

func (f *failing) Saga(ctx context.Context, id uuid.UUID) (*saga.Saga, error) {
	if f.err != nil {
		return nil, f.err
	}
	if f.panic {
		panic("the store has lost its mind")
	}
	return f.Store.Saga(ctx, id)
}

func (f *failing) Sagas(ctx context.Context, q *saga.Query) (*store.SagaPage, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Sagas(ctx, q)
}

func (f *failing) Delete(ctx context.Context, id uuid.UUID) (*saga.Summary, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Delete(ctx, id)
}

func (f *failing) DeleteMany(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.DeleteMany(ctx, sel)
}

func (f *failing) PutReplay(ctx context.Context, r, expect *saga.Replay) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.PutReplay(ctx, r, expect)
}

func (f *failing) GetReplay(ctx context.Context, id uuid.UUID) (*saga.Replay, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.GetReplay(ctx, id)
}

func (f *failing) ListReplays(ctx context.Context, q *saga.Query) (*store.ReplayPage, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.ListReplays(ctx, q)
}

func (f *failing) DeleteReplays(ctx context.Context, sagaID uuid.UUID) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Store.DeleteReplays(ctx, sagaID)
}

func (f *failing) Stats(ctx context.Context, now saga.Time) (*store.Stats, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Stats(ctx, now)
}
