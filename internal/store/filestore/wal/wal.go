// Package wal is a write-ahead log with group commit: the records of all who
// write at the same time reach stable storage by one write and one fdatasync.
//
// The log is a set of segment files, filled with zeros when they are made and
// overwritten in place ever after, so that a commit moves no metadata. A segment
// starts with "sdwal\x00\x00\x01" and 8 bytes, its key: the ID of the log, and 4 that
// are random. What is committed at once is a frame (all numbers little endian):
//
//	 0  8  the segment's key, so that nobody can plant a frame in a record
//	 8  8  index: of the frame, one more than that of the frame before
//	16  8  mark: frames below it are settled, see Release
//	24  4  length of the payload
//	28  4  CRC-32C of bytes 8 to 27 and the payload
//	32     payload: for each record its length in 4 bytes, and its bytes
//
// A frame is there as a whole or not at all, and the next one is written only
// when it is on stable storage. So a last frame that is torn was never
// acknowledged, and one that is missing among others is damage. Frames of an
// earlier use of a segment lie below the mark.
package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"snapshotd/internal/store/filestore/vfs"
)

const (
	magic       = "sdwal\x00\x00\x01"
	segmentHead = 16
	headerSize  = 32
	recordHead  = 4
	reserve     = 64 // of each segment, for frames that only carry a mark: they must always fit
	suffix      = ".log"
)

// ErrClosed is returned by a log after Close.
var ErrClosed = errors.New("the log is closed")

// A FailedError is what a log answers after a write or a sync has failed: whether
// the records of that commit are on disk is not known, and nothing more is
// written.
type FailedError struct{ Err error }

func (e *FailedError) Error() string { return "the log has failed: " + e.Err.Error() }

// Unwrap answers the cause.
func (e *FailedError) Unwrap() error { return e.Err }

// A FullError is what a log answers when a segment was needed and could not be
// made. The records are not in the log, and it goes on.
type FullError struct{ Err error }

func (e *FullError) Error() string { return "the log has no room: " + e.Err.Error() }

// Unwrap answers the cause.
func (e *FullError) Unwrap() error { return e.Err }

// Config says where a Log writes.
type Config struct {
	FS          vfs.FS
	Dir         string
	ID          ID                       // that new segments carry; zero = each has another one
	Mode        fs.FileMode              // of segment files
	SegmentSize int64                    // of new segments, in bytes
	Segments    int                      // how many are filled before Admit has callers wait
	Synced      func(took time.Duration) // told of every commit
	Filled      func()                   // told when half of the segments are full, so that a checkpoint can free them
	Failed      func(err error)          // told once when a write or a sync has failed
}

// A Log is safe for concurrent use.
type Log struct {
	cfg  Config
	turn chan struct{} // holds one value while nobody commits

	mu         sync.Mutex
	queue      []*group // to be committed, the last one still gathering
	spareFrame []byte   // of a group that has been committed, for the next
	next       uint64   // index of the next frame
	mark       uint64   // frames below it are settled, and a frame on disk says so
	marking    uint64   // what the next frame is to say
	latest     uint64   // one more than the index of the last frame with records
	failed     error
	closed     bool
	freed      chan struct{} // closed, and made anew, when Release has freed a segment or the log has failed

	active *segment
	full   []*segment // oldest first
	free   []*segment
	names  int // of segments made so far
	spare  sync.WaitGroup
	making bool
}

// A group is what is committed at once.
type group struct {
	frame  []byte
	sealed bool          // takes no records
	done   chan struct{} // closed when it is committed
	err    error
}

func newGroup(frame []byte) *group {
	return &group{frame: frame, done: make(chan struct{})}
}

// A Ticket stands for a record that waits to be brought to stable storage, which those do
// who wait for one.
type Ticket struct {
	log *Log
	g   *group
}

// New returns a log that goes on behind what Recover has found.
func New(cfg Config, found *Found) *Log {
	l := &Log{
		cfg: cfg, turn: make(chan struct{}, 1), freed: make(chan struct{}),
		next: found.next, mark: found.next, marking: found.next, names: found.names,
		active: found.active, free: found.free,
	}
	l.turn <- struct{}{}
	if len(l.free) == 0 {
		l.making = true
		l.spare.Go(l.makeSpare)
	}
	return l
}

