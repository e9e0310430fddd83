package filestore

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"

	"snapshotd/internal/store"
)

const openFlags = 0

// syncFile leaves directories out, which Windows cannot sync.
func syncFile(f *os.File) error {
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return err
	}
	return f.Sync()
}

func renameNoReplace(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(old, name, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

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
