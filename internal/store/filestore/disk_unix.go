//go:build unix

package filestore

import (
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

// writable asks whether we may write, which a read-only filesystem denies.
func writable(path string) error { return unix.Access(path, unix.W_OK) }
