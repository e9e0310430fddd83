package filestore

import (
	"io/fs"
	"syscall"
)

// changeTime answers the time of the last change of a file's metadata, which of a
// directory is that of any change of a name in it, and which nobody can set; 0 if it is
// not known.
func changeTime(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctim.Nano()
	}
	return 0
}
