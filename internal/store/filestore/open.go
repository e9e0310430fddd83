package filestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/wal"
)

// formatVersion is that of the directory as layout draws it.
const formatVersion = 1

type format struct {
	Version int    `json:"format"`
	Log     wal.ID `json:"log,omitzero"` // whose segments are those of this directory
}

// Open takes the directory for this process, removes what a crash left behind, and
// reads what is there. A file that cannot be read, and a directory that we may not read,
// is logged, counted and left in place. Only if names could not be listed for another
// reason, such as a failing disk, is that an error: nobody knows what is missing then.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	base := s.disk.base
	if err := s.makeDirectories(); err != nil {
		return nil, fmt.Errorf("base path %s: %w", base, err)
	}
	// What is locked is what is worked on, wherever a symbolic link leads later.
	if resolved, err := filepath.EvalSymlinks(base); err == nil {
		s.disk.base = resolved
	}
	if s.held, err = lockDirectory(s.disk.lock()); err != nil {
		return nil, fmt.Errorf("base path %s: %w", base, err)
	}
	if s.probe, err = os.Open(s.disk.lock()); err != nil {
		return nil, errors.Join(fmt.Errorf("base path %s: %w", base, err), s.held.Close())
	}
	if system, ok := s.disk.fs.(vfs.OS); ok {
		system.Held = s.probe
		s.disk.fs = system
		// A write that failed under an earlier process may be reported only now. What it
		// was about is in the log, and is written again.
		if err := system.SyncAll(base); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			s.log.Warn("the disk has failed before; what the log holds is written again", "err", err)
		}
	}
	if err := s.load(ctx); err != nil {
		close(s.journal.stop)
		s.journal.done.Wait()
		if s.journal.log != nil {
			err = errors.Join(err, s.journal.log.Close())
		}
		return nil, errors.Join(fmt.Errorf("base path %s: %w", base, err), s.probe.Close(), s.held.Close())
	}
	if cfg.Cache > 0 {
		s.cache.watcher = newWatcher(&s.disk.layout)
	}
	return s, nil
}

// newStore answers a store that has not looked at its directory yet.
func newStore(cfg Config) (*Store, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Observer.Synced == nil {
		cfg.Observer.Synced = func(string, time.Duration) {}
	}
	if cfg.Observer.Degraded == nil {
		cfg.Observer.Degraded = func() {}
	}
	if cfg.FS == nil {
		cfg.FS = vfs.OS{}
	}
	if cfg.Progress == nil {
		cfg.Progress = func(int) {}
	}
	base, err := filepath.Abs(cfg.BasePath)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, log: cfg.Logger, catalog: catalog.New()}
	s.cache.limit, s.cache.layout = cfg.Cache, &s.disk.layout
	s.buffers.New = func() any { return new([]byte) }
	s.disk.base, s.disk.synced, s.disk.fs = base, cfg.Observer.Synced, cfg.FS
	s.disk.settling = settling
	if cfg.settled {
		s.disk.settling = 0
	}
	s.disk.syncsAll = runtime.GOOS == "linux" && !cfg.syncEach // syncfs(2)
	s.disk.failed, s.journal.disk = s.degrade, &s.disk
	s.journal.wake, s.journal.stop = make(chan struct{}, 1), make(chan struct{})
	s.indexer = newIndexer(&s.disk, s.catalog, &s.sagas, s.log)
	return s, nil
}

// makeDirectories makes what is missing of the base directory and the four
// below it, and sees to it that their names survive a crash.
func (s *Store) makeDirectories() error {
	base := s.disk.base
	info, err := os.Stat(base)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.makeBase(base); err != nil {
			return err
		}
		info, err = os.Stat(base)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is not a directory")
	}
	s.disk.fileMode, s.disk.dirMode = modesLike(info.Mode())
	for _, dir := range s.disk.directories() {
		if err := s.disk.mkdir(dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{s.disk.snapshots(), s.disk.indexes(), s.disk.replays()} {
		if !sameFilesystem(s.disk.own(), dir) {
			return fmt.Errorf("%s is on another filesystem than %s, where files are written before they are moved there", dir, s.disk.own())
		}
	}
	return errors.Join(s.disk.syncDir(base), s.disk.syncDir(s.disk.own()))
}

// makeBase makes a directory and what is missing of its parents.
func (s *Store) makeBase(path string) error {
	err := s.disk.fs.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.makeBase(filepath.Dir(path)); err == nil {
			err = s.disk.fs.Mkdir(path, 0o700)
		}
	}
	if err != nil {
		return err
	}
	return s.disk.syncDir(filepath.Dir(path))
}

