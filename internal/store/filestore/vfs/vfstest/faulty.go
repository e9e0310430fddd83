package vfstest

import (
	"io/fs"
	"sync"
	"time"

	"snapshotd/internal/store/filestore/vfs"
)

// A Fault says which call goes wrong, and how.
type Fault struct {
	Op      Op     // counts only these; "" = all
	N       int    // the Nth call from now, counted from 1
	Forever bool   // and all that follow it
	Err     error  // what it answers; nil = it only waits
	Short   int    // a write that fails takes so many bytes first
	Wait    func() // called before the operation
}

// A Call is one that was made.
type Call struct {
	Op   Op
	Path string
}

// Faulty is an FS of which some calls fail. Without a fault it is the FS below it.
type Faulty struct {
	below vfs.FS

	mu    sync.Mutex
	fault Fault
	calls int
	hits  []Call
}

var _ vfs.FS = (*Faulty)(nil)

// NewFaulty wraps an FS.
func NewFaulty(below vfs.FS) *Faulty { return &Faulty{below: below} }

// Arm puts a fault in the place of the one before, and starts to count calls.
func (f *Faulty) Arm(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.calls, f.hits = fault, 0, nil
}

// Disarm lets all calls through, and answers those that the fault has hit.
func (f *Faulty) Disarm() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = Fault{}
	return f.hits
}

// Hits are the calls that the fault has hit so far.
func (f *Faulty) Hits() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// call counts a call and answers how it goes wrong.
func (f *Faulty) call(op Op, path string) (short int, err error) {
	f.mu.Lock()
	fault := f.fault
	if fault.N == 0 || fault.Op != "" && fault.Op != op {
		f.mu.Unlock()
		return 0, nil
	}
	f.calls++
	if f.calls != fault.N && (!fault.Forever || f.calls < fault.N) {
		f.mu.Unlock()
		return 0, nil
	}
	f.hits = append(f.hits, Call{op, path})
	f.mu.Unlock()
	if fault.Wait != nil {
		fault.Wait()
	}
	if fault.Err == nil {
		return 0, nil
	}
	return fault.Short, &fs.PathError{Op: string(op), Path: path, Err: fault.Err}
}

// do makes a call unless it fails.
func (f *Faulty) do(op Op, path string, call func() error) error {
	if _, err := f.call(op, path); err != nil {
		return err
	}
	return call()
}

// Create fails or creates.
func (f *Faulty) Create(path string, mode fs.FileMode) (vfs.File, error) {
	return f.file(Create, path, func() (vfs.File, error) { return f.below.Create(path, mode) })
}

// Open fails or opens.
func (f *Faulty) Open(path string) (vfs.File, error) {
	return f.file(Open, path, func() (vfs.File, error) { return f.below.Open(path) })
}

func (f *Faulty) file(op Op, path string, open func() (vfs.File, error)) (vfs.File, error) {
	if _, err := f.call(op, path); err != nil {
		return nil, err
	}
	below, err := open()
	if err != nil {
		return nil, err
	}
	return &faultyFile{below, f, path}, nil
}

// Rename fails or renames.
func (f *Faulty) Rename(from, to string) error {
	return f.do(Rename, to, func() error { return f.below.Rename(from, to) })
}

// RenameNew fails or renames.
func (f *Faulty) RenameNew(from, to string) error {
	return f.do(RenameNew, to, func() error { return f.below.RenameNew(from, to) })
}

// Remove fails or removes.
func (f *Faulty) Remove(path string) error {
	return f.do(Remove, path, func() error { return f.below.Remove(path) })
}

// Mkdir fails or makes.
func (f *Faulty) Mkdir(path string, mode fs.FileMode) error {
	return f.do(Mkdir, path, func() error { return f.below.Mkdir(path, mode) })
}

// Chtimes fails or sets the time.
func (f *Faulty) Chtimes(path string, modified time.Time) error {
	return f.do(Chtimes, path, func() error { return f.below.Chtimes(path, modified) })
}

// SyncDir fails or syncs.
func (f *Faulty) SyncDir(path string) error {
	return f.do(SyncDir, path, func() error { return f.below.SyncDir(path) })
}

// SyncAll fails or syncs.
func (f *Faulty) SyncAll(path string) error {
	return f.do(SyncAll, path, func() error { return f.below.SyncAll(path) })
}

type faultyFile struct {
	vfs.File
	fs   *Faulty
	path string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	return f.write(Write, p, f.File.Write)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(WriteAt, p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *faultyFile) write(op Op, p []byte, write func([]byte) (int, error)) (n int, err error) {
	short, fault := f.fs.call(op, f.path)
	if fault == nil {
		return write(p)
	}
	if short > 0 {
		if n, err = write(p[:min(short, len(p))]); err != nil {
			return n, err
		}
	}
	return n, fault
}

func (f *faultyFile) Sync() error { return f.fs.do(Sync, f.path, f.File.Sync) }

func (f *faultyFile) Stat() (info fs.FileInfo, err error) {
	err = f.fs.do(Stat, f.path, func() error { info, err = f.File.Stat(); return err })
	return info, err
}

// Close closes the file below even if it fails: so does close(2).
func (f *faultyFile) Close() error {
	err := f.File.Close()
	if _, fault := f.fs.call(Close, f.path); fault != nil {
		return fault
	}
	return err
}
