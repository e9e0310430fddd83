//go:build unix

package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// create makes a new file for writing. os.OpenFile would ask the network poller about
// it, in vain, for as many system calls as the file is worth.
func create(path string, mode fs.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode.Perm()))
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case !errors.Is(err, unix.EINTR):
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func syncDir(f *os.File) error { return f.Sync() }

// linkNew gives a file a name that must be free; link(2) promises that.
func linkNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	// The name stands; the temporary one goes at the next start at the latest.
	_ = os.Remove(from)
	return nil
}