func (s *Store) load(ctx context.Context) error {
	known, err := s.readFormat()
	if err != nil {
		return err
	}
	if err := s.clearTemporary(); err != nil {
		return err
	}
	if err := s.recoverLog(); err != nil {
		return err
	}
	s.journal.start()
	if err := s.loadSnapshots(ctx); err != nil {
		return err
	}
	if err := s.loadReplays(ctx); err != nil {
		return err
	}
	if !known {
		if s.journal.log == nil { // else the log's identity has been written, and this with it
			if err := s.writeFormat(); err != nil {
				return err
			}
		}
		found, _ := s.catalog.List(&saga.Query{Limit: 1})
		s.first = len(found) > 0
	}
	s.indexer.start()
	return nil
}

func (s *Store) writeFormat() error {
	text, _ := json.Marshal(format{Version: formatVersion, Log: s.journal.id})
	tmp, _, err := s.disk.temporary(append(text, '\n'), true)
	if err != nil {
		return err
	}
	if err := s.disk.fs.Rename(tmp, s.disk.format()); err != nil {
		return errors.Join(err, s.disk.remove(tmp))
	}
	return s.disk.syncDir(s.disk.own())
}

// errOtherFormat is that of a directory that another version has made.
var errOtherFormat = errors.New("the directory has another format")

// errBadFormat is that of a format that is not spelled as one.
var errBadFormat = errors.New("it cannot be read")

// readFormat reports whether we have opened the directory before, and notes which log is
// its own.
func (s *Store) readFormat() (known bool, err error) {
	text, _, _, err := read(s.disk.format())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.disk.format(), err)
	}
	var f format
	if err := json.Unmarshal(text, &f); err != nil {
		return false, fmt.Errorf("%s: %w: %w", s.disk.format(), errBadFormat, err)
	}
	if f.Version != formatVersion {
		return false, fmt.Errorf("%s: %w: it is of format %d, and this version knows only %d", s.disk.format(), errOtherFormat, f.Version, formatVersion)
	}
	s.journal.id = f.Log
	return true, nil
}

// clearTemporary removes what was being written when the process ended; none of
// it was acknowledged.
func (s *Store) clearTemporary() error {
	for i := range tmpDirs {
		left, err := os.ReadDir(s.disk.tmp(i))
		if err != nil {
			return err
		}
		for _, e := range left {
			path := filepath.Join(s.disk.tmp(i), e.Name())
			if e.IsDir() {
				s.foreign(path)
			} else if err := s.disk.remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// each calls work for every name in a directory, by several goroutines at once,
// until one fails.
func each(ctx context.Context, dir string, work func(fs.DirEntry) error) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return eachOf(ctx, f.ReadDir, work)
}

// eachOf is each for a directory that fs.ReadDirFile.ReadDir reads.
func eachOf(ctx context.Context, readDir func(n int) ([]fs.DirEntry, error), work func(fs.DirEntry) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	entries := make(chan fs.DirEntry, 1024)
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for e := range entries {
				if ctx.Err() != nil {
					continue
				}
				if err := work(e); err != nil {
					cancel(err)
				}
			}
		})
	}
	for ctx.Err() == nil {
		some, readErr := readDir(1024)
		for _, e := range some {
			entries <- e
		}
		if readErr != nil {
			if !isEOF(readErr) {
				cancel(readErr)
			}
			break
		}
	}
	close(entries)
	wg.Wait()
	return context.Cause(ctx)
}

func (s *Store) loadReplays(ctx context.Context) error {
	return each(ctx, s.disk.replays(), func(e fs.DirEntry) error {
		id, gzip, ok := parseName(e.Name())
		if !ok || gzip {
			s.foreign(filepath.Join(s.disk.replays(), e.Name()))
			return nil
		}
		record, _, err := s.examineReplay(id)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("a replay record cannot be read; it stays where it is", "path", s.disk.replay(id), "err", err)
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			s.replays.Put(record)
		}
		return nil
	})
}

// foreign notes a file that is not ours to read.
func (s *Store) foreign(path string) {
	s.log.Warn("a name that is not ours is left alone", "path", path)
}

func sagaOf(e fs.DirEntry) (uuid.UUID, bool) {
	id, ok := parseStem(e.Name())
	return id, ok && e.IsDir()
}
