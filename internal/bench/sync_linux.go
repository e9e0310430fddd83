package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

const canSyncFilesystem = true

// syncFilesystem puts all of the filesystem that f is on to the disk.
func syncFilesystem(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// syncData puts what f contains to the disk, without its times.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
