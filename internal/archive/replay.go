package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// A PreparedReplay is all a runtime needs to run a saga again from a checkpoint.
type PreparedReplay struct {
	Replay *saga.Replay
	Resume *saga.Snapshot // of the new saga: the checkpoint with the override merged into its context
}

// PrepareReplay records a replay and answers where it starts. A request with a
// replay id may be repeated: the same request answers the stored record and
// created false, another one is saga.ErrReplayConflict. A step without a snapshot
// leaves a failed record and is a *saga.CheckpointNotFoundError; so is an unknown
// snapshot id, without a record.
func (a *Archive) PrepareReplay(ctx context.Context, sagaID uuid.UUID, q *saga.ReplayRequest) (p *PreparedReplay, created bool, err error) {
	if q.ReplayID.Valid {
		stored, err := a.cfg.Store.GetReplay(ctx, q.ReplayID.UUID)
		if err == nil {
			p, err = a.repeat(ctx, sagaID, q, stored)
			return p, false, err
		}
		if !errors.Is(err, saga.ErrReplayNotFound) {
			return nil, false, err
		}
	}
	now := a.now()
	r := &saga.Replay{
		ID: orNew(q.ReplayID, a.cfg.NewID), OriginalSagaID: sagaID, NewSagaID: orNew(q.NewSagaID, a.cfg.NewID),
		CheckpointStep: q.CheckpointStep, Status: saga.ReplayPending, InitiatedBy: q.InitiatedBy,
		ContextOverride: q.ContextOverride, CreatedAt: now, CompletedAt: saga.Never, DryRun: q.DryRun,
	}
	checkpoint, notFound := a.checkpoint(ctx, sagaID, q)
	switch {
	case notFound == nil:
		r.CheckpointStep = checkpoint.StepName
		r.SnapshotID = uuid.NullUUID{UUID: checkpoint.ID, Valid: true}
		if q.DryRun {
			r.Status, r.CompletedAt = saga.ReplaySuccess, now
		}
	case errors.Is(notFound, saga.ErrSnapshotNotFound) && q.CheckpointStep != "":
		message := fmt.Sprintf("no snapshot of saga %s at step %q", sagaID, q.CheckpointStep)
		r.Status, r.CompletedAt, r.ErrorMessage = saga.ReplayFailed, now, &message
	case errors.Is(notFound, saga.ErrSnapshotNotFound):
		return nil, false, &saga.CheckpointNotFoundError{SagaID: sagaID}
	default:
		return nil, false, notFound
	}
	if err := a.cfg.Store.PutReplay(ctx, r, nil); err != nil {
		if errors.Is(err, saga.ErrExists) && q.ReplayID.Valid {
			return a.PrepareReplay(ctx, sagaID, q) // somebody was faster with this id
		}
		return nil, false, err
	}
	a.cfg.Observer.Replay(r.Status)
	if notFound != nil {
		return nil, false, a.noCheckpoint(ctx, r)
	}
	p, err = resume(r, checkpoint)
	return p, true, err
}

func orNew(id uuid.NullUUID, newID func() uuid.UUID) uuid.UUID {
	if id.Valid {
		return id.UUID
	}
	return newID()
}

// repeat answers a request whose replay id is taken.
func (a *Archive) repeat(ctx context.Context, sagaID uuid.UUID, q *saga.ReplayRequest, r *saga.Replay) (*PreparedReplay, error) {
	same := r.OriginalSagaID == sagaID &&
		(q.CheckpointStep == "" || q.CheckpointStep == r.CheckpointStep) &&
		(!q.SnapshotID.Valid || q.SnapshotID == r.SnapshotID) &&
		(!q.NewSagaID.Valid || q.NewSagaID.UUID == r.NewSagaID) &&
		q.InitiatedBy == r.InitiatedBy && q.DryRun == r.DryRun &&
		sameOverride(q.ContextOverride, r.ContextOverride)
	if !same {
		return nil, fmt.Errorf("%w: replay %s was prepared by another request", saga.ErrReplayConflict, r.ID)
	}
	if !r.SnapshotID.Valid {
		return nil, a.noCheckpoint(ctx, r)
	}
	_, checkpoint, err := a.read(ctx, r.SnapshotID.UUID)
	if errors.Is(err, saga.ErrSnapshotNotFound) {
		return nil, fmt.Errorf("%w: replay %s is prepared, but the snapshot it starts from has been deleted since", saga.ErrReplayConflict, r.ID)
	}
	if err != nil {
		return nil, err
	}
	return resume(r, checkpoint)
}

