package filestore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

// noInodes is a disk on which no file can be made.
type noInodes struct{ vfs.FS }

func (noInodes) Create(path string, _ fs.FileMode) (vfs.File, error) {
	return nil, &fs.PathError{Op: "create", Path: path, Err: syscall.ENOSPC}
}

// killedOnAFullDisk is a world that has been killed with records of every kind in its
// log. The next start finds no room for another file.
func killedOnAFullDisk(t *testing.T, dir, title string, change func(*filestore.Config)) *world {
	t.Helper()
	w := newWorld(t, dir, title, change)
	(&operation{before: everything, killed: true}).prepare(w)
	w.cfg.FS = noInodes{w.disk}
	return w
}

var onAFullDisk = map[string]func(*filestore.Config){"plain": nil, "compressed": compressed, "synced each": syncingEach}

// A log whose files are all in place is replayed without room for another file, and
// leaves them as the indexes know them.
func TestReplayOnAFullDisk(t *testing.T) {
	for name, change := range onAFullDisk {
		t.Run(name, func(t *testing.T) {
			w := killedOnAFullDisk(t, scratch(t), name, change)
			defer w.end(w.watch())
			before := fileTimes(t, w.cfg.BasePath)
			if err := w.open(); err != nil {
				t.Fatal(err)
			}
			w.check(w.store, "on a full disk", false)
			for path, modified := range fileTimes(t, w.cfg.BasePath) {
				if !modified.Equal(before[path]) {
					t.Errorf("%s was modified at %s, now at %s", path, before[path], modified)
				}
			}
			if err := w.delete(snapshotID(2)); err != nil {
				t.Error(err)
			}
			w.cfg.FS = w.disk
			if err := w.close(); err != nil {
				t.Error(err)
			}
			w.verify(w.cfg.BasePath, "afterwards")
		})
	}
}

// fileTimes are the times of modification of the snapshots and replays.
func fileTimes(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	for _, pattern := range []string{"snapshots/*/*", "replays/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || paths == nil {
			t.Fatal(paths, err)
		}
		for _, path := range paths {
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			times[path] = info.ModTime()
		}
	}
	return times
}

// What the log has and the disk has not, or has otherwise, cannot be written on a full
// disk: the start fails, and the log is kept for the next one.
func TestReplayOfALostFileOnAFullDisk(t *testing.T) {
	dir := scratch(t)
	for name, lose := range map[string]func(path string) error{
		"missing":   os.Remove,
		"cut off":   func(path string) error { return os.Truncate(path, 100) },
		"otherwise": func(path string) error { return os.WriteFile(path, make([]byte, 500), 0o600) },
		"a link": func(path string) error {
			elsewhere := filepath.Join(dir, "elsewhere")
			return errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := killedOnAFullDisk(t, dir, name, nil)
			defer w.end(w.watch())
			path := filepath.Join(w.cfg.BasePath, "snapshots", sagaOf(1).String(), snapshotID(3).String()+".json")
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := w.open(); err == nil {
					t.Fatal("it opens")
				}
			}
			w.cfg.FS = w.disk
			if err := w.open(); err != nil {
				t.Fatal(err)
			}
			w.check(w.store, "with room", false)
		})
	}
}

// The power is cut after every step of such a start.
func TestSweepCrashesOfReplayOnAFullDisk(t *testing.T) {
	dir := scratch(t)
	for name, change := range onAFullDisk {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, within := 1, true; within && !t.Failed(); n++ {
				w := killedOnAFullDisk(t, dir, fmt.Sprintf("cut after step %d", n), change)
				watchdog := w.watch()
				w.disk.CutAfter(n)
				if err := w.open(); err != nil && !w.disk.Cut() {
					w.errorf("open: %v", err)
				}
				within = w.disk.Cut()
				w.disk.CutAfter(0)
				for _, kept := range fractions {
					w.checkCopy(w.cutCopy(kept), fmt.Sprintf("with %.0f %% kept", 100*kept))
				}
				w.end(watchdog)
			}
		})
	}
}

