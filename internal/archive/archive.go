// Package archive holds the rules that are the same for every store: ids and
// times that clients leave to the server, what counts as the same content,
// retention and limits, replays, clean-up and its timer.
package archive

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// Types of what a store found, which an archive passes on.
type (
	// Item is a snapshot found.
	Item = store.Item
	// Document is an open document.
	Document = store.Document
	// Page is a part of a list of snapshots.
	Page = store.Page
	// SagaPage is a part of a list of sagas.
	SagaPage = store.SagaPage
	// ReplayPage is a part of a list of replays.
	ReplayPage = store.ReplayPage
	// Stats counts what is stored.
	Stats = store.Stats
)

// Config is what an Archive is made of.
type Config struct {
	Store  store.Store
	Logger *slog.Logger
	Now    func() time.Time // nil = time.Now
	NewID  func() uuid.UUID // nil = random UUIDv7 (RFC 9562)

	Indent            bool          // lay new documents out for people
	DefaultRetention  time.Duration // of snapshots saved without retention_until; 0 = they are kept for ever
	MaxPerSaga        int           // beyond this many a saga's oldest snapshots go; 0 = all stay
	ReportExpiredOnly bool          // the janitor deletes nothing until CleanUp has been called
	Observer          Observer
}

// An Observer is told what happens. Nil functions are not called.
type Observer struct {
	Saved     func(result string, sizeBytes int64) // SavedNew, SavedSame, SavedConflict, SavedError; the size of new ones
	Deleted   func(reason string, n int)           // ReasonRequest and so on
	Replay    func(status saga.ReplayStatus)       // a record took on this status
	CleanedUp func(run CleanUpRun)
}

// Results of a save, and reasons of a deletion.
const (
	SavedNew      = "created"
	SavedSame     = "unchanged"
	SavedConflict = "conflict"
	SavedError    = "error"

	ReasonRequest    = "request"
	ReasonSaga       = "saga"
	ReasonExpired    = "expired"
	ReasonMaxPerSaga = "max_per_saga"
)

// An Archive applies the rules above one store. It is safe for concurrent use.
type Archive struct {
	cfg        Config
	buffers    sync.Pool
	cleaning   chan struct{} // holds one token; who has it cleans up
	reportOnly atomic.Bool
	reported   atomic.Int64 // how many expired ones the janitor has warned of
}

// New returns an archive above cfg.Store, which stays the caller's to close.
func New(cfg Config) *Archive {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	o := &cfg.Observer
	if o.Saved == nil {
		o.Saved = func(string, int64) {}
	}
	if o.Deleted == nil {
		o.Deleted = func(string, int) {}
	}
	if o.Replay == nil {
		o.Replay = func(saga.ReplayStatus) {}
	}
	if o.CleanedUp == nil {
		o.CleanedUp = func(CleanUpRun) {}
	}
	a := &Archive{cfg: cfg, cleaning: make(chan struct{}, 1)}
	a.buffers.New = func() any { return new([]byte) }
	a.reportOnly.Store(cfg.ReportExpiredOnly)
	return a
}

func (a *Archive) now() saga.Time { return saga.At(a.cfg.Now()) }

// A Receipt acknowledges a saved snapshot.
type Receipt struct {
	ID             uuid.UUID `json:"snapshot_id"`
	SagaID         uuid.UUID `json:"saga_id"`
	CreatedAt      saga.Time `json:"created_at"`
	RetentionUntil saga.Time `json:"retention_until"`
	SizeBytes      int64     `json:"size_bytes"`
}

func receipt(s *saga.Summary) *Receipt {
	return &Receipt{ID: s.ID, SagaID: s.SagaID, CreatedAt: s.CreatedAt, RetentionUntil: s.RetentionUntil, SizeBytes: s.SizeBytes}
}

