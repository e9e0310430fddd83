package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

// smallSegment makes a log of which a few snapshots fill a segment; documents
// above some 1,900 bytes write through.
const smallSegment = 4096

// A world is a store on a disk that fails and loses what was not synced, and what
// must be found in it. Its methods are the requests of a client: they note what the
// answers promise, and complain about answers that cannot be right.
type world struct {
	t      *testing.T
	title  string
	root   string // of all directories of this world
	cfg    filestore.Config
	faulty *vfstest.Faulty
	disk   *vfstest.Recorder
	store  *filestore.Store
	errs   *errorLog

	mu       sync.Mutex
	known    map[uuid.UUID][]string // what a snapshot or replay may hold; "" = it is not there
	errno    syscall.Errno          // of the fault, if there is one
	degraded bool                   // an answer said so
	failed   bool
	copies   int
	noisy    bool // the log may tell of errors
	control  bool // something must be wrong
}

// scratch is a directory for many small files; nothing in it needs a disk.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "snapshotd-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newWorld(t *testing.T, scratch, title string, change func(*filestore.Config)) *world {
	t.Helper()
	w := &world{t: t, title: title, known: map[uuid.UUID][]string{}, errs: &errorLog{}}
	var err error
	if w.root, err = os.MkdirTemp(scratch, "world-"); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(w.root, "live")
	if err := os.Mkdir(live, 0o700); err != nil {
		t.Fatal(err)
	}
	w.faulty = vfstest.NewFaulty(vfstest.Unsynced{FS: vfs.OS{}})
	if w.disk, err = vfstest.NewRecorder(w.faulty, live); err != nil {
		t.Fatal(err)
	}
	w.cfg = filestore.Config{
		BasePath: filepath.Join(live, "srv", "data"), Indent: true, FS: w.disk, Logger: slog.New(w.errs),
	}.WithSegments(smallSegment)
	if change != nil {
		change(&w.cfg)
	}
	return w
}

// end gives back what the world holds. A call that hangs ends the tests.
func (w *world) end(watchdog *time.Timer) {
	w.disk.CutAfter(0)
	w.close()
	os.RemoveAll(w.root)
	watchdog.Stop()
}

func (w *world) watch() *time.Timer {
	return time.AfterFunc(time.Minute, func() {
		debug.SetTraceback("all")
		panic(w.title + ": a call does not return")
	})
}

func (w *world) errorf(format string, args ...any) {
	w.t.Helper()
	w.failed = true
	if w.control {
		return
	}
	w.t.Errorf("%s: %s", w.title, fmt.Sprintf(format, args...))
}

// open is a start of the daemon.
func (w *world) open() error {
	s, err := filestore.Open(context.Background(), w.cfg)
	if err == nil {
		w.store = s
	}
	return err
}

// close is its end.
func (w *world) close() error {
	if w.store == nil {
		return nil
	}
	s := w.store
	w.store = nil
	return s.Close()
}

// ask makes a request by which keys were to become after, and notes what the answer
// says of them.
func (w *world) ask(after string, request func() error, keys ...uuid.UUID) error {
	w.t.Helper()
	w.mu.Lock()
	degraded := w.degraded
	w.mu.Unlock()
	err := request()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(keys) == 1 && w.alreadySo(err, keys[0]) {
		return nil
	}
	w.judge(err, degraded)
	for _, key := range keys {
		switch {
		case err == nil:
			w.known[key] = []string{after}
		case w.disk.Cut() || errors.Is(err, saga.ErrOutcomeUnknown):
			w.known[key] = append(slices.Clone(w.mayHold(key)), after)
		}
	}
	return err
}

// alreadySo reports whether an answer only says that an earlier request, the outcome
// of which was not known or had failed, makes this one void.
func (w *world) alreadySo(err error, key uuid.UUID) bool {
	may := w.mayHold(key)
	switch {
	case errors.Is(err, saga.ErrSnapshotNotFound):
		return slices.Contains(may, "")
	case errors.Is(err, saga.ErrReplayChanged):
		return slices.Contains(may, "")
	case errors.Is(err, saga.ErrExists):
		return len(may) > 1 || may[0] != ""
	}
	return false
}

func (w *world) mayHold(key uuid.UUID) []string {
	if w.known[key] == nil {
		return []string{""}
	}
	return w.known[key]
}

// judge complains about an error that is not the right one. After the cut nobody
// hears any.
func (w *world) judge(err error, degraded bool) {
	w.t.Helper()
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case err == nil && degraded:
		w.errorf("a degraded store has made a change")
	case err == nil || w.disk.Cut():
	case w.errno == 0:
		w.errorf("on a healthy disk: %v", err)
	case is(saga.ErrDegraded), is(saga.ErrOutcomeUnknown):
		w.degraded = true
	case degraded:
		w.errorf("a degraded store answers %v", err)
	case w.errno == syscall.ENOSPC && !is(saga.ErrNoSpace), w.errno != syscall.ENOSPC && !is(saga.ErrReadOnly):
		w.errorf("%v is answered as %v", w.errno, err)
	}
}

func (w *world) put(s *saga.Snapshot) error {
	doc := s.AppendJSON(nil, true)
	return w.ask(string(doc), func() error {
		_, err := w.store.Put(context.Background(), &s.Summary, doc)
		return err
	}, s.ID)
}

func (w *world) delete(id uuid.UUID) error {
	return w.ask("", func() error {
		_, err := w.store.Delete(context.Background(), id)
		return err
	}, id)
}

