package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
	"snapshotd/internal/store/filestore/wal"
)

// recoverLog brings the files up to what the log has acknowledged, and starts the
// log anew. It may be cut off and done again at any point.
func (s *Store) recoverLog() error {
	found, err := wal.Recover(s.disk.log(), s.journal.id)
	if err != nil {
		return err
	}
	for _, damage := range found.Damage {
		s.log.Error("the log is damaged: changes that were acknowledged may be lost", "damage", damage)
	}
	restored, err := s.replay(found.Records)
	if err != nil {
		return fmt.Errorf("the log could not be replayed: %w", err)
	}
	// What was killed may have left names and bytes that no sync has reached, among them
	// the log's. Nobody may see them before one has.
	if err := s.disk.syncAll(s.disk.takeTouched()); err != nil {
		return err
	}
	if err := s.disk.syncDir(s.disk.log()); err != nil {
		return err
	}
	if len(found.Records) > 0 {
		failpoint.Here(failpoint.ReplaySynced)
		s.log.Info("the log has been replayed", "records", len(found.Records), "files_restored", restored)
	}
	if len(found.Damage) > 0 {
		if found, err = s.quarantineLog(); err != nil {
			return err
		}
	}
	for _, path := range found.Unfinished {
		if err := s.disk.remove(path); err != nil {
			return err
		}
	}
	if len(found.Records) > 0 {
		s.journal.log = s.newLog(found)
		if err := s.journal.log.Release(s.journal.log.Next()); err != nil {
			return err
		}
	}
	return s.continueLog(found)
}

// continueLog goes on with a log that has been settled, unless it has no identity: then
// another one is begun.
func (s *Store) continueLog(found *wal.Found) error {
	if s.cfg.Relaxed {
		return s.dropLog()
	}
	if s.journal.id == (wal.ID{}) {
		if err := s.dropLog(); err != nil {
			return err
		}
		if err := s.identify(); err != nil {
			return err
		}
		found = &wal.Found{}
	}
	if s.journal.log == nil {
		s.journal.log = s.newLog(found)
	}
	return nil
}

// identify chooses the identity of the log that is begun, and has the directory remember it
// before there is a segment. Without room for that, the next start begins another one.
func (s *Store) identify() error {
	s.journal.id = wal.NewID()
	err := s.writeFormat()
	if isNoSpace(err) && !isSyncFailure(err) {
		s.log.Warn("there is no room to note which log is ours; the next start tries again", "err", err)
		return nil
	}
	return err
}

func (s *Store) newLog(found *wal.Found) *wal.Log {
	return wal.New(wal.Config{
		FS: s.disk.fs, Dir: s.disk.log(), ID: s.journal.id, Mode: s.disk.fileMode,
		SegmentSize: s.segmentSize(), Segments: segmentsAhead,
		Synced: func(took time.Duration) { s.cfg.Observer.Synced("log", took) },
		Filled: s.journal.nudge,
		Failed: s.stopWriting,
	}, found)
}

func (s *Store) segmentSize() int64 {
	if s.cfg.segmentSize > 0 {
		return s.cfg.segmentSize
	}
	usage, err := diskUsage(s.disk.base)
	if err != nil {
		return segmentSize
	}
	return max(segmentSizeMin, min(segmentSize, usage.AvailableBytes/64))
}

// replay makes the files what the last record about each says.
func (s *Store) replay(records [][]byte) (restored int, err error) {
	last, damage := lastOf(records)
	for _, err := range damage {
		s.log.Error("the log is damaged: changes that were acknowledged may be lost", "damage", err)
	}
	for name, w := range last {
		path := s.disk.path(name)
		s.disk.touch(name)
		switch w.change {
		case changeWrite:
			kept := same(path, w.data)
			if err := s.disk.rewrite(name, w.data, kept); err != nil {
				return restored, err
			}
			if !kept {
				restored++
			}
		case changeRemove:
			if failpoint.Omitted(failpoint.OmitReplayDeletes) {
				continue
			}
			if err := s.disk.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return restored, err
			}
			if filepath.Dir(filepath.Dir(path)) == s.disk.snapshots() {
				_ = s.disk.remove(filepath.Dir(path)) // only an empty one goes
			}
		}
		failpoint.Here(failpoint.Replayed)
	}
	return restored, nil
}

// A wanted says what the log wants of a file.
type wanted struct {
	change change
	data   []byte
}

// lastOf answers the last record about each file.
func lastOf(records [][]byte) (last map[string]wanted, damage []error) {
	last = map[string]wanted{}
	for _, record := range records {
		c, name, data, err := parseRecord(record)
		if err != nil {
			damage = append(damage, err)
			continue
		}
		last[name] = wanted{c, data}
	}
	return last, damage
}

// same reports whether a file holds the bytes.
func same(path string, data []byte) bool {
	f, info, err := open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if info.Size() != int64(len(data)) {
		return false
	}
	text, err := os.ReadFile(path)
	return err == nil && bytes.Equal(text, data)
}

// quarantineLog puts a damaged log aside, for whoever wants to look at it.
func (s *Store) quarantineLog() (*wal.Found, error) {
	if err := s.disk.mkdir(s.disk.quarantine()); err != nil {
		return nil, err
	}
	aside := filepath.Join(s.disk.quarantine(), "log-"+strconv.FormatInt(time.Now().UnixNano(), 10))
	if err := s.disk.fs.Rename(s.disk.log(), aside); err != nil {
		return nil, err
	}
	if err := s.disk.mkdir(s.disk.log()); err != nil {
		return nil, err
	}
	s.log.Error("the damaged log has been put aside", "path", aside)
	return &wal.Found{}, errors.Join(s.disk.syncDir(s.disk.quarantine()), s.disk.syncDir(s.disk.own()))
}

// dropLog removes a log that has been settled and is not to be continued; the file that
// says so goes last. It is looked for again, for settling may have written to another one.
func (s *Store) dropLog() error {
	if log := s.journal.log; log != nil {
		s.journal.log = nil
		if err := log.Close(); err != nil {
			return err
		}
	}
	found, err := wal.Recover(s.disk.log(), s.journal.id)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(s.disk.log())
	if err != nil {
		return err
	}
	last := found.Last()
	for _, e := range entries {
		if path := filepath.Join(s.disk.log(), e.Name()); path != last {
			if err := s.disk.remove(path); err != nil {
				return err
			}
		}
	}
	if err := s.disk.syncDir(s.disk.log()); err != nil || last == "" {
		return err
	}
	return errors.Join(s.disk.remove(last), s.disk.syncDir(s.disk.log()))
}
