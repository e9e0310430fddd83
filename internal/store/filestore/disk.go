package filestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"snapshotd/internal/saga"
)

// maxFileSize bounds what is read into memory of one file, before and after
// decompression.
const maxFileSize = 256 << 20

var errNotRegular = errors.New("it is not a regular file")

// A disk makes, replaces and removes files so that a crash at any point leaves
// the old state or the new one. It is the only part of this package that writes.
type disk struct {
	layout
	sequence atomic.Uint64
	synced   func(target string, took time.Duration)
}

// temporary writes a new file beside the data and syncs it, if durable. The caller
// publishes or removes it.
func (d *disk) temporary(data []byte, durable bool) (path string, info fs.FileInfo, err error) {
	n := d.sequence.Add(1)
	path = filepath.Join(d.tmp(int(n%tmpDirs)), strconv.FormatUint(n, 10))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, d.fileMode)
	if err != nil {
		return "", nil, err
	}
	info, err = d.fill(f, data, durable)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", nil, errors.Join(err, os.Remove(path))
	}
	return path, info, nil
}

func (d *disk) fill(f *os.File, data []byte, durable bool) (fs.FileInfo, error) {
	if err := f.Chmod(d.fileMode); err != nil { // whatever the umask
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		return nil, err
	}
	if durable {
		if err := d.sync(f, "file"); err != nil {
			return nil, err
		}
	}
	return f.Stat()
}

// create makes a new file with the data on stable storage, its name not yet
// being so: the caller syncs the directory. An existing file is fs.ErrExist, a missing
// directory fs.ErrNotExist.
func (d *disk) create(path string, data []byte, orMkdir bool) (info fs.FileInfo, err error) {
	tmp, info, err := d.temporary(data, true)
	if err != nil {
		return nil, err
	}
	err = renameNoReplace(tmp, path)
	if orMkdir && errors.Is(err, fs.ErrNotExist) {
		if err = d.mkdir(filepath.Dir(path)); err == nil {
			err = renameNoReplace(tmp, path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	return info, nil
}

// replace puts the data in the place of a file, if durable synced like create.
func (d *disk) replace(path string, data []byte, durable bool) error {
	tmp, _, err := d.temporary(data, durable)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// mkdir makes a directory, unless it is there.
func (d *disk) mkdir(path string) error {
	if err := os.Mkdir(path, d.dirMode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(path, d.dirMode) // whatever the umask
}

// syncDir makes the names in a directory durable.
func (d *disk) syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f, "directory")
}

// A syncError is a failed sync: what was written may be lost whatever is done
// now, even if a second sync succeeds (https://wiki.postgresql.org/wiki/Fsync_Errors).
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

func (d *disk) sync(f *os.File, target string) error {
	start := time.Now()
	err := syncFile(f)
	d.synced(target, time.Since(start))
	if err != nil {
		return syncError{err}
	}
	return nil
}

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
	text = text[:n]
	if isGzip(text) {
		text, err = gunzip(text)
		return text, info, true, err
	}
	return text, info, false, nil
}

// writeError says in the terms of the domain why a write failed.
func writeError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", saga.ErrNoSpace, err)
	default:
		return fmt.Errorf("%w: %w", saga.ErrReadOnly, err)
	}
}

// isIOError tells a file that could not be read at the moment, such as for want of
// descriptors, from one that holds the wrong thing.
func isIOError(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist)
}
