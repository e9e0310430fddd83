// Package vfs is the seam between filestore and the operating system: the few
// operations by which files are changed. Reading goes past it.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// An FS changes files. Paths are absolute. Errors wrap those of the operating
// system.
type FS interface {
	// Create makes a new file of exactly this mode, whatever the umask; fs.ErrExist
	// if the name is taken.
	Create(path string, mode fs.FileMode) (File, error)
	// Open opens an existing file for reading and writing.
	Open(path string) (File, error)
	// Rename gives a file another name, in the place of what bears that.
	Rename(from, to string) error
	// RenameNew gives a file another name, which must be free; else fs.ErrExist.
	RenameNew(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// Mkdir makes a directory of exactly this mode; fs.ErrExist if it is there.
	Mkdir(path string, mode fs.FileMode) error
	// Chtimes sets when a file was last modified.
	Chtimes(path string, modified time.Time) error
	// SyncDir brings the names in a directory to stable storage.
	SyncDir(path string) error
	// SyncAll brings everything written so far to the filesystem that holds path to
	// stable storage; errors.ErrUnsupported where the system cannot do that.
	SyncAll(path string) error
}

// A File is an open file.
type File interface {
	io.Writer
	io.WriterAt
	io.Closer
	// Sync brings the file's bytes and size to stable storage.
	Sync() error
	Stat() (fs.FileInfo, error)
}

// Untried reports whether a sync failed because what was to be synced could not be
// opened, for want of descriptors: nothing is lost, and it can be done later.
func Untried(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// OS is the operating system's own FS.
type OS struct {
	// Held, if it is not nil, is an open file on the filesystem that SyncAll is about. A
	// failed write is told to whoever had a file open then; to a file that is opened
	// later only if nobody else has asked meanwhile.
	Held *os.File
}

var _ FS = OS{}

func (OS) Create(path string, mode fs.FileMode) (File, error) {
	f, err := create(path, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return file{f}, nil
}

func (OS) Open(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (OS) Rename(from, to string) error { return os.Rename(from, to) }

func (OS) RenameNew(from, to string) error { return renameNew(from, to) }

func (OS) Remove(path string) error { return os.Remove(path) }

func (OS) Mkdir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func (OS) Chtimes(path string, modified time.Time) error {
	return os.Chtimes(path, time.Time{}, modified)
}

func (OS) SyncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(f), f.Close())
}

func (o OS) SyncAll(path string) error {
	if o.Held != nil {
		return syncAll(o.Held)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(syncAll(f), f.Close())
}

type file struct{ *os.File }

func (f file) Sync() error { return datasync(f.File) }
