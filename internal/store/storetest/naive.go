package storetest

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// A model says what a store must answer, from a few maps that it sorts and
// searches from the start each time.
type model struct {
	snapshots map[uuid.UUID]*saga.Summary
	documents map[uuid.UUID][]byte
	replays   map[uuid.UUID]*saga.Replay
}

func newModel() *model {
	return &model{map[uuid.UUID]*saga.Summary{}, map[uuid.UUID][]byte{}, map[uuid.UUID]*saga.Replay{}}
}

// compare orders the oldest first. It looks at ids as text.
func compare(a, b saga.Position) int {
	switch {
	case a.CreatedAt != b.CreatedAt:
		return sign(a.CreatedAt < b.CreatedAt)
	case a.StepIndex != b.StepIndex:
		return sign(a.StepIndex < b.StepIndex)
	case a.ID != b.ID:
		return sign(a.ID.String() < b.ID.String())
	}
	return 0
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// arrange sorts a list in the direction of the query and drops what does not
// lie behind where it starts.
func arrange[T any](list []T, q *saga.Query, position func(*T) saga.Position) []T {
	direction := -1
	if q.Ascending {
		direction = 1
	}
	slices.SortFunc(list, func(a, b T) int { return direction * compare(position(&a), position(&b)) })
	return slices.DeleteFunc(list, func(v T) bool {
		return q.From != nil && direction*compare(position(&v), *q.From) <= 0
	})
}

// list answers all pages of a query at once.
func (m *model) list(q *saga.Query) []saga.Summary {
	var list []saga.Summary
	for _, s := range m.snapshots {
		if q.Matches(s) && (!q.SagaID.Valid || s.SagaID == q.SagaID.UUID) {
			list = append(list, *s)
		}
	}
	return arrange(list, q, (*saga.Summary).Position)
}

// sagas answers all pages of a query at once.
func (m *model) sagas(q *saga.Query) []saga.Saga {
	var list []saga.Saga
	for _, id := range m.sagaIDs() {
		if s, latest := m.saga(id); q.Matches(latest) {
			list = append(list, s)
		}
	}
	return arrange(list, q, (*saga.Saga).Position)
}

func (m *model) sagaIDs() []uuid.UUID {
	ids := map[uuid.UUID]bool{}
	for _, s := range m.snapshots {
		ids[s.SagaID] = true
	}
	return slices.Collect(maps.Keys(ids))
}

// saga sums up a saga that has snapshots.
func (m *model) saga(id uuid.UUID) (sum saga.Saga, latest *saga.Summary) {
	all := m.list(&saga.Query{SagaID: valid(id)})
	latest = &all[0]
	sum = saga.Saga{
		ID: id, Name: latest.SagaName, SnapshotCount: len(all),
		FirstCreatedAt: all[len(all)-1].CreatedAt, LastCreatedAt: latest.CreatedAt,
		LastSnapshotID: latest.ID, LastStepName: latest.StepName, LastStepIndex: latest.StepIndex,
		LastStatus: latest.Status,
	}
	for _, s := range all {
		sum.SizeBytes += s.SizeBytes
	}
	return sum, latest
}

// chosen answers all that a selection is about, in no order where it does not
// say one.
func (m *model) chosen(sel *store.Selection) []saga.Summary {
	if !sel.SagaID.Valid {
		return slices.DeleteFunc(m.list(&saga.Query{}), func(s saga.Summary) bool {
			return s.RetentionUntil == saga.Never || s.RetentionUntil >= *sel.ExpiredBefore
		})
	}
	all := m.list(&saga.Query{SagaID: sel.SagaID, Ascending: true})
	return all[:max(0, len(all)-sel.KeepNewest)]
}

func (m *model) replaysOf(q *saga.Query) []*saga.Replay {
	var list []*saga.Replay
	for _, r := range m.replays {
		if r.OriginalSagaID == q.SagaID.UUID {
			list = append(list, r)
		}
	}
	return arrange(list, q, func(r **saga.Replay) saga.Position { return (*r).Position() })
}

func (m *model) stats(now saga.Time) *store.Stats {
	s := &store.Stats{
		Sagas: len(m.sagaIDs()), Snapshots: len(m.snapshots), Replays: len(m.replays),
		SnapshotsByStatus: map[string]int{}, ReplaysByStatus: map[saga.ReplayStatus]int{},
		Oldest: saga.Never, Newest: saga.Never,
	}
	for _, sum := range m.snapshots {
		s.SnapshotsByStatus[sum.Status]++
		s.SnapshotBytes += sum.SizeBytes
		s.Oldest = min(s.Oldest, sum.CreatedAt)
		if s.Newest == saga.Never || sum.CreatedAt > s.Newest {
			s.Newest = sum.CreatedAt
		}
		if sum.RetentionUntil != saga.Never && sum.RetentionUntil < now {
			s.Expired++
		}
	}
	for _, doc := range m.documents {
		s.UncompressedBytes += int64(len(doc))
	}
	for _, r := range m.replays {
		s.ReplaysByStatus[r.Status]++
	}
	return s
}
