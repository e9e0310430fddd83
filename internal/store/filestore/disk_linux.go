package filestore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNoReplace gives a file another name, which must be free: renameat2(2)
// with RENAME_NOREPLACE, or link and remove where a filesystem lacks that.
func renameNoReplace(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return linkNoReplace(from, to)
	default:
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	}
}
