package filestore_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore/vfs"
)

// lying is a disk that says it has synced the log, and has not.
type lying struct{ vfs.FS }

func (l lying) Create(path string, mode fs.FileMode) (vfs.File, error) {
	return l.file(path)(l.FS.Create(path, mode))
}

func (l lying) Open(path string) (vfs.File, error) { return l.file(path)(l.FS.Open(path)) }

func (l lying) file(path string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err == nil && filepath.Ext(path) == ".log" {
			f = lyingFile{f}
		}
		return f, err
	}
}

type lyingFile struct{ vfs.File }

func (lyingFile) Sync() error { return nil }

// lazy is a disk that says it has synced everything, and has synced only the log.
type lazy struct{ vfs.FS }

func (lazy) SyncAll(string) error { return nil }

// crowded is a full disk on which nothing can be removed either; the log may have
// so many segments.
type crowded struct {
	vfs.FS
	segments *atomic.Int64
}

func (c crowded) Create(path string, mode fs.FileMode) (vfs.File, error) {
	if filepath.Ext(path) == ".log" && c.segments.Add(-1) < 0 {
		return nil, &fs.PathError{Op: "create", Path: path, Err: syscall.ENOSPC}
	}
	return c.FS.Create(path, mode)
}

func (c crowded) Remove(path string) error {
	return &fs.PathError{Op: "remove", Path: path, Err: syscall.ENOSPC}
}

// A deletion that is larger than the log, on a full disk, is made or not; the part of
// it for which there was room leaves nothing behind.
func TestDeletionLargerThanTheLog(t *testing.T) {
	for segments := range int64(5) {
		w := newWorld(t, scratch(t), fmt.Sprintf("%d segments", segments), relaxed)
		watchdog := w.watch()
		var ids []uuid.UUID
		before := operation{start: true, before: func(w *world) {
			for n := range 90 {
				some(n)(w)
				ids = append(ids, snapshotID(n))
			}
		}}
		before.prepare(w)
		w.disk.SyncAll(w.cfg.BasePath)
		w.cfg.Relaxed, w.errno = false, syscall.ENOSPC
		w.cfg.FS = crowded{w.disk, &atomic.Int64{}}
		w.cfg.FS.(crowded).segments.Store(segments)
		if err := w.open(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			w.deleteMany(&store.Selection{SagaID: uuid.NullUUID{UUID: sagaOf(1), Valid: true}}, ids...)
		}
		if w.degraded {
			w.errorf("want of space degrades the store")
		}
		w.checkCopy(w.cutCopy(0), "with 0 % kept")
		w.checkCopy(w.cutCopy(1), "with 100 % kept")
		w.end(watchdog)
	}
}

// The sweep notices disks that lie, so it would notice a store that leaves out a sync.
func TestSweepNoticesLies(t *testing.T) {
	dir := scratch(t)
	for name, lie := range map[string]func(vfs.FS) vfs.FS{
		"the log is not synced":                        func(fs vfs.FS) vfs.FS { return lying{fs} },
		"the files are not synced before a checkpoint": func(fs vfs.FS) vfs.FS { return lazy{fs} },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				w := newWorld(t, dir, "", nil)
				watchdog := w.watch()
				w.cfg.FS, w.control = lie(w.disk), true
				if err := w.open(); err != nil {
					t.Fatal(err)
				}
				some(1)(w)
				w.checkpoint()
				some(2)(w)
				w.disk.CutAfter(0)
				w.checkCopy(w.cutCopy(0), "")
				w.end(watchdog)
				if w.failed {
					return
				}
			}
			t.Error("nothing is missed")
		})
	}
}

// errorLog keeps what is logged as an error.
type errorLog struct {
	mu   sync.Mutex
	said []string
}

func (l *errorLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l *errorLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, text)
	return nil
}

func (l *errorLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *errorLog) WithGroup(string) slog.Handler      { return l }

func (l *errorLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := strings.Join(l.said, "; ")
	l.said = nil
	return said
}
