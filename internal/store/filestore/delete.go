package filestore

import (
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
	gone, err := s.unlink(&d)
	if err != nil {
		return nil, err
	}
	if gone == len(d.files) {
		return nil, saga.ErrSnapshotNotFound // somebody else has removed them
	}
	if !readable {
		r.ID, r.SagaID = id, d.files[0].SagaID
	}
	return &r.Summary, nil
}

// DeleteMany removes what a selection chooses, a synced batch of files for each
// saga.
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
		var gone int
		if d, gone, err = s.deleteBatch(ctx, d, sel); d != nil {
			answer.Count += len(d.files) - gone
			answer.Unreadable += len(d.broken)
			for _, r := range d.records {
				answer.Bytes += r.SizeBytes
				deleted[r.ID] = true
			}
		}
		if err != nil {
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

// deleteBatch removes files of one saga. It answers those that went, of which so
// many were gone already.
func (s *Store) deleteBatch(ctx context.Context, chosen *doomed, sel *store.Selection) (d *doomed, gone int, err error) {
	unlock, err := s.ids.lockAll(ctx, chosen.ids())
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	d = s.confirmed(chosen, sel)
	gone, err = s.unlink(d)
	return d, gone, err
}

// confirmed leaves out what has been deleted, or saved anew, since it was chosen.
// What is to go because it has expired must say so itself, in its file; an index
// that we trusted at the start is not enough.
func (s *Store) confirmed(chosen *doomed, sel *store.Selection) *doomed {
	d := &doomed{}
	for _, r := range chosen.records {
		if now, ok := s.catalog.Get(r.ID); !ok || now != r {
			continue
		}
		if sel.ExpiredBefore != nil {
			found := s.examine(r.SagaID, snapshotName(r.ID, r.GzipName), nil)
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
	return d
}

// doomed are files to delete, all of ids that the caller holds.
type doomed struct {
	records []catalog.Record
	broken  []catalog.Unreadable
	files   []catalog.Unreadable // of both
}

func (d *doomed) add(r catalog.Record) {
	d.records = append(d.records, r)
	d.files = append(d.files, fileOf(&r))
}

func (d *doomed) addUnreadable(u catalog.Unreadable) {
	d.broken = append(d.broken, u)
	d.files = append(d.files, u)
}

// drop takes out the files that stay.
func (d *doomed) drop(stays map[catalog.Unreadable]bool) {
	d.files = slices.DeleteFunc(d.files, func(f catalog.Unreadable) bool { return stays[f] })
	d.broken = slices.DeleteFunc(d.broken, func(u catalog.Unreadable) bool { return stays[u] })
	d.records = slices.DeleteFunc(d.records, func(r catalog.Record) bool { return stays[fileOf(&r)] })
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
// catalogue knows of them. It answers how many were gone already. Files that it
// could not remove leave d; the first one is its error.
func (s *Store) unlink(d *doomed) (gone int, err error) {
	if err := s.checkWritable(); err != nil {
		*d = doomed{}
		return 0, err
	}
	if len(d.files) == 0 {
		return 0, nil
	}
	names := make([]string, len(d.files))
	for i, f := range d.files {
		names[i] = snapshotFile(f.SagaID, f.Name)
	}
	stay, missing, err := s.journal.remove(names)
	if err != nil {
		*d = doomed{}
		return 0, s.failed(err)
	}
	stays, dirs := map[catalog.Unreadable]bool{}, map[uuid.UUID]bool{}
	for i, f := range d.files {
		if e := stay[names[i]]; e != nil {
			stays[f] = true
			err = errors.Join(err, writeError(e))
			continue
		}
		dirs[f.SagaID] = true
	}
	gone = len(missing)
	d.drop(stays)
	for _, r := range d.records {
		s.catalog.Remove(r.ID)
		s.cache.forget(r.ID)
	}
	for _, u := range d.broken {
		s.catalog.RemoveUnreadable(u)
	}
	for id := range dirs {
		s.tidy(id)
	}
	return gone, err
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
