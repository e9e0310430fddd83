package vfstest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"snapshotd/internal/store/filestore/vfs"
)

// ErrCut is what every call answers after the cut.
var ErrCut = errors.New("the power is off")

// A Recorder is an FS that knows which changes have been synced. After a cut no
// call has an effect, and Materialize lays out what the disk holds:
//
//   - Bytes of a file survive by its Sync, a name by SyncDir of its directory, all by
//     SyncAll. Neither implies the other.
//   - What was not synced may survive or not, each name and each sector of 512 bytes
//     by itself: new names vanish, removed ones come back, files are torn or empty. A
//     rename happens as a whole.
//   - What a failed sync was to bring to the disk is not brought there by the next
//     one, although that succeeds (fsyncgate).
//
// Reading goes past a Recorder, as it goes past every vfs.FS.
type Recorder struct {
	below vfs.FS
	root  string

	mu      sync.Mutex
	tree    *node
	history []*change // of names, oldest first
	dirty   map[*node]bool
	steps   int
	limit   int // cut after so many steps; 0 = never
	cut     bool
}

var _ vfs.FS = (*Recorder)(nil)

// A node is a file or a directory, whatever its name.
type node struct {
	info   fs.FileInfo      // nil = not known
	mode   fs.FileMode      // with fs.ModeDir
	names  map[string]*node // of a directory, as they are now
	stable map[string]*node // of a directory, on stable storage before history
	data   []byte           // of a file, on stable storage before writes
	writes []*write
}

// fate is what the syncs have done to a change.
type fate struct{ stable, lost bool }

type change struct {
	fate
	edits []edit
}

// An edit gives a directory's name to a node, or to nobody.
type edit struct {
	dir  *node
	name string
	to   *node
}

type write struct {
	fate
	off  int64
	data []byte
}

// NewRecorder wraps an FS. What lies below the root now is on stable storage;
// paths outside it are not recorded.
func NewRecorder(below vfs.FS, root string) (*Recorder, error) {
	tree, err := scan(root)
	return &Recorder{below: below, root: root, tree: tree, dirty: map[*node]bool{}}, err
}

func scan(path string) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n := &node{info: info, mode: info.Mode()}
	if !info.IsDir() {
		n.data, err = os.ReadFile(path)
		return n, err
	}
	n.names, n.stable = map[string]*node{}, map[string]*node{}
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		if err == nil {
			n.names[e.Name()], err = scan(filepath.Join(path, e.Name()))
			n.stable[e.Name()] = n.names[e.Name()]
		}
	}
	return n, err
}

// CutAfter cuts the power after the nth change or sync from now; 0 = now.
func (r *Recorder) CutAfter(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps, r.limit, r.cut = 0, n, n == 0
}

// Revive lets calls through again, with all that was not synced still in memory:
// as if only the process had been killed.
func (r *Recorder) Revive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps, r.limit, r.cut = 0, 0, false
}

// Cut reports whether the power is off.
func (r *Recorder) Cut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut
}

// find answers a path's node; nil if it is outside or not known.
func (r *Recorder) find(path string) *node {
	rel, err := filepath.Rel(r.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil
	}
	n := r.tree
	if rel == "." {
		return n
	}
	for _, name := range strings.Split(rel, string(filepath.Separator)) {
		if n = n.names[name]; n == nil {
			return nil
		}
	}
	return n
}

// step makes a call, unless the power is off, and records it if it succeeds. A
// step that fails is recorded by failed, if that is not nil.
func (r *Recorder) step(op Op, call func() error, record func(), failed func(error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		return ErrCut
	}
	err := call()
	switch {
	case err == nil:
		record()
	case failed != nil:
		failed(err)
	}
	if op.changes() {
		r.steps++
		r.cut = r.limit > 0 && r.steps >= r.limit
	}
	return err
}

// name records that names stand for something else now, all at once.
func (r *Recorder) name(edits ...edit) {
	c := &change{}
	for _, e := range edits {
		if e.dir == nil {
			continue
		}
		c.edits = append(c.edits, e)
		if e.to == nil {
			delete(e.dir.names, e.name)
		} else {
			e.dir.names[e.name] = e.to
		}
	}
	r.history = append(r.history, c)
}

func (r *Recorder) edit(path string, to *node) edit {
	return edit{r.find(filepath.Dir(path)), filepath.Base(path), to}
}