// checkpoint finds the snapshot a replay starts from.
func (a *Archive) checkpoint(ctx context.Context, sagaID uuid.UUID, q *saga.ReplayRequest) (*saga.Snapshot, error) {
	if q.SnapshotID.Valid {
		_, s, err := a.read(ctx, q.SnapshotID.UUID)
		if err == nil && s.SagaID != sagaID {
			return nil, saga.ErrSnapshotNotFound
		}
		return s, err
	}
	of := &saga.Query{
		SagaID: uuid.NullUUID{UUID: sagaID, Valid: true},
		Filter: saga.Filter{StepName: q.CheckpointStep},
	}
	for {
		item, err := a.Latest(ctx, of)
		if err != nil {
			return nil, err
		}
		s, err := readItem(ctx, item)
		if !errors.Is(err, saga.ErrSnapshotNotFound) {
			return s, err
		}
		at := item.Position() // vanished since it was found; the next one is it
		of.From = &at
	}
}

func resume(r *saga.Replay, checkpoint *saga.Snapshot) (*PreparedReplay, error) {
	s := *checkpoint
	s.SagaID = r.NewSagaID
	if r.ContextOverride != nil {
		var err error
		if s.Context, err = document.Merge(s.Context, r.ContextOverride); err != nil {
			return nil, err
		}
	}
	return &PreparedReplay{Replay: r, Resume: &s}, nil
}

// noCheckpoint says which steps the saga could be replayed from.
func (a *Archive) noCheckpoint(ctx context.Context, r *saga.Replay) error {
	notFound := &saga.CheckpointNotFoundError{SagaID: r.OriginalSagaID, Step: r.CheckpointStep, ReplayID: r.ID, AvailableSteps: []string{}}
	seen := map[string]bool{}
	q := &saga.Query{SagaID: uuid.NullUUID{UUID: r.OriginalSagaID, Valid: true}, Limit: 1000}
	for {
		page, err := a.cfg.Store.List(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if !seen[item.StepName] {
				seen[item.StepName] = true
				notFound.AvailableSteps = append(notFound.AvailableSteps, item.StepName)
			}
		}
		if q.From = page.Next; q.From == nil {
			return notFound
		}
	}
}

// SaveReplay stores a whole record under d.ID, or brings the stored one up to
// date with it: its ids and its step never change, its status only goes forward,
// and a final record not at all; all else is saga.ErrReplayConflict. The same
// content again changes nothing.
func (a *Archive) SaveReplay(ctx context.Context, d *saga.ReplayDraft) (r *saga.Replay, created bool, err error) {
	for {
		stored, err := a.cfg.Store.GetReplay(ctx, d.ID)
		if errors.Is(err, saga.ErrReplayNotFound) {
			r := d.Replay
			if !d.HasCreatedAt {
				r.CreatedAt = a.now()
			}
			a.complete(&r)
			err = a.cfg.Store.PutReplay(ctx, &r, nil)
			if errors.Is(err, saga.ErrExists) {
				continue
			}
			if err == nil {
				a.cfg.Observer.Replay(r.Status)
			}
			return &r, err == nil, err
		}
		if err != nil {
			return nil, false, err
		}
		r, err := update(stored, d)
		if err != nil || r == nil {
			return stored, false, err
		}
		if r, err = a.replace(ctx, stored, r); !errors.Is(err, saga.ErrReplayChanged) {
			return r, false, err
		}
	}
}

