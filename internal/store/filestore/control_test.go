package filestore_test

import (
	"context"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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