// Create makes a file, the name of which is not synced.
func (r *Recorder) Create(path string, mode fs.FileMode) (vfs.File, error) {
	f := &recordedFile{fs: r, node: &node{mode: mode}}
	err := r.step(Create, func() (err error) { f.File, err = r.below.Create(path, mode); return err },
		func() { r.name(r.edit(path, f.node)) }, nil)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a file.
func (r *Recorder) Open(path string) (vfs.File, error) {
	f := &recordedFile{fs: r}
	err := r.step(Open, func() (err error) { f.File, err = r.below.Open(path); return err },
		func() { f.node = r.find(path) }, nil)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename changes two names at once, synced with either directory.
func (r *Recorder) Rename(from, to string) error {
	return r.step(Rename, func() error { return r.below.Rename(from, to) }, func() { r.renamed(from, to) }, nil)
}

// RenameNew changes two names at once, synced with either directory.
func (r *Recorder) RenameNew(from, to string) error {
	return r.step(RenameNew, func() error { return r.below.RenameNew(from, to) }, func() { r.renamed(from, to) }, nil)
}

func (r *Recorder) renamed(from, to string) {
	r.name(r.edit(from, nil), r.edit(to, r.find(from)))
}

// Remove takes a name away, which is not synced.
func (r *Recorder) Remove(path string) error {
	return r.step(Remove, func() error { return r.below.Remove(path) }, func() { r.name(r.edit(path, nil)) }, nil)
}

// Mkdir makes a directory, the name of which is not synced.
func (r *Recorder) Mkdir(path string, mode fs.FileMode) error {
	return r.step(Mkdir, func() error { return r.below.Mkdir(path, mode) }, func() {
		r.name(r.edit(path, &node{mode: mode | fs.ModeDir, names: map[string]*node{}, stable: map[string]*node{}}))
	}, nil)
}

// Chtimes sets a file's time, which is not recorded: as far as Stat has told it, it
// survives.
func (r *Recorder) Chtimes(path string, modified time.Time) error {
	return r.step(Chtimes, func() error { return r.below.Chtimes(path, modified) }, func() {}, nil)
}

// SyncDir makes a directory's names stable.
func (r *Recorder) SyncDir(path string) error {
	sync := func(settle func(*fate)) {
		dir := r.find(path)
		for _, c := range r.history {
			for _, e := range c.edits {
				if e.dir == dir {
					settle(&c.fate)
				}
			}
		}
		r.fold()
	}
	return r.step(SyncDir, func() error { return r.below.SyncDir(path) },
		func() { sync((*fate).reach) }, func(err error) { sync(missed(err)) })
}

// SyncAll makes everything stable.
func (r *Recorder) SyncAll(path string) error {
	sync := func(settle func(*fate)) {
		for _, c := range r.history {
			settle(&c.fate)
		}
		for n := range r.dirty {
			r.syncFile(n, settle)
		}
		r.fold()
	}
	return r.step(SyncAll, func() error { return r.below.SyncAll(path) },
		func() { sync((*fate).reach) }, func(err error) { sync(missed(err)) })
}

func (f *fate) reach() { f.stable = !f.lost }

// missed is the fate of what a failed sync was about. For want of descriptors, a
// sync was not even tried.
func missed(err error) func(*fate) {
	tried := !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE)
	return func(f *fate) { f.lost = f.lost || tried && !f.stable }
}

func (r *Recorder) syncFile(n *node, settle func(*fate)) {
	for _, w := range n.writes {
		settle(&w.fate)
	}
	for len(n.writes) > 0 && n.writes[0].stable {
		n.data = n.writes[0].apply(n.data)
		n.writes = n.writes[1:]
	}
	if len(n.writes) == 0 {
		delete(r.dirty, n)
	}
}

func (w *write) apply(data []byte) []byte {
	if missing := w.off + int64(len(w.data)) - int64(len(data)); missing > 0 {
		data = append(data, make([]byte, missing)...)
	}
	copy(data[w.off:], w.data)
	return data
}

// fold enters the oldest changes into the directories.
func (r *Recorder) fold() {
	for len(r.history) > 0 && r.history[0].stable {
		for _, e := range r.history[0].edits {
			if e.to == nil {
				delete(e.dir.stable, e.name)
			} else {
				e.dir.stable[e.name] = e.to
			}
		}
		r.history = r.history[1:]
	}
}

type recordedFile struct {
	vfs.File
	fs   *Recorder
	node *node // nil = outside
	off  int64
}

func (f *recordedFile) Write(p []byte) (n int, err error) {
	n, err = f.write(Write, p, f.off, f.File.Write)
	f.off += int64(n)
	return n, err
}

func (f *recordedFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(WriteAt, p, off, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *recordedFile) write(op Op, p []byte, off int64, call func([]byte) (int, error)) (n int, err error) {
	record := func() {
		if n > 0 && f.node != nil {
			f.node.writes = append(f.node.writes, &write{off: off, data: bytes.Clone(p[:n])})
			f.fs.dirty[f.node] = true
		}
	}
	err = f.fs.step(op, func() (err error) { n, err = call(p); return err }, record, func(error) { record() })
	return n, err
}

func (f *recordedFile) Sync() error {
	sync := func(settle func(*fate)) {
		if f.node != nil {
			f.fs.syncFile(f.node, settle)
		}
	}
	return f.fs.step(Sync, f.File.Sync, func() { sync((*fate).reach) }, func(err error) { sync(missed(err)) })
}

func (f *recordedFile) Stat() (info fs.FileInfo, err error) {
	err = f.fs.step(Stat, func() (err error) { info, err = f.File.Stat(); return err }, func() {
		if f.node != nil {
			f.node.info = info
		}
	}, nil)
	return info, err
}

// Close always closes the file below, lest descriptors run out.
func (f *recordedFile) Close() error {
	err := f.File.Close()
	if f.fs.Cut() {
		return ErrCut
	}
	return err
}
