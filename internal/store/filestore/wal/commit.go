package wal

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Whoever waits for the first group commits it, and passes the task on to one who
// waits for the next: a goroutine of the log's own would cost a single writer two
// changes of threads for each record.

// Wait returns when the record is on stable storage, or why it is not: a
// *FailedError when that is not known, a *FullError when it certainly is not.
func (t Ticket) Wait() error {
	select {
	case <-t.g.done:
	case <-t.g.turn:
		t.log.commitFirst()
	}
	return t.g.err
}

// commitFirst commits the first group of the queue.
func (l *Log) commitFirst() {
	l.mu.Lock()
	g := l.queue[0]
	l.queue = l.queue[1:]
	index, mark, failed := l.next, l.marking, l.failed
	l.mu.Unlock()
	if failed == nil {
		failed = l.commit(g, index, mark)
		l.recycle(g)
	}
	g.err = failed
	close(g.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committing = false
	l.pass()
}

// pass has somebody commit the first group, unless somebody is at it. To be called with mu held.
func (l *Log) pass() {
	if !l.committing && len(l.queue) > 0 {
		l.committing = true
		l.queue[0].turn <- struct{}{}
	}
}

// recycle keeps a group's frame for another one.
func (l *Log) recycle(g *group) {
	if c := cap(g.frame); c > headerSize && c <= keptFrame {
		l.mu.Lock()
		l.spareFrame = g.frame[:headerSize]
		l.mu.Unlock()
	}
	g.frame = nil
}

// commit brings a group to stable storage.
func (l *Log) commit(g *group, index, mark uint64) error {
	need := int64(len(g.frame))
	if need > headerSize {
		need += reserve
	}
	if err := l.room(need); err != nil {
		return err
	}
	s := l.active
	seal(g.frame, s.key, index, mark)
	_, err := s.file.WriteAt(g.frame, s.offset)
	failpoint.Here(failpoint.LogWritten)
	if err == nil && !failpoint.Omitted(failpoint.OmitLogSync) {
		start := time.Now()
		err = s.file.Sync()
		l.cfg.Synced(time.Since(start))
	}
	failpoint.Here(failpoint.LogSynced)
	if err != nil {
		return l.broken(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.offset += int64(len(g.frame))
	s.last = index
	l.next = index + 1
	l.mark = mark
	if len(g.frame) > headerSize {
		l.latest = l.next
	}
	return nil
}

// seal completes a frame's header.
func seal(frame []byte, key [8]byte, index, mark uint64) {
	le := binary.LittleEndian
	copy(frame, key[:])
	le.PutUint64(frame[8:], index)
	le.PutUint64(frame[16:], mark)
	le.PutUint32(frame[24:], uint32(len(frame)-headerSize))
	le.PutUint32(frame[28:], checksum(frame))
}

func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[8:28], castagnoli), castagnoli, frame[headerSize:])
}
