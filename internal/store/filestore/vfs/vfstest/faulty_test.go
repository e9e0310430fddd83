package vfstest_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

// each makes every call once, in the order of vfstest.Ops as far as that goes, and
// answers those that failed.
func each(t *testing.T, fs vfs.FS, dir string) (failed []vfstest.Op) {
	t.Helper()
	try := func(op vfstest.Op, err error) bool {
		if err != nil {
			failed = append(failed, op)
		}
		return err == nil
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := fs.Create(path("new"), 0o600); try(vfstest.Create, err) {
		_, err = f.Write([]byte("bytes"))
		try(vfstest.Write, err)
		_, err = f.WriteAt([]byte("bytes"), 5)
		try(vfstest.WriteAt, err)
		try(vfstest.Sync, f.Sync())
		_, err = f.Stat()
		try(vfstest.Stat, err)
		try(vfstest.Close, f.Close())
	}
	f, err := fs.Open(path("a"))
	if try(vfstest.Open, err) {
		f.Close()
	}
	try(vfstest.Rename, fs.Rename(path("a"), path("renamed")))
	try(vfstest.RenameNew, fs.RenameNew(path("b"), path("fresh")))
	try(vfstest.Remove, fs.Remove(path("c")))
	try(vfstest.Mkdir, fs.Mkdir(path("dir"), 0o700))
	try(vfstest.Chtimes, fs.Chtimes(dir, time.Unix(1, 0)))
	try(vfstest.SyncDir, fs.SyncDir(dir))
	try(vfstest.SyncAll, fs.SyncAll(dir))
	return failed
}

func TestAFaultHitsItsOperation(t *testing.T) {
	for _, op := range vfstest.Ops {
		fs := vfstest.NewFaulty(vfstest.Unsynced{FS: vfs.OS{}})
		fs.Arm(vfstest.Fault{Op: op, N: 1, Err: syscall.EIO})
		if failed := each(t, fs, t.TempDir()); !slices.Equal(failed, []vfstest.Op{op}) {
			t.Errorf("%s: failed are %v", op, failed)
		}
		if hits := fs.Disarm(); len(hits) != 1 || hits[0].Op != op {
			t.Errorf("%s: hit %v", op, hits)
		}
		if failed := each(t, fs, t.TempDir()); failed != nil {
			t.Errorf("disarmed: %v", failed)
		}
	}
}

func TestAFaultHitsTheNthCall(t *testing.T) {
	fs := vfstest.NewFaulty(vfs.OS{})
	for n := 1; n <= 3; n++ {
		for _, forever := range []bool{false, true} {
			fs.Arm(vfstest.Fault{N: n, Forever: forever, Err: syscall.ENOSPC})
			for call := 1; call <= 4; call++ {
				err := fs.Mkdir(filepath.Join(t.TempDir(), "dir"), 0o700)
				if want := call == n || forever && call > n; errors.Is(err, syscall.ENOSPC) != want {
					t.Errorf("fault %d, for ever %v: call %d: %v", n, forever, call, err)
				}
			}
		}
	}
}

func TestAShortWriteTakesAPart(t *testing.T) {
	fs := vfstest.NewFaulty(vfs.OS{})
	path := filepath.Join(t.TempDir(), "file")
	f, err := fs.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fs.Arm(vfstest.Fault{Op: vfstest.Write, N: 1, Err: syscall.ENOSPC, Short: 3})
	n, err := f.Write([]byte("abcdef"))
	f.Close()
	text, _ := os.ReadFile(path)
	if n != 3 || !errors.Is(err, syscall.ENOSPC) || string(text) != "abc" {
		t.Errorf("%d, %v, and the file holds %q", n, err, text)
	}
}

func TestAFaultMayOnlyWait(t *testing.T) {
	fs := vfstest.NewFaulty(vfs.OS{})
	waited := false
	fs.Arm(vfstest.Fault{Op: vfstest.SyncDir, N: 1, Wait: func() { waited = true }})
	if err := fs.SyncDir(t.TempDir()); err != nil || !waited {
		t.Errorf("%v, waited %v", err, waited)
	}
}
