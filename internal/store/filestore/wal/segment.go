package wal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"snapshotd/internal/store/filestore/failpoint"
	"snapshotd/internal/store/filestore/vfs"
)

type segment struct {
	path   string
	key    [8]byte
	file   vfs.File
	size   int64
	offset int64
	last   uint64 // index of its last frame
}

// room sees to it that the active segment has room for a frame, without the part
// of it that is reserved for others.
func (l *Log) room(size int64) error {
	if l.active != nil && l.active.offset+size <= l.active.size {
		return l.opened(l.active)
	}
	l.mu.Lock()
	var s *segment
	for i, f := range l.free {
		if segmentHead+size <= f.size {
			s = f
			l.free = append(l.free[:i:i], l.free[i+1:]...)
			break
		}
	}
	making := l.making
	l.mu.Unlock()
	if s == nil && making {
		l.spare.Wait()
		return l.room(size)
	}
	var err error
	if s == nil {
		s, err = l.make()
	} else if err = l.opened(s); err != nil {
		l.mu.Lock()
		l.free = append(l.free, s)
		l.mu.Unlock()
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.active != nil {
		l.full = append(l.full, l.active)
	}
	l.active = s
	if len(l.free) == 0 && !l.making {
		l.making = true
		l.spare.Go(l.makeSpare)
	}
	half := len(l.full) >= l.cfg.Segments/2
	l.mu.Unlock()
	if half {
		l.cfg.Filled()
	}
	return nil
}

// opened opens the file of a segment that an earlier log has left.
func (l *Log) opened(s *segment) error {
	if s.file != nil {
		return nil
	}
	f, err := l.cfg.FS.Open(s.path)
	if err != nil {
		return &FullError{err}
	}
	s.file = f
	return nil
}

// makeSpare fills the next segment with zeros before it is needed. Failing that,
// it is tried again when it is.
func (l *Log) makeSpare() {
	s, err := l.make()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.making = false
	if err == nil {
		l.free = append(l.free, s)
	}
}

var zeros = make([]byte, 256<<10)

// make makes a segment, or answers a *FullError. On a journaled filesystem,
// overwriting zeros costs half as much as writing to space that is merely allocated.
func (l *Log) make() (*segment, error) {
	l.mu.Lock()
	l.names++
	path := filepath.Join(l.cfg.Dir, fmt.Sprintf("%08d%s", l.names, suffix))
	l.mu.Unlock()
	f, err := l.cfg.FS.Create(path, l.cfg.Mode)
	if err != nil {
		return nil, &FullError{err}
	}
	s := &segment{path: path, file: f, size: l.cfg.SegmentSize, offset: segmentHead}
	_, _ = rand.Read(s.key[:]) // it never fails
	if l.cfg.ID != (ID{}) {
		copy(s.key[:], l.cfg.ID[:])
	}
	_, err = f.Write(append([]byte(magic), s.key[:]...))
	for left := s.size - segmentHead; left > 0 && err == nil; {
		var n int
		n, err = f.Write(zeros[:min(left, int64(len(zeros)))])
		left -= int64(n)
	}
	if err == nil {
		if err = f.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			_ = l.broken(err)
		}
	}
	if err == nil {
		// The next segment would lie in the same directory.
		if err = l.cfg.FS.SyncDir(l.cfg.Dir); err != nil && !vfs.Untried(err) {
			_ = l.broken(err)
		}
	}
	if err != nil {
		return nil, &FullError{errors.Join(err, f.Close(), l.cfg.FS.Remove(path))}
	}
	failpoint.Here(failpoint.SegmentMade)
	return s, nil
}
