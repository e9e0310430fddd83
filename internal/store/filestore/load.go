package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
)

// loadSnapshots finds the snapshots of every saga: by its index, if nothing has changed
// in its directory since that was written, else by looking at each file.
func (s *Store) loadSnapshots(ctx context.Context) error {
	s.catalog.Loading()
	defer s.catalog.Loaded()
	trust, err := openTrusting(&s.disk.layout)
	if err != nil {
		return err
	}
	defer trust.close() //nolint:errcheck // nothing was written
	recalls := sync.Pool{New: func() any { return newRecall() }}
	var loaded atomic.Int64
	err = each(ctx, s.disk.snapshots(), func(e fs.DirEntry) error {
		id, ok := sagaOf(e)
		if !ok {
			s.foreign(filepath.Join(s.disk.snapshots(), e.Name()))
			return nil
		}
		m := recalls.Get().(*recall)
		defer recalls.Put(m)
		n, err := s.loadSaga(trust, m, id)
		if total := loaded.Add(int64(n)); total/10_000 != (total-int64(n))/10_000 {
			s.cfg.Progress(int(total))
		}
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, s.disk.indexes(), func(e fs.DirEntry) error {
		id, gzip, ok := parseName(e.Name())
		if !ok || gzip {
			s.foreign(filepath.Join(s.disk.indexes(), e.Name()))
			return nil
		}
		// loadSaga has seen to the sagas that have a directory.
		if !s.catalog.Contains(id) && !exists(s.disk.saga(id)) {
			if info, err := e.Info(); err == nil {
				s.indexer.size.Add(info.Size())
			}
			s.indexer.changed(id)
		}
		return nil
	})
}

// loadSaga puts one saga into the catalogue and answers how many snapshots it
// has. An index that is wrong is written again in a while.
func (s *Store) loadSaga(trust *trusting, m *recall, id uuid.UUID) (int, error) {
	if records, size, ok := m.saga(trust, id); ok {
		s.indexer.size.Add(size)
		s.enter(records)
		return len(records), nil
	}
	if info, err := os.Lstat(s.disk.index(id)); err == nil {
		s.indexer.size.Add(info.Size())
	}
	names, err := readNames(s.disk.saga(id))
	if errors.Is(err, fs.ErrPermission) {
		s.log.Error("the directory of a saga cannot be read; it stays where it is", "path", s.disk.saga(id), "err", err)
		s.closed.Add(1)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	index, indexErr := readIndex(s.disk.index(id))
	trusted := make(map[uuid.UUID]*indexEntry, len(index.Snapshots))
	for i := range index.Snapshots {
		trusted[index.Snapshots[i].ID.UUID] = &index.Snapshots[i]
	}
	var records []catalog.Record
	for found := range s.survey(id, names, trusted) {
		if found.foreign {
			s.foreign(filepath.Join(s.disk.saga(id), found.unreadable.Name))
			continue
		}
		if found.record != nil {
			records = append(records, *found.record)
			continue
		}
		s.admit(found)
	}
	slices.SortFunc(records, func(a, b catalog.Record) int { return b.Position().Compare(a.Position()) })
	settled := s.enter(records)
	if !settled || index.wrongFor(id, records) != "" || indexErr != nil && (len(records) > 0 || !errors.Is(indexErr, fs.ErrNotExist)) {
		if indexErr != nil && !errors.Is(indexErr, fs.ErrNotExist) {
			s.log.Warn("an index cannot be read and is written again", "path", s.disk.index(id), "err", indexErr)
		}
		s.indexer.changed(id)
	}
	return len(records), nil
}

// enter puts records of one saga, newest first, into the catalogue, and reports whether
// all of them are there then and no other has gone.
func (s *Store) enter(records []catalog.Record) (settled bool) {
	settled = true
	for _, r := range s.catalog.InsertAll(records) {
		settled = s.admit(finding{record: &r}) == nil && settled
	}
	return settled
}

var errShadowed = errors.New("a compressed file of the same id stands beside it, which counts")

// survey yields what the files of a saga's directory are.
func (s *Store) survey(id uuid.UUID, names []string, trusted map[uuid.UUID]*indexEntry) iter.Seq[finding] {
	zipped := map[uuid.UUID]bool{}
	for _, name := range names {
		if id, gzip, ok := parseName(name); ok && gzip {
			zipped[id] = true
		}
	}
	return func(yield func(finding) bool) {
		for _, name := range names {
			snapshotID, gzip, ok := parseName(name)
			found := finding{unreadable: catalog.Unreadable{ID: snapshotID, SagaID: id, Name: name}}
			switch {
			case !ok:
				found.foreign = true
			case !gzip && zipped[snapshotID]:
				found.err = errShadowed
			default:
				found = s.examine(id, name, trusted[snapshotID])
			}
			if !yield(found) {
				return
			}
		}
	}
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// A finding is what a file turned out to be: a record, or unreadable because of
// err, or gone.
type finding struct {
	record     *catalog.Record
	unreadable catalog.Unreadable
	err        error
	gone       bool
	foreign    bool // a directory, or not named as a file of ours is
}

// examine finds out what a file of a saga holds. It is not read when the index
// entry says so already and the file has not changed since.
func (s *Store) examine(sagaID uuid.UUID, name string, entry *indexEntry) (f finding) {
	id, gzipName, _ := parseName(name)
	f.unreadable = catalog.Unreadable{ID: id, SagaID: sagaID, Name: name}
	path := filepath.Join(s.disk.saga(sagaID), name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.gone = true
		return f
	case err == nil && info.IsDir():
		f.foreign = true
		return f
	case err == nil && !info.Mode().IsRegular():
		err = errNotRegular
	}
	if err != nil {
		f.err = err
		return f
	}
	if entry.describes(info) {
		if f.record = entry.record(sagaID, gzipName); f.record != nil {
			return f
		}
	}
	text, info, gzipped, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		f.gone = true // since lstat
		return f
	}
	if err != nil {
		f.err = err
		return f
	}
	f.understand(text, info.Size(), catalog.Location{Modified: info.ModTime().UnixNano(), Gzip: gzipped, GzipName: gzipName})
	return f
}

// understand reads the document in a file of so many bytes.
func (f *finding) understand(text []byte, size int64, at catalog.Location) {
	snapshot, ours, err := saga.ReadSnapshot(text)
	switch {
	case err != nil:
	case snapshot.ID != f.unreadable.ID:
		err = fmt.Errorf("it says snapshot_id %s", snapshot.ID)
	case snapshot.SagaID != f.unreadable.SagaID:
		err = fmt.Errorf("it says saga_id %s", snapshot.SagaID)
	}
	if err != nil {
		f.err = err
		return
	}
	at.RawSize, at.Foreign = int64(len(text)), !ours
	f.record = &catalog.Record{Summary: snapshot.Summary, Location: at}
	f.record.SizeBytes = size
}

var errOtherSaga = errors.New("another saga has a newer snapshot of the same id")

// admit enters a finding into the catalogue. Of two files with one id the newer
// snapshot counts; it answers the other one, if that is of another saga.
func (s *Store) admit(f finding) *catalog.Record {
	if f.gone || f.foreign {
		return nil
	}
	if f.record == nil {
		s.condemn(f.unreadable, f.err)
		return nil
	}
	if s.catalog.Insert(f.record) {
		return nil
	}
	other, ok := s.catalog.Get(f.record.ID)
	if !ok || other.SagaID == f.record.SagaID {
		return nil
	}
	loser := *f.record
	if other.CreatedAt < f.record.CreatedAt {
		s.catalog.Remove(other.ID)
		s.catalog.Insert(f.record)
		loser = other
	}
	s.condemn(catalog.Unreadable{ID: loser.ID, SagaID: loser.SagaID, Name: snapshotName(loser.ID, loser.GzipName)},
		errOtherSaga)
	s.indexer.changed(other.SagaID)
	return &loser
}

// condemn notes a file that cannot be read, and leaves it where it is.
func (s *Store) condemn(u catalog.Unreadable, err error) {
	s.log.Error("a snapshot cannot be read; its file stays where it is",
		"path", filepath.Join(s.disk.saga(u.SagaID), u.Name), "err", err)
	s.catalog.AddUnreadable(u)
}
