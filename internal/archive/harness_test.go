package archive_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nth is the n-th id, counted in their order. The archive's own are 1001, 1002
// and so on.
func nth(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func valid(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: true} }

// orders and refunds are sagas.
var orders, refunds = nth(7001), nth(7002)

const noon = "2026-03-01T12:00:00+00:00"

// A world is an archive over memory, its clock, and what it told.
type world struct {
	*archive.Archive
	t     testing.TB
	store *spoiled
	clock atomic.Int64 // microseconds since the epoch

	mu    sync.Mutex
	heard []string
	log   strings.Builder
}

// newWorld makes a world at noon; change may overrule its archive's parts.
func newWorld(t testing.TB, change ...func(*archive.Config)) *world {
	w := &world{t: t, store: &spoiled{Store: memstore.New()}}
	w.clock.Store(int64(moment(t, noon)))
	var ids atomic.Int64
	cfg := archive.Config{
		Store:  w.store,
		Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		Now:    func() time.Time { return saga.Time(w.clock.Load()).Time() },
		NewID:  func() uuid.UUID { return nth(1000 + int(ids.Add(1))) },
		Observer: archive.Observer{
			Saved:   func(result string, size int64) { w.hear("saved %s %t", result, size > 0) },
			Deleted: func(reason string, n int) { w.hear("deleted %s %d", reason, n) },
			Replay:  func(status saga.ReplayStatus) { w.hear("replay %s", status) },
			CleanedUp: func(run archive.CleanUpRun) {
				w.hear("cleaned up %s %s %d", run.Trigger, run.Result, run.Deleted)
			},
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	w.Archive = archive.New(cfg)
	return w
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Write takes the log.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

func (w *world) hear(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, fmt.Sprintf(format, args...))
}

// wantHeard checks what the observer was told since it was last asked.
func (w *world) wantHeard(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.heard, want) {
		w.t.Errorf("the observer heard %q, want %q", w.heard, want)
	}
	w.heard = nil
}

// wantLogged checks that a line of the log has all these parts.
func (w *world) wantLogged(parts ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return
		}
	}
	w.t.Errorf("no line of the log has %q:\n%s", parts, w.log.String())
}

// logged counts the lines of the log with a text.
func (w *world) logged(text string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// forget drops what the observer was told.
func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = nil
}

func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }

func moment(t testing.TB, text string) saga.Time {
	t.Helper()
	at, err := saga.ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// draft is a snapshot of a saga with these fields, and the usual ones where they
// do not name them.
func draft(t testing.TB, sagaID uuid.UUID, fields string) *saga.Draft {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `{"saga_id":%q`, sagaID)
	for _, f := range [][2]string{
		{"saga_name", `"order"`}, {"step_name", `"charge"`}, {"step_index", `1`}, {"status", `"executing"`}, {"context", `{"amount":1.0,"who":"ann"}`},
	} {
		if !strings.Contains(fields, `"`+f[0]+`"`) {
			fmt.Fprintf(&b, `,%q:%s`, f[0], f[1])
		}
	}
	if fields != "" {
		b.WriteString("," + fields)
	}
	d, err := saga.ParseDraft([]byte(b.String() + "}"))
	if err != nil {
		t.Fatalf("%s: %v", fields, err)
	}
	return d
}

// save saves a new snapshot under the n-th id.
func (w *world) save(sagaID uuid.UUID, n int, fields string) *archive.Receipt {
	w.t.Helper()
	d := draft(w.t, sagaID, fields)
	d.ID, d.HasID = nth(n), true
	r, created, err := w.Save(w.t.Context(), d, false)
	if err != nil || !created {
		w.t.Fatalf("save %d: created %t, %v", n, created, err)
	}
	return r
}

// saveExpired saves n snapshots whose retention has ended, as 2001 and so on.
func (w *world) saveExpired(sagaID uuid.UUID, n int) {
	w.t.Helper()
	for i := range n {
		w.save(sagaID, 2001+i, `"created_at":"1990-01-01T00:00:00Z","retention_until":"1990-01-02T00:00:00Z"`)
	}
	w.forget()
}

// wantIDs checks which snapshots a saga has, newest first.
func (w *world) wantIDs(sagaID uuid.UUID, want ...int) {
	w.t.Helper()
	page, err := w.Snapshots(w.t.Context(), &saga.Query{SagaID: valid(sagaID), Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var got []int
	for _, item := range page.Items {
		got = append(got, int(binary.BigEndian.Uint64(item.ID[8:])))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("the saga has %v, want %v", got, want)
	}
}

func (w *world) count() int {
	w.t.Helper()
	stats, err := w.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return stats.Snapshots
}

// A spoiled store is a real one, but for what a test says.
type spoiled struct {
	store.Store
	put        func(context.Context, *saga.Summary, []byte) (int64, error)
	get        func(context.Context, uuid.UUID) (*store.Item, error)
	list       func(context.Context, *saga.Query) (*store.Page, error)
	deleteMany func(context.Context, *store.Selection) (*store.Deletion, error)
	putReplay  func(ctx context.Context, r, expect *saga.Replay) error
}

func (s *spoiled) Put(ctx context.Context, sum *saga.Summary, doc []byte) (int64, error) {
	if s.put != nil {
		return s.put(ctx, sum, doc)
	}
	return s.Store.Put(ctx, sum, doc)
}

func (s *spoiled) Get(ctx context.Context, id uuid.UUID) (*store.Item, error) {
	if s.get != nil {
		return s.get(ctx, id)
	}
	return s.Store.Get(ctx, id)
}

func (s *spoiled) List(ctx context.Context, q *saga.Query) (*store.Page, error) {
	if s.list != nil {
		return s.list(ctx, q)
	}
	return s.Store.List(ctx, q)
}

func (s *spoiled) DeleteMany(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
	if s.deleteMany != nil {
		return s.deleteMany(ctx, sel)
	}
	return s.Store.DeleteMany(ctx, sel)
}

func (s *spoiled) PutReplay(ctx context.Context, r, expect *saga.Replay) error {
	if s.putReplay != nil {
		return s.putReplay(ctx, r, expect)
	}
	return s.Store.PutReplay(ctx, r, expect)
}

type opener = func(ctx context.Context, gzipped bool) (*store.Document, error)

// openAs finds the snapshots that are there, but opens them in another way.
func (w *world) openAs(open opener) func(context.Context, uuid.UUID) (*store.Item, error) {
	return func(ctx context.Context, id uuid.UUID) (*store.Item, error) {
		item, err := w.store.Store.Get(ctx, id)
		if err == nil {
			item.Open = open
		}
		return item, err
	}
}