// MaxRecord is the size in bytes of the largest record that can be appended.
func (l *Log) MaxRecord() int {
	return int(l.cfg.SegmentSize)/2 - segmentHead - headerSize - recordHead - reserve
}

// Append hands a record over to be committed with those of others; parts are
// joined. The bytes may be reused at once.
func (l *Log) Append(parts ...[]byte) (Ticket, error) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > l.MaxRecord() {
		return Ticket{}, fmt.Errorf("a record of %d bytes does not fit into the log", size)
	}
	l.mu.Lock()
	if err := l.refused(); err != nil {
		l.mu.Unlock()
		return Ticket{}, err
	}
	g := l.gathering(size)
	g.frame = binary.LittleEndian.AppendUint32(g.frame, uint32(size))
	for _, p := range parts {
		g.frame = append(g.frame, p...)
	}
	l.mu.Unlock()
	return Ticket{l, g}, nil
}

func (l *Log) refused() error {
	if l.closed {
		return ErrClosed
	}
	return l.failed
}

// gathering answers the group that still has room.
func (l *Log) gathering(size int) *group {
	if n := len(l.queue); n > 0 {
		if g := l.queue[n-1]; !g.sealed && len(g.frame)+recordHead+size <= headerSize+recordHead+l.MaxRecord() {
			return g
		}
	}
	g := newGroup(l.spareFrame)
	l.spareFrame = nil
	if g.frame == nil {
		g.frame = make([]byte, headerSize, headerSize+recordHead+size+frameRoom)
	}
	l.queue = append(l.queue, g)
	return g
}

// Frames are made with room for more than one record, and kept up to a size that 64
// writers of small records fill.
const (
	frameRoom = 16 << 10
	keptFrame = 512 << 10
)

// Admit waits while the log is too far ahead of its checkpoints, or until stop is
// closed.
func (l *Log) Admit(stop <-chan struct{}) {
	for {
		l.mu.Lock()
		wait := len(l.full) >= l.cfg.Segments && l.refused() == nil
		freed := l.freed
		l.mu.Unlock()
		if !wait {
			return
		}
		l.cfg.Filled()
		select {
		case <-freed:
		case <-stop:
			return
		}
	}
}

// Next is the index of the next frame: when no record is on its way, all records
// appended so far are below it.
func (l *Log) Next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Size answers how many bytes the segments take on the disk.
func (l *Log) Size() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.full {
		n += s.size
	}
	for _, s := range l.free {
		n += s.size
	}
	if l.active != nil {
		n += l.active.size
	}
	return n
}

// Pending reports whether the log holds records that Release has not settled.
func (l *Log) Pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest > l.mark
}

// Release declares the frames below next settled: what their records tell of is
// on stable storage elsewhere. When that declaration itself is, their segments are used anew.
func (l *Log) Release(next uint64) error {
	l.mu.Lock()
	if err := l.refused(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.marking = max(l.marking, next)
	// A frame without records carries the mark: with some, it might find no room.
	g := newGroup(make([]byte, headerSize))
	g.sealed = true
	l.queue = append(l.queue, g)
	l.mu.Unlock()
	if err := (Ticket{l, g}).Wait(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.full) > 0 && l.full[0].last < next {
		s := l.full[0]
		l.full = l.full[1:]
		s.offset = segmentHead
		l.free = append(l.free, s)
	}
	l.wakeAdmitted()
	return nil
}

func (l *Log) wakeAdmitted() {
	close(l.freed)
	l.freed = make(chan struct{})
}

// Fail has the log refuse all that comes, because something else has gone wrong that
// it must not outlive. Err says why it refuses.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = &FailedError{err}
		l.wakeAdmitted()
	}
}

// Err is the *FailedError of a log that has failed.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// broken is Fail for what has gone wrong here.
func (l *Log) broken(err error) error {
	l.Fail(err)
	l.cfg.Failed(err)
	return l.Err()
}

// Close commits what has been appended and stops.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	<-l.turn // and nobody gets it any more
	for l.commitFirst() {
	}
	l.spare.Wait()
	var err error
	for _, s := range append(append(l.full, l.free...), l.active) {
		if s != nil && s.file != nil {
			err = errors.Join(err, s.file.Close())
		}
	}
	return err
}
