package filestore

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"

	"snapshotd/internal/store"
)

const openFlags = 0

func diskUsage(path string) (d store.Disk, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return d, err
	}
	var available, size uint64
	err = windows.GetDiskFreeSpaceEx(name, &available, &size, nil)
	return store.Disk{SizeBytes: int64(size), AvailableBytes: int64(available)}, err
}

func writable(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		return fs.ErrPermission
	}
	return err
}
