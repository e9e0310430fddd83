package filestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// A watcher has the kernel say (inotify(7)) when something in the directories of sagas
// changes, so that a file that was looked at once need not be looked at again. A nil one
// watches nothing.
type watcher struct {
	layout *layout

	mu        sync.Mutex
	file      int   // -1 = nothing is watched any more
	most      int   // directories of sagas at once
	base      int32 // the numbers by which the kernel knows the base directory
	snapshots int32 // and the one in it
	sagas     map[uuid.UUID]*watched
	numbers   map[int32]*watched
	changes   uint64 // so far
	buf       [4096]byte
}

type watched struct {
	id      uuid.UUID
	number  int32  // by which the kernel knows it
	changed uint64 // the number of the last change
}

// mostWatched bounds what one store takes of fs.inotify.max_user_watches, about a
// kilobyte of the kernel's memory each.
const mostWatched = 8192

const (
	watchedSelf  = unix.IN_ONLYDIR | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF
	watchedSagas = watchedSelf | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE
	watchedFiles = watchedSagas | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_DONT_FOLLOW
	watchedEnd   = unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_IGNORED | unix.IN_UNMOUNT
)

// newWatcher answers nil where the kernel does not see all changes, or cannot watch.
func newWatcher(l *layout) *watcher {
	if !isLocal(l.snapshots()) {
		return nil
	}
	file, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil
	}
	w := &watcher{layout: l, file: file, most: mostWatched, sagas: map[uuid.UUID]*watched{}, numbers: map[int32]*watched{}}
	if w.base, w.snapshots, err = w.addRoots(); err != nil {
		w.stop()
		return nil
	}
	return w
}

// addRoots watches what directories of sagas lie in.
func (w *watcher) addRoots() (base, snapshots int32, err error) {
	if base, err = w.add(w.layout.base, watchedSagas); err == nil {
		snapshots, err = w.add(w.layout.snapshots(), watchedSagas)
	}
	return base, snapshots, err
}

// isLocal reports whether all changes on a directory's filesystem are made by this kernel,
// and in the directories that it shows.
func isLocal(dir string) bool {
	var stat unix.Statfs_t
	if unix.Statfs(dir, &stat) != nil {
		return false
	}
	const zfs = 0x2fc12fc1
	switch int64(stat.Type) { //nolint:unconvert // an int32 on some
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, zfs:
		return true
	}
	return false
}

func (w *watcher) add(dir string, changes uint32) (number int32, err error) {
	n, err := unix.InotifyAddWatch(w.file, dir, changes)
	return int32(n), err
}

// lastChange answers the number of the last change in a saga's directory; 0 if the
// directory is not watched. While it stays the same, nothing has changed.
func (w *watcher) lastChange(id uuid.UUID) uint64 {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	if d := w.sagas[id]; d != nil {
		return d.changed
	}
	return 0
}

// watch has a saga's directory watched from now on, if that can be, and answers what
// lastChange would.
func (w *watcher) watch(id uuid.UUID) uint64 {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file < 0 {
		return 0
	}
	if d := w.sagas[id]; d != nil {
		return d.changed
	}
	for _, d := range w.sagas {
		if len(w.sagas) < w.most {
			break
		}
		w.forget(d) // whichever it is: if it is asked for, it comes back
	}
	dir := w.layout.saga(id)
	if !isLocal(dir) { // though what it lies in is
		return 0
	}
	number, err := w.add(dir, watchedFiles)
	if err != nil {
		return 0
	}
	if d := w.numbers[number]; d != nil {
		delete(w.sagas, d.id) // the directory had another name
	}
	w.changes++
	d := &watched{id: id, number: number, changed: w.changes}
	w.sagas[id], w.numbers[number] = d, d
	return d.changed
}

func (w *watcher) forget(d *watched) {
	delete(w.sagas, d.id)
	delete(w.numbers, d.number)
	_, _ = unix.InotifyRmWatch(w.file, uint32(d.number)) // or it has gone by itself
}

// drain takes what the kernel has to say by now.
func (w *watcher) drain() {
	for w.file >= 0 {
		n, err := unix.Read(w.file, w.buf[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EINTR):
		case err != nil || n <= 0:
			w.stop()
		default:
			w.take(w.buf[:n])
		}
	}
}

// take takes events as the kernel writes them: in 4 bytes each the number of a watch,
// what happened, a cookie, and the length of the name that follows.
func (w *watcher) take(events []byte) {
	const head = 16
	for len(events) >= head && w.file >= 0 {
		number := int32(binary.NativeEndian.Uint32(events))
		what := binary.NativeEndian.Uint32(events[4:])
		size := binary.NativeEndian.Uint32(events[12:])
		name, _, _ := bytes.Cut(events[head:head+size], []byte{0})
		events = events[head+size:]
		w.happened(number, what, name)
	}
}

func (w *watcher) happened(number int32, what uint32, name []byte) {
	w.changes++
	d := w.numbers[number]
	switch {
	case what&unix.IN_Q_OVERFLOW != 0:
		w.startAgain()
	case (number == w.base || number == w.snapshots) && what&watchedEnd != 0:
		w.stop()
	case number == w.base:
		if string(name) == filepath.Base(w.layout.snapshots()) { // a symbolic link that leads elsewhere now
			w.stop()
		}
	case number == w.snapshots:
		if id, ok := parseStem(string(name)); ok && w.sagas[id] != nil {
			w.forget(w.sagas[id])
		}
	case d == nil: // of one that has been forgotten
	case what&watchedEnd != 0:
		w.forget(d)
	default:
		d.changed = w.changes
	}
}

// startAgain forgets what is watched, because the kernel has not told of everything. If
// that was about the roots, other ones may be in their place.
func (w *watcher) startAgain() {
	for _, d := range w.numbers {
		w.forget(d)
	}
	if base, snapshots, err := w.addRoots(); err != nil || base != w.base || snapshots != w.snapshots {
		w.stop()
	}
}

// stop has everything looked at from now on.
func (w *watcher) stop() {
	_ = unix.Close(w.file) // nothing was written
	w.file = -1
	clear(w.sagas)
	clear(w.numbers)
}

// close may come while others ask.
func (w *watcher) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file >= 0 {
		w.stop()
	}
}
