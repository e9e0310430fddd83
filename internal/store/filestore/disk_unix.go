//go:build unix

package filestore

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"snapshotd/internal/store"
)

const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func syncFile(f *os.File) error { return f.Sync() }

// linkNoReplace gives a file a name that must be free; link(2) promises that.
func linkNoReplace(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	// The name stands; the temporary one goes at the next start at the latest.
	_ = os.Remove(from)
	return nil
}

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

// writable asks whether we may write, which a read-only filesystem denies.
func writable(path string) error { return unix.Access(path, unix.W_OK) }