// ReportReplay moves a replay on. The same status again changes nothing; a step
// back or out of a final status is saga.ErrReplayConflict.
func (a *Archive) ReportReplay(ctx context.Context, id uuid.UUID, p *saga.ReplayReport) (*saga.Replay, error) {
	for {
		stored, err := a.cfg.Store.GetReplay(ctx, id)
		if err != nil {
			return nil, err
		}
		if p.Status == stored.Status && (p.ErrorMessage == nil || equal(p.ErrorMessage, stored.ErrorMessage)) {
			return stored, nil
		}
		if !stored.Status.CanBecome(p.Status) {
			return nil, conflict(stored, p.Status)
		}
		r := *stored
		r.Status, r.ErrorMessage = p.Status, p.ErrorMessage
		if moved, err := a.replace(ctx, stored, &r); !errors.Is(err, saga.ErrReplayChanged) {
			return moved, err
		}
	}
}

// replace stores r in place of stored, unless that has changed.
func (a *Archive) replace(ctx context.Context, stored, r *saga.Replay) (*saga.Replay, error) {
	a.complete(r)
	if err := a.cfg.Store.PutReplay(ctx, r, stored); err != nil {
		return nil, err
	}
	if r.Status != stored.Status {
		a.cfg.Observer.Replay(r.Status)
	}
	return r, nil
}

func (a *Archive) complete(r *saga.Replay) {
	if r.Status.Final() && r.CompletedAt == saga.Never {
		r.CompletedAt = a.now()
	}
}

// update answers the stored record as the draft wants it, nil when that is how
// it stands already.
func update(stored *saga.Replay, d *saga.ReplayDraft) (*saga.Replay, error) {
	for _, fixed := range []struct {
		name string
		same bool
	}{
		{"original_saga_id", d.OriginalSagaID == stored.OriginalSagaID},
		{"new_saga_id", d.NewSagaID == stored.NewSagaID},
		{"checkpoint_step", d.CheckpointStep == stored.CheckpointStep},
		{"snapshot_id", !d.SnapshotID.Valid || !stored.SnapshotID.Valid || d.SnapshotID == stored.SnapshotID},
	} {
		if !fixed.same {
			return nil, fmt.Errorf("%w: %s of a stored replay never changes", saga.ErrReplayConflict, fixed.name)
		}
	}
	r := *stored
	r.Status = d.Status
	if d.HasInitiatedBy {
		r.InitiatedBy = d.InitiatedBy
	}
	if d.ContextOverride != nil {
		r.ContextOverride = d.ContextOverride
	}
	if d.HasErrorMessage {
		r.ErrorMessage = d.ErrorMessage
	}
	if d.HasCreatedAt {
		r.CreatedAt = d.CreatedAt
	}
	if d.HasCompletedAt {
		r.CompletedAt = d.CompletedAt
	}
	if d.SnapshotID.Valid {
		r.SnapshotID = d.SnapshotID
	}
	if d.HasDryRun {
		r.DryRun = d.DryRun
	}
	if sameReplay(&r, stored) {
		return nil, nil
	}
	if stored.Status.Final() || r.Status != stored.Status && !stored.Status.CanBecome(r.Status) {
		return nil, conflict(stored, r.Status)
	}
	return &r, nil
}

func conflict(stored *saga.Replay, next saga.ReplayStatus) error {
	if stored.Status.Final() {
		return fmt.Errorf("%w: it has ended as %s", saga.ErrReplayConflict, stored.Status)
	}
	return fmt.Errorf("%w: from %s it can go forward only, not to %s", saga.ErrReplayConflict, stored.Status, next)
}

func sameReplay(a, b *saga.Replay) bool {
	return a.Status == b.Status && a.InitiatedBy == b.InitiatedBy && sameOverride(a.ContextOverride, b.ContextOverride) &&
		equal(a.ErrorMessage, b.ErrorMessage) && a.CreatedAt == b.CreatedAt && a.CompletedAt == b.CompletedAt &&
		a.SnapshotID == b.SnapshotID && a.DryRun == b.DryRun
}

func sameOverride(a, b []byte) bool {
	return slices.Equal(a, b) || a != nil && b != nil && document.Equal(a, b)
}

func equal(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Replay finds a replay by its id.
func (a *Archive) Replay(ctx context.Context, id uuid.UUID) (*saga.Replay, error) {
	return a.cfg.Store.GetReplay(ctx, id)
}

// Replays answers a page of the replays of q.SagaID.
func (a *Archive) Replays(ctx context.Context, q *saga.Query) (*ReplayPage, error) {
	return a.cfg.Store.ListReplays(ctx, q)
}
