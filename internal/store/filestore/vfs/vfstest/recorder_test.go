package vfstest_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

// A disk under test, on which the file "old" holds "old" since long ago.
type disk struct {
	*testing.T
	*vfstest.Recorder
	faulty *vfstest.Faulty
	dir    string
}

func newDisk(t *testing.T) *disk {
	d := &disk{T: t, dir: t.TempDir(), faulty: vfstest.NewFaulty(vfs.OS{})}
	if err := os.WriteFile(d.path("old"), []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.Recorder, err = vfstest.NewRecorder(d.faulty, d.dir); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *disk) file(name, text string) vfs.File {
	d.Helper()
	f, err := d.Create(d.path(name), 0o600)
	d.must(err)
	_, err = f.Write([]byte(text))
	d.must(err)
	d.Cleanup(func() { f.Close() })
	return f
}

// tree is what the disk holds after a power cut, directories with a slash.
func (d *disk) tree(kept float64, seed uint64) map[string]string {
	d.Helper()
	to := filepath.Join(d.TempDir(), "left")
	d.must(d.Materialize(to, kept, seed))
	tree := map[string]string{}
	d.must(filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if path == to || err != nil {
			return err
		}
		name, _ := filepath.Rel(to, path)
		if e.IsDir() {
			tree[filepath.ToSlash(name)+"/"] = ""
			return nil
		}
		text, err := os.ReadFile(path)
		tree[filepath.ToSlash(name)] = string(text)
		return err
	}))
	return tree
}

// left complains if a power cut that keeps this fraction does not leave these files.
func (d *disk) left(kept float64, want map[string]string) {
	d.Helper()
	if got := d.tree(kept, 1); !maps.Equal(got, want) {
		d.Errorf("%.0f %% kept: left is %q, want %q", 100*kept, got, want)
	}
}

type files = map[string]string

// These are the rows of the table in DESIGN.md, tried on ext4.
func TestWhatAPowerCutLeaves(t *testing.T) {
	for name, tt := range map[string]struct {
		act        func(d *disk)
		none, each files // kept
	}{
		"a file that is not synced": {
			func(d *disk) { d.file("a", "text") },
			files{"old": "old"}, files{"old": "old", "a": "text"},
		},
		"a file that is synced, its name not": {
			func(d *disk) { d.must(d.file("a", "text").Sync()) },
			files{"old": "old"}, files{"old": "old", "a": "text"},
		},
		"a name that is synced, its file not": {
			func(d *disk) { d.file("a", "text"); d.must(d.SyncDir(d.dir)) },
			files{"old": "old", "a": ""}, files{"old": "old", "a": "text"},
		},
		"a rename that is not synced": {
			func(d *disk) {
				d.must(d.file("a", "text").Sync())
				d.must(d.SyncDir(d.dir))
				d.must(d.Rename(d.path("a"), d.path("old")))
			},
			files{"old": "old", "a": "text"}, files{"old": "text"},
		},
		"a file that is synced and renamed, and the directory": {
			func(d *disk) {
				d.must(d.file("a", "text").Sync())
				d.must(d.RenameNew(d.path("a"), d.path("b")))
				d.must(d.SyncDir(d.dir))
			},
			files{"old": "old", "b": "text"}, files{"old": "old", "b": "text"},
		},
		"a removal that is not synced": {
			func(d *disk) { d.must(d.Remove(d.path("old"))) }, files{"old": "old"}, files{},
		},
		"a removal that is synced": {
			func(d *disk) { d.must(d.Remove(d.path("old"))); d.must(d.SyncDir(d.dir)) }, files{}, files{},
		},
		"a synced file in a directory that is not": {
			func(d *disk) {
				d.must(d.Mkdir(d.path("dir"), 0o700))
				d.must(d.file("dir/a", "text").Sync())
				d.must(d.SyncDir(d.path("dir")))
			},
			files{"old": "old"}, files{"old": "old", "dir/": "", "dir/a": "text"},
		},
		"all that is synced at once": {
			func(d *disk) {
				d.must(d.Mkdir(d.path("dir"), 0o700))
				d.file("dir/a", "text")
				d.must(d.Remove(d.path("old")))
				d.must(d.SyncAll(d.dir))
				d.file("late", "late")
			},
			files{"dir/": "", "dir/a": "text"}, files{"dir/": "", "dir/a": "text", "late": "late"},
		},
		"bytes that are overwritten": {
			func(d *disk) {
				f, err := d.Open(d.path("old"))
				d.must(err)
				_, err = f.WriteAt([]byte("ne"), 0)
				d.must(err)
				d.must(f.Close())
			},
			files{"old": "old"}, files{"old": "ned"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			tt.act(d)
			d.left(0, tt.none)
			d.left(1, tt.each)
		})
	}
}

// With a half kept, a large file comes out whole, torn, empty and not at all, and a
// removed one comes back or not.
func TestHalfIsAnything(t *testing.T) {
	d := newDisk(t)
	text := make([]byte, 2048)
	for i := range text {
		text[i] = 'x'
	}
	d.file("a", string(text))
	d.must(d.Remove(d.path("old")))
	var missing, whole, torn, back int
	for seed := range uint64(200) {
		tree := d.tree(0.5, seed)
		a, ok := tree["a"]
		switch {
		case !ok:
			missing++
		case a == string(text):
			whole++
		default:
			torn++
		}
		if tree["old"] != "" {
			back++
		}
	}
	if missing == 0 || whole == 0 || torn == 0 || back == 0 || back == 200 {
		t.Errorf("missing %d, whole %d, torn %d, back %d", missing, whole, torn, back)
	}
	if first, second := d.tree(0.5, 7), d.tree(0.5, 7); !maps.Equal(first, second) {
		t.Error("a seed does not say which")
	}
}

func TestWhatAFailedSyncLosesStaysLost(t *testing.T) {
	d := newDisk(t)
	f := d.file("a", "text")
	d.must(d.SyncDir(d.dir))
	d.faulty.Arm(vfstest.Fault{Op: vfstest.Sync, N: 1, Err: syscall.EIO})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.must(f.Sync()) // the kernel says so
	d.must(d.SyncAll(d.dir))
	d.left(0, files{"old": "old", "a": ""})
	_, err := f.Write([]byte("more"))
	d.must(err)
	d.must(f.Sync())
	d.left(0, files{"old": "old", "a": "\x00\x00\x00\x00more"})

	d.must(d.Remove(d.path("old")))
	d.faulty.Arm(vfstest.Fault{Op: vfstest.SyncDir, N: 1, Err: syscall.EMFILE}) // was not even tried
	if err := d.SyncDir(d.dir); err == nil {
		t.Fatal("it succeeds")
	}
	d.must(d.SyncDir(d.dir))
	d.left(0, files{"a": "\x00\x00\x00\x00more"})
}

func TestNothingHappensAfterTheCut(t *testing.T) {
	d := newDisk(t)
	d.CutAfter(2)
	d.must(d.Mkdir(d.path("one"), 0o700))
	d.must(d.SyncDir(d.dir))
	if !d.Cut() {
		t.Error("the power is on")
	}
	if failed := each(t, d, d.dir); len(failed) != 9 {
		t.Errorf("after the cut, failed are %v", failed)
	}
	d.left(1, files{"old": "old", "one/": ""})
	d.Revive()
	d.must(d.Mkdir(d.path("two"), 0o700))
	d.left(0, files{"old": "old", "one/": ""})
	d.left(1, files{"old": "old", "one/": "", "two/": ""})
}