// Save stores a snapshot under its id, or under a new one when it has none. The
// same content again is acknowledged with what is stored and created false;
// with createOnly that is saga.ErrPrecondition. Other content under the id is
// saga.ErrConflict.
func (a *Archive) Save(ctx context.Context, d *saga.Draft, createOnly bool) (r *Receipt, created bool, err error) {
	r, created, err = a.save(ctx, d, createOnly)
	switch {
	case created:
		a.cfg.Observer.Saved(SavedNew, r.SizeBytes)
		a.trim(ctx, r.SagaID)
	case err == nil:
		a.cfg.Observer.Saved(SavedSame, 0)
	case errors.Is(err, saga.ErrConflict), errors.Is(err, saga.ErrPrecondition):
		a.cfg.Observer.Saved(SavedConflict, 0)
	default:
		a.cfg.Observer.Saved(SavedError, 0)
	}
	return r, created, err
}

func (a *Archive) save(ctx context.Context, d *saga.Draft, createOnly bool) (*Receipt, bool, error) {
	s := d.Snapshot
	if !d.HasID {
		s.ID = a.cfg.NewID()
	}
	if !d.HasCreatedAt {
		s.CreatedAt = a.now()
	}
	if !d.HasRetention && a.cfg.DefaultRetention > 0 {
		s.RetentionUntil = a.now().Add(a.cfg.DefaultRetention) // not from created_at: a backfill is not to go at once
	}
	buf := a.buffers.Get().(*[]byte)
	defer a.buffers.Put(buf)
	*buf = s.AppendJSON((*buf)[:0], a.cfg.Indent)
	for {
		size, err := a.cfg.Store.Put(ctx, &s.Summary, *buf)
		if err == nil {
			s.SizeBytes = size
			return receipt(&s.Summary), true, nil
		}
		if !errors.Is(err, saga.ErrExists) {
			return nil, false, err
		}
		if createOnly {
			return nil, false, saga.ErrPrecondition
		}
		item, stored, err := a.read(ctx, s.ID)
		switch {
		case errors.Is(err, saga.ErrSnapshotNotFound):
			continue // deleted since; the id is free
		case err != nil:
			return nil, false, err
		case !d.SameContent(stored):
			return nil, false, saga.ErrConflict
		}
		return receipt(&item.Summary), false, nil
	}
}

// read answers a stored snapshot as a whole.
func (a *Archive) read(ctx context.Context, id uuid.UUID) (*Item, *saga.Snapshot, error) {
	item, err := a.cfg.Store.Get(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	s, err := readItem(ctx, item)
	return item, s, err
}

func readItem(ctx context.Context, item *Item) (*saga.Snapshot, error) {
	doc, err := item.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	text := doc.Text
	if text == nil {
		if text, err = io.ReadAll(doc); err != nil {
			return nil, err
		}
	}
	s, _, err := saga.ReadSnapshot(text)
	if err != nil {
		return nil, &saga.CorruptError{ID: item.ID, Err: err}
	}
	return s, nil
}

// Snapshot finds a snapshot by its id.
func (a *Archive) Snapshot(ctx context.Context, id uuid.UUID) (*Item, error) {
	return a.cfg.Store.Get(ctx, id)
}

// Snapshots answers a page of the snapshots of a saga, or of all.
func (a *Archive) Snapshots(ctx context.Context, q *saga.Query) (*Page, error) {
	return a.cfg.Store.List(ctx, q)
}

// Latest finds the first snapshot of a list; saga.ErrSnapshotNotFound if it is
// empty.
func (a *Archive) Latest(ctx context.Context, q *saga.Query) (*Item, error) {
	first := *q
	first.Limit = 1
	page, err := a.cfg.Store.List(ctx, &first)
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, saga.ErrSnapshotNotFound
	}
	return &page.Items[0], nil
}

// Sagas answers a page of sagas.
func (a *Archive) Sagas(ctx context.Context, q *saga.Query) (*SagaPage, error) {
	return a.cfg.Store.Sagas(ctx, q)
}

// Saga sums up one saga; saga.ErrSagaNotFound when it has no snapshots.
func (a *Archive) Saga(ctx context.Context, id uuid.UUID) (*saga.Saga, error) {
	return a.cfg.Store.Saga(ctx, id)
}

// Stats counts what is stored.
func (a *Archive) Stats(ctx context.Context) (*Stats, error) {
	return a.cfg.Store.Stats(ctx, a.now())
}

// Ping reports whether snapshots can be saved: nil, or why not.
func (a *Archive) Ping(ctx context.Context) error { return a.cfg.Store.Ping(ctx) }