// A segment that another store's log was made of is damage: it is named and put aside,
// and hides nothing that our log has acknowledged. The store keeps working.
func TestASegmentOfAnotherLog(t *testing.T) {
	dir := scratch(t)
	other, w := newWorld(t, dir, "the other", nil), newWorld(t, dir, "ours", nil)
	defer other.end(other.watch())
	defer w.end(w.watch())
	(&operation{killed: true, before: func(w *world) {
		for n := range 30 {
			w.put(aSnapshot(sagaOf(3), 30+n))
		}
		w.checkpoint()
		w.put(aSnapshot(sagaOf(3), 60))
	}}).prepare(other)
	(&operation{killed: true, before: some(1, 2)}).prepare(w)
	if err := os.RemoveAll(filepath.Join(w.cfg.BasePath, "snapshots", sagaOf(1).String())); err != nil {
		t.Fatal(err)
	}
	segments, _ := filepath.Glob(filepath.Join(other.cfg.BasePath, ".snapshotd", "log", "*"))
	for i, path := range segments {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lay(t, w.cfg.BasePath, map[string]string{fmt.Sprintf(".snapshotd/log/%08d.log", 77+i): string(text)})
	}
	r := verify(t, w.cfg.BasePath, false)
	if !slices.ContainsFunc(r.Findings, func(f filestore.Finding) bool {
		return f.Kind == filestore.KindLog && strings.Contains(f.Detail, "00000077.log is a segment of another log")
	}) {
		t.Errorf("found: %+v", r.Findings)
	}
	w.errs.take()
	w.cfg.FS = vfs.OS{}
	for _, damaged := range []bool{true, false} {
		if err := w.open(); err != nil {
			t.Fatal(err)
		}
		w.check(w.store, "after the start", false)
		if said := w.errs.take(); strings.Contains(said, "00000077.log is a segment of another log") != damaged {
			t.Errorf("it says %q", said)
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
	}
	if aside, _ := filepath.Glob(filepath.Join(w.cfg.BasePath, ".snapshotd", "quarantine", "log-*", "*")); len(aside) <= len(segments) {
		t.Errorf("put aside: %v", aside)
	}
}

// forgetLog takes the identity of the log out of the directory, as an earlier version
// would have left it.
func (w *world) forgetLog() {
	f, err := w.disk.Open(filepath.Join(w.cfg.BasePath, ".snapshotd", "format"))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(`{"format":1                 }`), 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// A directory that does not say which log is its own has the one that is there replayed,
// and begins another, which it remembers.
func TestALogWithoutIdentityBeginsAnew(t *testing.T) {
	for _, killed := range []bool{false, true} {
		w := newWorld(t, scratch(t), fmt.Sprint("killed ", killed), nil)
		defer w.end(w.watch())
		(&operation{before: everything, start: true, killed: killed}).prepare(w)
		w.forgetLog()
		var formats [2]string
		for i := range formats {
			w.errs.take()
			if err := w.open(); err != nil {
				t.Fatal(err)
			}
			if said := w.errs.take(); said != "" {
				t.Errorf("it says %s", said)
			}
			w.check(w.store, "after the start", false)
			w.put(aSnapshot(sagaOf(7), 70+i))
			w.kill()
			text, err := os.ReadFile(filepath.Join(w.cfg.BasePath, ".snapshotd", "format"))
			if err != nil {
				t.Fatal(err)
			}
			formats[i] = string(text)
		}
		if formats[0] != formats[1] || !strings.Contains(formats[0], `"log":"`) {
			t.Errorf("the directory says %q", formats)
		}
	}
}

// failingOnce is a disk that fails the first sync of a document.
type failingOnce struct {
	vfs.FS
	failed *bool
}

func (d failingOnce) Open(path string) (vfs.File, error) {
	f, err := d.FS.Open(path)
	if err == nil && filepath.Ext(path) == ".json" && !*d.failed {
		*d.failed = true
		f = failingFile{f}
	}
	return f, err
}

type failingFile struct{ vfs.File }

func (failingFile) Sync() error { return syscall.EIO }

// A file whose sync has failed reads well from the page cache. What is written over it,
// the next sync brings to the disk.
func TestReplayOnAFullDiskMakesGoodAFailedSync(t *testing.T) {
	w := newWorld(t, scratch(t), "", syncingEach)
	defer w.end(w.watch())
	failed := false
	var err error
	if w.disk, err = vfstest.NewRecorder(failingOnce{w.faulty, &failed}, filepath.Join(w.root, "live")); err != nil {
		t.Fatal(err)
	}
	w.cfg.FS = w.disk
	(&operation{before: func(w *world) { everything(w); w.checkpoint() }, killed: true}).prepare(w)
	if !failed {
		t.Fatal("no sync has failed")
	}
	w.cfg.FS = noInodes{w.disk}
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	w.disk.CutAfter(0)
	w.checkCopy(w.cutCopy(0), "with 0 % kept")
}
