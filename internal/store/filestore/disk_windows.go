package filestore

import (
	"io"
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

func ownerOf(fs.FileInfo) int { return 0 }

func sameFilesystem(string, string) bool { return true }

func writable(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		return fs.ErrPermission
	}
	return err
}

// lstat answers the state of a regular file, else errNotRegular.
func lstat(path string) (fileState, error) {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return fileState{}, err
	}
	return stateOf(info), nil
}

// readKnown reads a whole file that is in the known state, else it is errNotKnown.
func readKnown(path string, known fileState) ([]byte, error) {
	f, info, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if stateOf(info) != known {
		return nil, errNotKnown
	}
	data := make([]byte, known.size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, err
	}
	return data, nil
}