// deleteMany deletes these snapshots, which the selection chooses.
func (w *world) deleteMany(sel *store.Selection, ids ...uuid.UUID) error {
	sel.Sample = 1 << 20
	var d *store.Deletion
	err := w.ask("", func() (err error) {
		d, err = w.store.DeleteMany(context.Background(), sel)
		return err
	}, ids...)
	if err == nil && d.Count != len(ids) || d.Count != len(d.Sample) {
		w.errorf("delete many answers %d, sample %d, of %d: %v", d.Count, len(d.Sample), len(ids), err)
	}
	for i := range d.Sample {
		w.known[d.Sample[i].ID] = []string{""}
	}
	return err
}

func (w *world) putReplay(r, expect *saga.Replay) error {
	return w.ask(string(r.AppendJSON(nil, true)), func() error {
		return w.store.PutReplay(context.Background(), r, expect)
	}, r.ID)
}

// deleteReplays deletes the saga's replays. When only some could be deleted, these
// must be gone for good.
func (w *world) deleteReplays(sagaID uuid.UUID, ids ...uuid.UUID) error {
	stored := 0
	for _, id := range ids {
		if !slices.Contains(w.mayHold(id), "") {
			stored++
		}
	}
	if stored == 0 {
		_, err := w.store.DeleteReplays(context.Background(), sagaID)
		return err
	}
	var n int
	err := w.ask("", func() (err error) {
		n, err = w.store.DeleteReplays(context.Background(), sagaID)
		return err
	}, ids...)
	if err == nil && n < stored {
		w.errorf("%d of %d replays deleted", n, stored)
	}
	if err != nil && n > 0 && !w.disk.Cut() {
		for _, id := range ids {
			if _, err := w.store.GetReplay(context.Background(), id); errors.Is(err, saga.ErrReplayNotFound) {
				w.known[id] = []string{""}
			}
		}
	}
	return err
}

// content answers what a store holds under a key, as known has it.
func content(s *filestore.Store, key uuid.UUID) (string, error) {
	item, err := s.Get(context.Background(), key)
	if err == nil {
		var doc *store.Document
		if doc, err = item.Open(context.Background(), false); err == nil {
			text, err := io.ReadAll(doc)
			return string(text), errors.Join(err, doc.Close())
		}
	}
	if !errors.Is(err, saga.ErrSnapshotNotFound) {
		return "", err
	}
	r, err := s.GetReplay(context.Background(), key)
	if errors.Is(err, saga.ErrReplayNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(r.AppendJSON(nil, true)), nil
}

// check complains about a store that does not hold what it must. What it was
// seen to hold, it must hold from then on, if settled.
func (w *world) check(s *filestore.Store, when string, settled bool) {
	w.t.Helper()
	present := 0
	for key := range w.known {
		got, err := content(s, key)
		if err != nil || !slices.Contains(w.known[key], got) {
			w.errorf("%s: %s is %.40q, %v; want one of %.40q", when, key, got, err, w.known[key])
		}
		if got != "" {
			present++
		}
		if settled {
			w.known[key] = []string{got}
		}
	}
	stats, err := s.Stats(context.Background(), 0)
	if err != nil || stats.Snapshots+stats.Replays != present || stats.UnreadableSnapshots+stats.UnreadableReplays != 0 {
		w.errorf("%s: %d present: %+v, %v", when, present, stats, err)
	}
	page, err := s.List(context.Background(), &saga.Query{Limit: 1000})
	if err != nil || len(page.Items) != stats.Snapshots {
		w.errorf("%s: %d listed, %v", when, len(page.Items), err)
	}
}

// checkCopy opens what a power cut has left, checks it, and changes something.
func (w *world) checkCopy(dir, when string) {
	w.t.Helper()
	cfg := w.cfg
	rel, _ := filepath.Rel(filepath.Join(w.root, "live"), cfg.BasePath)
	cfg.BasePath, cfg.FS = filepath.Join(dir, rel), vfstest.Unsynced{FS: vfs.OS{}}
	errs := &errorLog{}
	cfg.Logger = slog.New(errs)
	s, err := filestore.Open(context.Background(), cfg)
	if err != nil {
		w.errorf("%s: open: %v", when, err)
		return
	}
	w.check(s, when, false)
	if said := errs.take(); said != "" && !w.noisy {
		w.errorf("%s: the start says %s", when, said)
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.BasePath, ".snapshotd", "tmp", "*", "*")); len(left) > 0 {
		w.errorf("%s: left behind: %s", when, left)
	}
	sn := aSnapshot(sagaOf(9), 99)
	if _, err := s.Put(context.Background(), &sn.Summary, sn.AppendJSON(nil, true)); err != nil {
		w.errorf("%s: put: %v", when, err)
	}
	if err := s.Close(); err != nil {
		w.errorf("%s: close: %v", when, err)
	}
	if checked.Add(1)%8 == 0 { // it takes as long as all the rest
		w.verify(cfg.BasePath, when)
	}
}

var checked atomic.Int64

func (w *world) verify(dir, when string) {
	w.t.Helper()
	r, err := filestore.Verify(context.Background(), filestore.VerifyConfig{BasePath: dir})
	if err != nil {
		w.errorf("%s: verify: %v", when, err)
		return
	}
	for _, f := range r.Findings {
		// The directory of a saga that has nothing, and its index, are in nobody's way.
		if f.Kind != filestore.KindEmpty && f.Kind != filestore.KindIndex && !w.noisy {
			w.errorf("%s: verify finds %+v", when, f)
		}
	}
}

// cutCopy lays out what a power cut would leave now.
func (w *world) cutCopy(kept float64) string {
	w.copies++
	dir := filepath.Join(w.root, fmt.Sprintf("copy-%d", w.copies))
	if err := w.disk.Materialize(dir, kept, uint64(w.copies)); err != nil {
		w.t.Fatal(err)
	}
	return dir
}
