package filestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

// open opens a document. A file that is not the one the catalogue knows is
// looked at again, and is not there if it is not what it was found by any more. look is
// that at its directory, if others in it are opened too, else nil.
func (s *Store) open(ctx context.Context, r *catalog.Record, gzipped bool, look *look, by *saga.Filter) (*store.Document, error) {
	for {
		doc, err := s.openKnown(r, gzipped, look)
		if err == nil {
			return doc, nil
		}
		var corrupt *saga.CorruptError
		switch {
		case errors.As(err, &corrupt):
			return nil, err
		case isIOError(err):
			return nil, err
		}
		now, err := s.recheck(ctx, *r)
		if err != nil {
			return nil, err
		}
		if by != nil && !by.Matches(&now.Summary) {
			return nil, saga.ErrSnapshotNotFound
		}
		r = &now
	}
}

// openKnown opens a document if its file is the one the catalogue knows, else it
// is errNotKnown, fs.ErrNotExist or errNotRegular.
func (s *Store) openKnown(r *catalog.Record, gzipped bool, look *look) (*store.Document, error) {
	known := fileState{r.SizeBytes, r.Modified}
	small := r.SizeBytes <= cachedFile && (gzipped || !r.Gzip || r.RawSize <= cachedFile) // what is larger streams
	if small && !r.Foreign {
		file, err := s.cache.read(r, known, look)
		if err != nil {
			return nil, err
		}
		if r.Gzip && !gzipped {
			text, err := gunzip(file.data, cachedFile)
			if err != nil {
				return nil, &saga.CorruptError{ID: r.ID, Err: err}
			}
			return store.InMemory(text, nil), nil
		}
		doc := store.InMemory(file.data, &file.derived)
		doc.Gzipped = r.Gzip
		return doc, nil
	}
	var hashes *cached
	if !r.Foreign {
		hashes = s.cache.hashes(r, known)
	}
	f, info, err := open(s.disk.snapshot(r))
	if err != nil {
		return nil, err
	}
	if stateOf(info) != known {
		f.Close()
		return nil, errNotKnown
	}
	return s.document(r, f, gzipped, hashes)
}

// document answers an open file as the client wants it; it closes f or hands it on.
func (s *Store) document(r *catalog.Record, f *os.File, gzipped bool, hashes *cached) (*store.Document, error) {
	switch {
	case r.Foreign:
		defer f.Close()
		text, _, _, err := read(f.Name())
		if err == nil {
			text, err = saga.Respell(text)
		}
		if err != nil {
			return nil, &saga.CorruptError{ID: r.ID, Err: err}
		}
		return store.InMemory(text, nil), nil
	case r.Gzip && gzipped:
		return store.InFile(f, r.SizeBytes, true, &hashes.derived), nil
	case r.Gzip:
		text, err := newGunzipReader(f)
		if err != nil {
			f.Close()
			return nil, &saga.CorruptError{ID: r.ID, Err: err}
		}
		return store.InFile(text, r.RawSize, false, &hashes.text), nil
	default:
		return store.InFile(f, r.SizeBytes, false, &hashes.derived), nil
	}
}

// mostLookedAgain bounds how many unreadable files of a saga a list looks at again.
const mostLookedAgain = 16

// lookAgainIn looks again at what could not be read of a saga; what that fails with is
// told to who asks for the snapshot.
func (s *Store) lookAgainIn(ctx context.Context, sagaID uuid.UUID) {
	for _, id := range s.catalog.UnreadableOf(uuid.NullUUID{UUID: sagaID, Valid: true}, mostLookedAgain) {
		_ = s.lookAgain(ctx, id)
	}
}

// lookAgain looks again at the files of an id that could not be read: somebody may have
// been writing, or have mended them. It answers a *saga.CorruptError if one still cannot be.
func (s *Store) lookAgain(ctx context.Context, id uuid.UUID) error {
	if len(s.catalog.Unreadable(id)) == 0 {
		return nil
	}
	unlock, err := s.ids.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	_, known := s.catalog.Get(id) // by another file, beside which these do not count
	for _, u := range s.catalog.Unreadable(id) {
		found := s.examine(u.SagaID, u.Name, nil)
		if u.Name == snapshotName(id, false) && exists(s.disk.path(snapshotFile(u.SagaID, snapshotName(id, true)))) {
			found = finding{err: errShadowed}
		}
		if known && found.record != nil {
			continue
		}
		if found.err != nil {
			err = &saga.CorruptError{ID: id, Err: found.err}
			if isIOError(found.err) {
				err = found.err
			}
			continue
		}
		s.log.Info("a snapshot that could not be read can be, or is gone", "path", filepath.Join(s.disk.saga(u.SagaID), u.Name))
		s.catalog.RemoveUnreadable(u)
		s.admit(found)
		s.indexer.changed(u.SagaID)
	}
	if _, ok := s.catalog.Get(id); ok {
		return nil
	}
	return err
}

// recheck looks again at a snapshot whose file is gone or has changed, and brings the
// catalogue up to date with it.
func (s *Store) recheck(ctx context.Context, old catalog.Record) (catalog.Record, error) {
	unlock, err := s.ids.lock(ctx, old.ID)
	if err != nil {
		return catalog.Record{}, err
	}
	defer unlock()
	now, ok := s.catalog.Get(old.ID)
	if !ok {
		return now, saga.ErrSnapshotNotFound
	}
	if now != old {
		same := old.Summary
		same.SizeBytes = now.SizeBytes
		if now.Summary != same {
			return now, saga.ErrSnapshotNotFound // deleted, and another one saved by the same id
		}
		return now, nil
	}
	found := s.examine(old.SagaID, snapshotName(old.ID, old.GzipName), nil)
	found.gone = found.gone || found.foreign
	switch {
	case found.gone:
		s.log.Warn("a snapshot's file has vanished", "snapshot_id", old.ID, "saga_id", old.SagaID)
	case found.record == nil && isIOError(found.err):
		return old, found.err
	}
	s.catalog.Remove(old.ID)
	s.cache.forget(old.ID)
	s.admit(found)
	s.indexer.changed(old.SagaID)
	switch {
	case found.gone:
		return old, saga.ErrSnapshotNotFound
	case found.record == nil:
		return old, &saga.CorruptError{ID: old.ID, Err: found.err}
	}
	return *found.record, nil
}
