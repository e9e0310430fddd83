package filestore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

// Delete removes a snapshot and whatever unreadable file bears its id. When it
// answers, the names are gone from stable storage.
func (s *Store) Delete(ctx context.Context, id uuid.UUID) (*saga.Summary, error) {
	unlock, err := s.ids.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var d doomed
	r, readable := s.catalog.Get(id)
	if readable {
		d.add(r)
	}
	for _, u := range s.catalog.Unreadable(id) {
		d.addUnreadable(u)
	}
	if len(d.files) == 0 {
		return nil, saga.ErrSnapshotNotFound
	}
	if err := s.unlink(&d); err != nil {
		return nil, err
	}
	if len(d.files) == 0 {
		return nil, saga.ErrSnapshotNotFound // somebody else has removed them
	}
	if !readable {
		r.ID, r.SagaID = id, d.files[0].SagaID
	}
	return &r.Summary, nil
}

// DeleteMany removes what a selection chooses, a synced batch of files for each
// saga. What cannot be removed keeps nothing else from going.
func (s *Store) DeleteMany(ctx context.Context, sel *store.Selection) (answer *store.Deletion, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sel.DryRun {
		return s.catalog.Describe(sel), nil
	}
	chosen, broken := s.catalog.Choose(sel)
	var batches []*doomed // one for each saga, in the order of the selection
	bySaga := map[uuid.UUID]*doomed{}
	of := func(id uuid.UUID) *doomed {
		d := bySaga[id]
		if d == nil {
			d = &doomed{}
			bySaga[id] = d
			batches = append(batches, d)
		}
		return d
	}
	for _, r := range chosen {
		of(r.SagaID).add(r)
	}
	for _, u := range broken {
		of(u.SagaID).addUnreadable(u)
	}
	answer = &store.Deletion{}
	deleted := make(map[uuid.UUID]bool, len(chosen))
	for _, d := range batches {
		failed := s.deleteBatch(ctx, d, sel)
		answer.Count += len(d.files)
		answer.Kept += d.kept
		answer.Unreadable += len(d.broken)
		for _, r := range d.records {
			answer.Bytes += r.SizeBytes
			deleted[r.ID] = true
		}
		if err == nil || errors.Is(failed, saga.ErrOutcomeUnknown) { // which every other error would deny
			err = failed
		}
		if failed != nil && (ctx.Err() != nil || s.checkWritable() != nil) {
			break
		}
	}
	for _, r := range chosen {
		if deleted[r.ID] && len(answer.Sample) < sel.Sample {
			answer.Sample = append(answer.Sample, r.Summary)
		}
	}
	answer.Remaining = s.catalog.Count(sel)
	return answer, err
}

// deleteBatch removes files of one saga. Those that went are left in d, on an error too.
func (s *Store) deleteBatch(ctx context.Context, d *doomed, sel *store.Selection) error {
	unlock, err := s.ids.lockAll(ctx, d.ids())
	if err != nil {
		*d = doomed{}
		return err
	}
	defer unlock()
	unread := s.confirm(d, sel)
	return cmp.Or(s.unlink(d), unread)
}

// confirm leaves out of d what has been deleted, or saved anew, since it was chosen.
// What is to go because it has expired must say so itself, in its file; an index
// that we trusted at the start is not enough. Its error is that of the first file that
// cannot be read at the moment; such ones are kept.
func (s *Store) confirm(d *doomed, sel *store.Selection) (err error) {
	chosen := *d
	*d = doomed{}
	for _, r := range chosen.records {
		if now, ok := s.catalog.Get(r.ID); !ok || now != r {
			continue
		}
		if sel.ExpiredBefore != nil {
			found := s.examine(r.SagaID, snapshotName(r.ID, r.GzipName), nil)
			if isIOError(found.err) {
				d.kept++
				err = cmp.Or(err, found.err)
				continue
			}
			if found.record == nil || !found.record.Expired(*sel.ExpiredBefore) {
				s.catalog.Remove(r.ID)
				s.admit(found)
				s.indexer.changed(r.SagaID)
				continue
			}
		}
		d.add(r)
	}
	for _, u := range chosen.broken {
		d.addUnreadable(u)
	}
	return err
}

// doomed are files to delete, all of ids that the caller holds.
type doomed struct {
	records []catalog.Record
	broken  []catalog.Unreadable
	files   []catalog.Unreadable // of both
	kept    int                  // how many could not be removed
}

func (d *doomed) add(r catalog.Record) {
	d.records = append(d.records, r)
	d.files = append(d.files, fileOf(&r))
}

func (d *doomed) addUnreadable(u catalog.Unreadable) {
	d.broken = append(d.broken, u)
	d.files = append(d.files, u)
}

// drop takes some files out.
func (d *doomed) drop(some map[catalog.Unreadable]bool) {
	d.files = slices.DeleteFunc(d.files, func(f catalog.Unreadable) bool { return some[f] })
	d.broken = slices.DeleteFunc(d.broken, func(u catalog.Unreadable) bool { return some[u] })
	d.records = slices.DeleteFunc(d.records, func(r catalog.Record) bool { return some[fileOf(&r)] })
}

func fileOf(r *catalog.Record) catalog.Unreadable {
	return catalog.Unreadable{ID: r.ID, SagaID: r.SagaID, Name: snapshotName(r.ID, r.GzipName)}
}

func (d *doomed) ids() []uuid.UUID {
	ids := make([]uuid.UUID, len(d.files))
	for i, f := range d.files {
		ids[i] = f.ID
	}
	return ids
}

// unlink removes the files and then, when that is on stable storage, what the
// catalogue knows of them. Those that it could not remove leave d; the first one is its
// error. So do those that were gone already.
func (s *Store) unlink(d *doomed) (err error) {
	if err := s.checkWritable(); err != nil {
		*d = doomed{kept: d.kept}
		return err
	}
	if len(d.files) == 0 {
		return nil
	}
	names := make([]string, len(d.files))
	for i, f := range d.files {
		names[i] = snapshotFile(f.SagaID, f.Name)
	}
	stay, missing, err := s.journal.remove(names)
	if err != nil {
		*d = doomed{kept: d.kept + len(d.files)}
		return s.failed(err)
	}
	stays, gone, dirs := map[catalog.Unreadable]bool{}, map[catalog.Unreadable]bool{}, map[uuid.UUID]bool{}
	for i, f := range d.files {
		if e := stay[names[i]]; e != nil {
			stays[f] = true
			d.kept++
			err = cmp.Or(err, writeError(e))
			continue
		}
		gone[f] = missing[names[i]]
		dirs[f.SagaID] = true
	}
	d.drop(stays)
	for _, r := range d.records {
		s.catalog.Remove(r.ID)
		s.cache.forget(r.ID)
	}
	for _, u := range d.broken {
		s.catalog.RemoveUnreadable(u)
	}
	d.drop(gone)
	for id := range dirs {
		s.tidy(id)
	}
	return err
}

// tidy removes the directory and the index of a saga that has nothing left; a
// directory in which something foreign lies stays, with an empty index.
func (s *Store) tidy(sagaID uuid.UUID) {
	if !s.catalog.Contains(sagaID) {
		lock := s.sagas.of(sagaID)
		lock.Lock()
		defer lock.Unlock()
		if !s.catalog.Contains(sagaID) && s.disk.remove(s.disk.saga(sagaID)) == nil {
			if err := s.indexer.remove(sagaID); err == nil {
				return
			}
		}
	}
	s.indexer.changed(sagaID)
}
