package filestore

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// metadataTime answers the time of the last change of a file's metadata, which of a
// directory is that of any change of a name in it, and which nobody can set; 0 if it is
// not known.
func metadataTime(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctim.Nano()
	}
	return 0
}

// trusting holds open the directories that sagas and indexes lie in: looking from there
// costs half of what a path from the root does.
type trusting struct{ snapshots, indexes int }

func openTrusting(l *layout) (*trusting, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	snapshots, err := unix.Open(l.snapshots(), flags, 0)
	if err != nil {
		return nil, err
	}
	indexes, err := unix.Open(l.indexes(), flags, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Close(snapshots))
	}
	return &trusting{snapshots, indexes}, nil
}

func (t *trusting) close() error { return errors.Join(unix.Close(t.snapshots), unix.Close(t.indexes)) }

// read answers when a saga's directory was last changed, and its index in text. It is
// not ok if either cannot be had.
func (t *trusting) read(id uuid.UUID, text *[]byte) (changed int64, ok bool) {
	name := id.String()
	var stat unix.Stat_t
	err := unix.Fstatat(t.snapshots, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, false
	}
	f, err := unix.Openat(t.indexes, name+plainSuffix, openFlags|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(f) //nolint:errcheck // nothing was written
	const least = 64 << 10
	b := (*text)[:0]
	for {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, max(least, 2*cap(b))), b...)
		}
		n, err := unix.Read(f, b[len(b):cap(b)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 || len(b) > maxFileSize {
			*text = b
			return stat.Ctim.Nano(), err == nil && n == 0
		}
		b = b[:len(b)+n]
	}
}
