package filestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore/vfs"
)

// maxFileSize bounds what is read into memory of one file, before and after
// decompression.
const maxFileSize = 256 << 20

var errNotRegular = errors.New("it is not a regular file")

// A disk is the files below the base directory, as far as they are changed.
type disk struct {
	layout
	fs       vfs.FS
	syncsAll bool          // the system can sync everything at once
	settling time.Duration // how long a directory must have been left alone, see trust.go
	sequence atomic.Uint64
	synced   func(target string, took time.Duration)
	failed   func(err error) // told of a failed sync before anybody can rely on a later one
	syncing  sync.RWMutex    // held for reading from before a sync until failed has been told

	// touched are files that wait for the next checkpoint, without syncsAll.
	mu      sync.Mutex
	touched map[string]bool
}

// temporary writes a new file beside the data, and syncs it if durable. The caller
// gives it a name or removes it.
func (d *disk) temporary(data []byte, durable bool) (path string, info fs.FileInfo, err error) {
	n := d.sequence.Add(1)
	path = filepath.Join(d.tmp(int(n%tmpDirs)), strconv.FormatUint(n, 10))
	f, err := d.fs.Create(path, d.fileMode)
	if err != nil {
		return "", nil, err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		// For want of space the file is given up; nobody else's bytes are lost.
		err = d.timed("file", f.Sync, isNoSpace)
	}
	if err == nil {
		info, err = f.Stat()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", nil, errors.Join(err, d.fs.Remove(path))
	}
	return path, info, nil
}

// publish gives a temporary file a name that must be free, in a directory that
// is made if it is missing.
func (d *disk) publish(tmp, name string) error {
	return d.inDirectory(name, func(path string) error { return d.fs.RenameNew(tmp, path) })
}

// replace puts a temporary file in the place of what bears the name.
func (d *disk) replace(tmp, name string) error {
	return d.inDirectory(name, func(path string) error { return d.fs.Rename(tmp, path) })
}

// rewrite has a file hold the bytes, and a later sync bring them to the disk. Even one
// that is the same already is written again: after a failed sync it may read well from the
// page cache alone, and be lost with that. It is made anew, and where there is no room
// for that, what is the same is overwritten.
func (d *disk) rewrite(name string, data []byte, same bool) error {
	tmp, _, err := d.temporary(data, false)
	if err == nil {
		return d.replace(tmp, name)
	}
	if same && isNoSpace(err) {
		err = d.overwrite(d.path(name), data)
	}
	return err
}

// overwrite writes the bytes that a file holds over themselves, which takes neither a file
// nor a block. Its time of modification, by which indexes know it, stays.
func (d *disk) overwrite(path string, data []byte) error {
	f, err := d.fs.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.fs.Chtimes(path, info.ModTime())
}

func (d *disk) inDirectory(name string, rename func(path string) error) error {
	path := d.path(name)
	err := rename(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.mkdir(filepath.Dir(path)); err == nil {
			err = rename(path)
		}
	}
	return err
}

func (d *disk) remove(path string) error { return d.fs.Remove(path) }

// mkdir makes a directory, unless it is there.
func (d *disk) mkdir(path string) error {
	if err := d.fs.Mkdir(path, d.dirMode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a directory durable.
func (d *disk) syncDir(path string) error {
	return d.timed("directory", func() error { return d.fs.SyncDir(path) }, nil)
}

// syncAll makes all changes so far durable: at once where the system can do that,
// else those of the touched files.
func (d *disk) syncAll(touched map[string]bool) error {
	if d.syncsAll {
		return d.timed("filesystem", func() error { return d.fs.SyncAll(d.base) }, nil)
	}
	dirs := map[string]bool{}
	for name := range touched {
		dir := filepath.Dir(d.path(name))
		dirs[dir], dirs[filepath.Dir(dir)] = true, true
		f, err := d.fs.Open(d.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(d.timed("file", f.Sync, nil), f.Close())
		}
		if err != nil {
			return err
		}
	}
	for dir := range dirs {
		if err := d.syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// touch notes a changed file for a system without syncAll.
func (d *disk) touch(name string) {
	if d.syncsAll {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.touched == nil {
		d.touched = map[string]bool{}
	}
	d.touched[name] = true
}

// touchAgain puts back what could not be synced.
func (d *disk) touchAgain(touched map[string]bool) {
	for name := range touched {
		d.touch(name)
	}
}

func (d *disk) takeTouched() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := d.touched
	d.touched = nil
	return touched
}

// A syncError is a failed sync: what was written may be lost whatever is done
// now, even if a second sync succeeds (https://wiki.postgresql.org/wiki/Fsync_Errors).
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// timed does a sync. A failure that harmless does not accept is told to failed.
func (d *disk) timed(target string, sync func() error, harmless func(error) bool) error {
	d.syncing.RLock()
	defer d.syncing.RUnlock()
	start := time.Now()
	err := sync()
	d.synced(target, time.Since(start))
	if err == nil || vfs.Untried(err) {
		return err
	}
	if harmless == nil || !harmless(err) {
		d.failed(err)
	}
	return syncError{err}
}

// awaitSyncs returns when failed has been told of all syncs that have failed so
// far.
func (d *disk) awaitSyncs() {
	d.syncing.Lock()
	defer d.syncing.Unlock()
}

// A fileState tells a file from what it was before, or from another one of its name.
type fileState struct {
	size     int64 // bytes
	modified int64 // nanoseconds since the Unix epoch
}

func stateOf(info fs.FileInfo) fileState {
	return fileState{info.Size(), info.ModTime().UnixNano()}
}

var errNotKnown = errors.New("the file is not the one that is known")

// open opens a regular file, never through a symbolic link, and never waits for
// a pipe's other end.
func open(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			return nil, nil, errNotRegular
		}
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// read reads a whole regular file and decompresses it where it is compressed,
// which its first two bytes tell.
func read(path string) (text []byte, info fs.FileInfo, gzipped bool, err error) {
	f, info, err := open(path)
	if err != nil {
		return nil, nil, false, err
	}
	defer f.Close()
	if info.Size() > maxFileSize {
		return nil, info, false, errTooLarge
	}
	text = make([]byte, info.Size())
	n, err := io.ReadFull(f, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, info, false, err
	}
	text, gzipped, err = plain(text[:n])
	return text, info, gzipped, err
}

// writeError says in the terms of the domain why a write failed.
func writeError(err error) error {
	if isNoSpace(err) {
		return fmt.Errorf("%w: %w", saga.ErrNoSpace, err)
	}
	return fmt.Errorf("%w: %w", saga.ErrReadOnly, err)
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// isIOError tells a file that could not be read at the moment, such as for want of
// descriptors, from one that holds the wrong thing.
func isIOError(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist)
}
