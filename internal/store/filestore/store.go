// Package filestore keeps snapshots and replays as readable JSON files below one
// directory. DESIGN.md draws the format and argues why nothing is lost.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
	"snapshotd/internal/store/filestore/vfs"
)

// Config says where and how a Store keeps its files.
type Config struct {
	BasePath string // made with its parents if it is missing
	Compress bool   // write new snapshots as .json.gz
	Indent   bool   // lay replay records out for people; snapshots come laid out
	Relaxed  bool   // acknowledge without waiting for the disk: a crash may lose or tear what is some seconds old
	Cache    int64  // bytes of documents read that are kept in memory; 0 = none are
	MinFree  int64  // bytes: with less space available nothing new is stored, so that deleting goes on
	FS       vfs.FS // nil = the operating system's
	Logger   *slog.Logger
	Observer Observer
	Progress func(snapshots int) // told now and then while Open reads; nil = nobody is

	segmentSize int64 // of the log, for tests; 0 = what suits the disk
	settled     bool  // for tests: trust a directory that has just been changed
	syncEach    bool  // for tests: sync file by file even where the system can do more
}

// An Observer is told what cannot be seen from outside. Nil functions are not
// called.
type Observer struct {
	Synced   func(target string, took time.Duration) // target: one of SyncTargets
	Degraded func()
}

// SyncTargets are what an Observer hears of: commits of the log, checkpoints of
// the filesystem behind it, and single files and directories.
var SyncTargets = []string{"log", "filesystem", "file", "directory"}

// A Store is a store.Store on a directory. One process at a time may open it.
type Store struct {
	cfg     Config
	log     *slog.Logger
	disk    disk
	held    lock
	probe   *os.File // held open, see vfs.OS
	first   bool
	catalog *catalog.Catalog
	replays catalog.Replays
	ids     keyLocks
	sagas   sagaLocks
	indexer *indexer
	journal journal
	buffers sync.Pool
	cache   cache
	roomy   room
	closed  atomic.Int64 // directories of sagas that we may not read
	// degraded holds the sync error after which nothing is written any more.
	degraded atomic.Pointer[error]
}

var _ store.Store = (*Store)(nil)

// FirstOpen reports whether the directory held snapshots of another writer and
// had never been opened by us.
func (s *Store) FirstOpen() bool { return s.first }

// Put stores a new snapshot. When it answers, the document and its name are on
// stable storage.
func (s *Store) Put(ctx context.Context, sum *saga.Summary, doc []byte) (int64, error) {
	unlock, err := s.ids.lock(ctx, sum.ID)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if s.known(sum.ID) {
		return 0, saga.ErrExists
	}
	if err := s.checkRoom(); err != nil {
		return 0, err
	}
	record := catalog.Record{Summary: *sum, Location: catalog.Location{
		RawSize: int64(len(doc)), Gzip: s.cfg.Compress, GzipName: s.cfg.Compress,
	}}
	data := doc
	if s.cfg.Compress {
		buf := s.buffers.Get().(*[]byte)
		defer s.buffers.Put(buf)
		*buf = compress((*buf)[:0], doc)
		data = *buf
	}
	record.SizeBytes = int64(len(data))

	lock := s.sagas.of(sum.SagaID)
	lock.RLock()
	defer lock.RUnlock()
	if err := s.checkSaga(sum.SagaID); err != nil {
		return 0, err
	}
	// A file of the other suffix would shadow this one, or be shadowed by it.
	if other := snapshotName(sum.ID, !s.cfg.Compress); exists(s.disk.path(snapshotFile(sum.SagaID, other))) {
		return 0, s.adopt(sum.SagaID, other)
	}
	name := snapshotName(sum.ID, s.cfg.Compress)
	info, err := s.journal.create(snapshotFile(sum.SagaID, name), data)
	if errors.Is(err, fs.ErrExist) && !isUnknown(err) {
		return 0, s.adopt(sum.SagaID, name)
	}
	if err != nil {
		return 0, s.failed(err)
	}
	record.Modified = info.ModTime().UnixNano()
	s.catalog.Insert(&record)
	s.indexer.changed(sum.SagaID)
	return record.SizeBytes, nil
}

// checkSaga fails if files of a new saga would not lie where its snapshots are looked for.
func (s *Store) checkSaga(id uuid.UUID) error {
	if s.catalog.Contains(id) {
		return nil
	}
	dir := s.disk.saga(id)
	if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s, which is no directory, is in the way", dir)
	}
	return nil
}

func exists(path string) bool {
	_, err := lstat(path)
	return err == nil || errors.Is(err, errNotRegular)
}

// known reports whether the id stands for anything, be it unreadable.
func (s *Store) known(id uuid.UUID) bool {
	_, ok := s.catalog.Get(id)
	return ok || len(s.catalog.Unreadable(id)) > 0
}

// adopt takes a file into the catalogue that somebody put there behind us.
func (s *Store) adopt(sagaID uuid.UUID, name string) error {
	found := s.examine(sagaID, name, nil)
	if found.foreign {
		return fmt.Errorf("%s, a directory, is in the way", s.disk.path(snapshotFile(sagaID, name)))
	}
	s.log.Warn("a file that appeared behind the running daemon is taken in", "saga_id", sagaID, "file", name)
	s.admit(found)
	s.indexer.changed(sagaID)
	return saga.ErrExists
}

// checkWritable fails after a sync has failed.
func (s *Store) checkWritable() error {
	if err := s.degraded.Load(); err != nil {
		return fmt.Errorf("%w: %w", saga.ErrDegraded, *err)
	}
	return nil
}

// checkRoom fails when nothing new may be stored.
func (s *Store) checkRoom() error {
	if err := s.checkWritable(); err != nil {
		return err
	}
	if s.roomy.lately() {
		return nil
	}
	return s.askRoom()
}

