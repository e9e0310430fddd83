package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// There is one turn, and who has it commits: whoever waits for a group takes it when it
// is free. A goroutine of the log's own would cost a single writer two changes of threads
// for each record.

// Wait returns when the record is on stable storage, or why it is not: a
// *FailedError when that is not known, a *FullError when it certainly is not.
func (t Ticket) Wait() error {
	for {
		select {
		case <-t.g.done:
			return t.g.err
		default: // only then for the turn: who is done works for nobody else
		}
		select {
		case <-t.g.done:
		case <-t.log.turn:
			t.log.takeTurn() // which may be for a group before this one
		}
	}
}

func (l *Log) takeTurn() {
	defer func() { l.turn <- struct{}{} }()
	l.commitFirst()
}

// commitFirst commits the first group of the queue, if there is one. Only who has the
// turn may call it.
func (l *Log) commitFirst() (some bool) {
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.mu.Unlock()
		return false
	}
	g := l.queue[0]
	l.queue = l.queue[1:]
	index, mark, failed := l.next, l.marking, l.failed
	l.mu.Unlock()
	returned := false
	defer func() {
		if !returned {
			g.err = l.broken(errors.New("a commit has panicked"))
		}
		close(g.done)
	}()
	if failed == nil {
		failed = l.commit(g, index, mark)
		l.recycle(g)
	}
	g.err, returned = failed, true
	return true
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
