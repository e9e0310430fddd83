package saga

import (
	"bytes"
	"cmp"

	"github.com/google/uuid"
)

// A Position is the place of a record in its list: snapshots are ordered by
// time, then step, then id; sagas by their latest snapshot; replays by time,
// then id. Lists run downwards, from the newest, unless they are asked to ascend.
type Position struct {
	CreatedAt Time
	StepIndex int32 // 0 for replays
	ID        uuid.UUID
}

// Compare is negative when p lies before, that is, is older than, q.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.CreatedAt, q.CreatedAt); c != 0 {
		return c
	}
	if c := cmp.Compare(p.StepIndex, q.StepIndex); c != 0 {
		return c
	}
	return bytes.Compare(p.ID[:], q.ID[:])
}

// A Filter chooses snapshots by their fields; the zero value chooses all.
type Filter struct {
	SagaName, StepName, Status string // "" = any
	After, Before              *Time  // created after, created before; both exclude the time itself
	At                         *Time  // created then or earlier
}

// Matches reports whether a snapshot is chosen.
func (f *Filter) Matches(s *Summary) bool {
	return (f.SagaName == "" || f.SagaName == s.SagaName) &&
		(f.StepName == "" || f.StepName == s.StepName) &&
		(f.Status == "" || f.Status == s.Status) &&
		(f.After == nil || s.CreatedAt > *f.After) &&
		(f.Before == nil || s.CreatedAt < *f.Before) &&
		(f.At == nil || s.CreatedAt <= *f.At)
}

// A Query asks for one page of a list.
type Query struct {
	SagaID    uuid.NullUUID // of this saga only; ignored by lists of sagas
	Filter                  // for a list of sagas: of their latest snapshot; ignored by lists of replays
	Ascending bool          // oldest first
	Limit     int           // at least 1
	From      *Position     // start behind this position, in the direction of the list; nil = at its beginning
}

// A Saga sums up the snapshots of one saga.
type Saga struct {
	ID             uuid.UUID `json:"saga_id"`
	Name           string    `json:"saga_name"` // of the latest snapshot, like all Last fields
	SnapshotCount  int       `json:"snapshot_count"`
	FirstCreatedAt Time      `json:"first_created_at"`
	LastCreatedAt  Time      `json:"last_created_at"`
	LastSnapshotID uuid.UUID `json:"last_snapshot_id"`
	LastStepName   string    `json:"last_step_name"`
	LastStepIndex  int32     `json:"last_step_index"`
	LastStatus     string    `json:"last_status"`
	SizeBytes      int64     `json:"size_bytes"`
}

// Position is that of the saga's latest snapshot.
func (s *Saga) Position() Position {
	return Position{CreatedAt: s.LastCreatedAt, StepIndex: s.LastStepIndex, ID: s.LastSnapshotID}
}
