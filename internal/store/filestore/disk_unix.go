//go:build unix

package filestore

import (
	"cmp"
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"snapshotd/internal/store"
)

const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// diskUsage asks the filesystem with statfs(2).
func diskUsage(path string) (store.Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return store.Disk{}, err
	}
	block := int64(s.Bsize) //nolint:unconvert // an int32 on macOS
	return store.Disk{
		SizeBytes:      int64(s.Blocks) * block,
		AvailableBytes: int64(s.Bavail) * block,
		Files:          int64(s.Files),
		FreeFiles:      int64(s.Ffree),
	}, nil
}

// lstat answers the state of a regular file, else errNotRegular.
func lstat(path string) (fileState, error) {
	var s unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Lstat(path, &s) })
	return stateOfStat(path, &s, err)
}

func stateOfStat(path string, s *unix.Stat_t, err error) (fileState, error) {
	switch {
	case err != nil:
		return fileState{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	case s.Mode&unix.S_IFMT != unix.S_IFREG:
		return fileState{}, errNotRegular
	}
	return fileState{s.Size, s.Mtim.Nano()}, nil
}

// readKnown reads a whole file that is in the known state, else it is errNotKnown. It goes
// past package os, which would make twice as many system calls.
func readKnown(path string, known fileState) ([]byte, error) {
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|openFlags, 0)
		return err
	})
	if errors.Is(err, unix.ELOOP) {
		return nil, errNotRegular
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	var s unix.Stat_t
	err = ignoringEINTR(func() error { return unix.Fstat(fd, &s) })
	if now, err := stateOfStat(path, &s, err); err != nil || now != known {
		return nil, cmp.Or(err, errNotKnown)
	}
	data := make([]byte, known.size)
	for read := 0; read < len(data); {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Read(fd, data[read:])
			return err
		})
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return nil, errNotKnown // it has just been cut off
		}
		read += n
	}
	return data, nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// ownerOf answers the id of the user to whom a file belongs.
func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return 0
}

// sameFilesystem reports whether files can be moved from one directory to the other, as far as
// that is known.
func sameFilesystem(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) != nil || unix.Stat(b, &y) != nil || x.Dev == y.Dev
}

// writable asks whether we may write, which a read-only filesystem denies.
func writable(path string) error { return unix.Access(path, unix.W_OK) }
