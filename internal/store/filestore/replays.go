package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

// PutReplay stores a replay record, or replaces it if it is the expected one.
func (s *Store) PutReplay(ctx context.Context, r, expect *saga.Replay) error {
	unlock, err := s.ids.lock(ctx, r.ID)
	if err != nil {
		return err
	}
	defer unlock()
	_, known := s.replays.Get(r.ID)
	switch {
	case expect == nil && known:
		return saga.ErrExists
	case expect != nil && !known:
		return saga.ErrReplayChanged
	case expect != nil:
		_, stored, err := s.examineReplay(r.ID)
		if isIOError(err) {
			return err
		}
		if err != nil || !stored.Equal(expect) {
			return saga.ErrReplayChanged
		}
	}
	if err := s.checkRoom(); err != nil {
		return err
	}
	text := append(r.AppendJSON(nil, s.cfg.Indent), '\n')
	if expect == nil {
		_, err = s.journal.create(replayFile(r.ID), text)
		if errors.Is(err, fs.ErrExist) && !isUnknown(err) {
			_, _ = s.refreshReplay(r.ID) // somebody put it there behind us
			return saga.ErrExists
		}
	} else {
		err = s.journal.replace(replayFile(r.ID), text)
	}
	if err != nil {
		return s.failed(err)
	}
	s.replays.Put(replayRecord(r, int64(len(text))))
	return nil
}

func replayRecord(r *saga.Replay, size int64) catalog.ReplayRecord {
	return catalog.ReplayRecord{ID: r.ID, OriginalSagaID: r.OriginalSagaID, CreatedAt: r.CreatedAt, Status: r.Status, Size: size}
}

// examineReplay reads a record's file. With an error other than fs.ErrNotExist
// the record it answers is marked as unreadable.
func (s *Store) examineReplay(id uuid.UUID) (catalog.ReplayRecord, *saga.Replay, error) {
	text, info, _, err := read(s.disk.replay(id))
	var r *saga.Replay
	if err == nil {
		r, err = readReplay(id, text)
	}
	if err != nil {
		record := catalog.ReplayRecord{ID: id, Unreadable: true}
		if info != nil {
			record.Size = info.Size()
		}
		return record, nil, err
	}
	return replayRecord(r, info.Size()), r, nil
}

// readReplay reads the record that bears the id.
func readReplay(id uuid.UUID, text []byte) (*saga.Replay, error) {
	r, err := saga.ReadReplay(text)
	if err == nil && r.ID != id {
		err = fmt.Errorf("it says replay_id %s", r.ID)
	}
	return r, err
}

// GetReplay finds a replay by its id.
func (s *Store) GetReplay(ctx context.Context, id uuid.UUID) (*saga.Replay, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	known, ok := s.replays.Get(id)
	if !ok {
		return nil, saga.ErrReplayNotFound
	}
	record, r, err := s.examineReplay(id)
	if !isIOError(err) && record != known {
		// Changed behind us, or since it was looked up.
		unlock, lockErr := s.ids.lock(ctx, id)
		if lockErr != nil {
			return nil, lockErr
		}
		defer unlock()
		r, err = s.refreshReplay(id)
	}
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, saga.ErrReplayNotFound
	case isIOError(err):
		return nil, err
	default:
		return nil, &saga.CorruptError{ID: id, Err: err}
	}
}

// refreshReplay reads a record and brings the catalogue up to date with it. The caller
// holds the id.
func (s *Store) refreshReplay(id uuid.UUID) (*saga.Replay, error) {
	record, r, err := s.examineReplay(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.replays.Remove(id)
	case !isIOError(err):
		s.replays.Put(record)
	}
	return r, err
}

// ListReplays answers a page of a saga's replays.
func (s *Store) ListReplays(ctx context.Context, q *saga.Query) (*store.ReplayPage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ids, next := s.replays.List(q)
	page := &store.ReplayPage{Next: next}
	for _, id := range ids {
		r, err := s.GetReplay(ctx, id)
		switch {
		case err == nil:
			page.Replays = append(page.Replays, r)
		case errors.Is(err, saga.ErrCorrupt):
			page.Unreadable = append(page.Unreadable, id)
		case !errors.Is(err, saga.ErrReplayNotFound):
			return nil, err
		}
	}
	return page, nil
}

// DeleteReplays removes the replays of a saga.
func (s *Store) DeleteReplays(ctx context.Context, sagaID uuid.UUID) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ids, _ := s.replays.List(&saga.Query{SagaID: uuid.NullUUID{UUID: sagaID, Valid: true}, Limit: math.MaxInt})
	if len(ids) == 0 {
		return 0, nil
	}
	unlock, err := s.ids.lockAll(ctx, ids)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := s.checkWritable(); err != nil {
		return 0, err
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = replayFile(id)
	}
	stay, gone, err := s.journal.remove(names)
	if err != nil {
		return 0, s.failed(err)
	}
	for i, id := range ids {
		if stay[names[i]] == nil {
			s.replays.Remove(id)
		}
	}
	for _, err := range stay {
		return len(ids) - len(stay) - len(gone), writeError(err)
	}
	return len(ids) - len(gone), nil
}