// askRoom is checkRoom by what the disk says now.
func (s *Store) askRoom() error {
	usage, err := diskUsage(s.disk.base)
	if err != nil {
		return writeError(err)
	}
	if usage.AvailableBytes <= s.cfg.MinFree || usage.Files > 0 && usage.FreeFiles == 0 {
		return saga.ErrNoSpace
	}
	s.roomy.found()
	return nil
}

// room remembers when there was room on the disk, so that not every save asks.
type room struct{ at atomic.Int64 }

var processStart = time.Now()

func (r *room) found() { r.at.Store(int64(time.Since(processStart))) }
func (r *room) lately() bool {
	at := r.at.Load()
	return at != 0 && time.Since(processStart)-time.Duration(at) < roomTime
}

// roomTime is short enough for what is written in it not to matter.
const roomTime = 20 * time.Millisecond

// degrade stops all writing until a restart. After a failed sync the kernel may
// have dropped what was to be written, and a later sync would not tell. So nothing may be
// settled by one: the log, which can write it again, stays as it is.
func (s *Store) degrade(err error) {
	s.stopWriting(err)
	if s.journal.log != nil {
		s.journal.log.Fail(err)
	}
}

func (s *Store) stopWriting(err error) {
	if s.degraded.CompareAndSwap(nil, &err) {
		s.log.Error("a sync to disk failed: nothing more is written until a restart", "err", err)
		s.cfg.Observer.Degraded()
	}
}

// failed judges an error of the journal.
func (s *Store) failed(err error) error {
	if isUnknown(err) {
		s.degrade(err)
		return fmt.Errorf("%w: %w", saga.ErrOutcomeUnknown, err)
	}
	if degraded := s.checkWritable(); degraded != nil && isSyncFailure(err) {
		return degraded
	}
	return writeError(err)
}

// Get finds a snapshot by its id.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (*store.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r, ok := s.catalog.Get(id); ok {
		item := s.item(r, nil, nil)
		return &item, nil
	}
	if err := s.lookAgain(ctx, id); err != nil {
		return nil, err
	}
	if r, ok := s.catalog.Get(id); ok {
		item := s.item(r, nil, nil)
		return &item, nil
	}
	return nil, saga.ErrSnapshotNotFound
}

// item answers what was found by a filter, unless that is nil.
func (s *Store) item(r catalog.Record, look *look, by *saga.Filter) store.Item {
	return store.Item{Summary: r.Summary, RawSize: r.RawSize, Open: func(ctx context.Context, gzipped bool) (*store.Document, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return s.open(ctx, &r, gzipped, look, by)
	}}
}

// mostUnreadable is how many a list names.
const mostUnreadable = 1000

// List answers a page of snapshots.
func (s *Store) List(ctx context.Context, q *saga.Query) (*store.Page, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.SagaID.Valid && q.From == nil {
		s.lookAgainIn(ctx, q.SagaID.UUID)
	}
	records, next := s.catalog.List(q)
	page := &store.Page{Next: next, Items: make([]store.Item, len(records))}
	filter := q.Filter
	var together *look
	if q.SagaID.Valid && len(records) > 1 {
		together = new(look)
	}
	for i, r := range records {
		page.Items[i] = s.item(r, together, &filter)
	}
	if q.From == nil {
		page.Unreadable = s.catalog.UnreadableOf(q.SagaID, mostUnreadable)
	}
	return page, nil
}

// Sagas answers a page of sagas.
func (s *Store) Sagas(ctx context.Context, q *saga.Query) (*store.SagaPage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sagas, next := s.catalog.Sagas(q)
	return &store.SagaPage{Sagas: sagas, Next: next}, nil
}

// Saga sums up one saga.
func (s *Store) Saga(ctx context.Context, id uuid.UUID) (*saga.Saga, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.lookAgainIn(ctx, id)
	sum, ok := s.catalog.Saga(id)
	if !ok {
		return nil, saga.ErrSagaNotFound
	}
	return &sum, nil
}

// Stats counts what is stored, and asks the filesystem how much room it has.
func (s *Store) Stats(ctx context.Context, now saga.Time) (*store.Stats, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stats := &store.Stats{Type: "filesystem", BasePath: s.disk.base, Gzip: s.cfg.Compress, Durability: "full"}
	if s.cfg.Relaxed {
		stats.Durability = "relaxed"
	}
	s.catalog.Fill(stats, now)
	stats.Replays, stats.ReplaysByStatus, stats.ReplayBytes, stats.UnreadableReplays = s.replays.Counts()
	stats.UnreadableSnapshots += int(s.closed.Load())
	stats.IndexBytes = s.indexer.size.Load()
	if s.journal.log != nil {
		stats.LogBytes = s.journal.log.Size()
	}
	var err error
	stats.Disk, err = diskUsage(s.disk.base)
	return stats, err
}

// needed are the directories without which nothing can be saved.
func (s *Store) needed() []string {
	dirs := []string{s.disk.base, s.disk.snapshots(), s.disk.tmp(0)}
	if s.journal.log != nil {
		dirs = append(dirs, s.disk.log())
	}
	return dirs
}

// Ping reports whether snapshots can be saved, as far as that can be told
// without saving one.
func (s *Store) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, dir := range s.needed() {
		if err := writable(dir); err != nil {
			return writeError(fmt.Errorf("%s: %w", dir, err))
		}
	}
	if err := s.checkWritable(); err != nil {
		return err
	}
	return s.askRoom()
}

// Close writes the index files that are behind, settles the log and gives the
// directory back.
func (s *Store) Close() error {
	s.indexer.close()
	s.cache.watcher.close()
	return errors.Join(s.journal.close(), s.probe.Close(), s.held.Close())
}
