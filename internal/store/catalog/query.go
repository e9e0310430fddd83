package catalog

import (
	"iter"
	"math"
	"slices"
	"unique"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// bounds answers the open interval of positions that a query is about.
func bounds(q *saga.Query) (low, high saga.Position) {
	low = saga.Position{CreatedAt: math.MinInt64}
	high = saga.Position{CreatedAt: saga.Never}
	if q.After != nil {
		low = saga.Position{CreatedAt: *q.After, StepIndex: math.MaxInt32, ID: uuid.Max}
	}
	if q.Before != nil {
		high = saga.Position{CreatedAt: *q.Before, StepIndex: -1}
	}
	if q.At != nil {
		if at := (saga.Position{CreatedAt: *q.At + 1, StepIndex: -1}); at.Compare(high) < 0 {
			high = at
		}
	}
	if q.From != nil {
		if q.Ascending && q.From.Compare(low) > 0 {
			low = *q.From
		}
		if !q.Ascending && q.From.Compare(high) < 0 {
			high = *q.From
		}
	}
	return low, high
}

// List answers the records of a page and the position of its last one, nil
// when there are no more.
func (c *Catalog) List(q *saga.Query) (page []Record, next *saga.Position) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	low, high := bounds(q)
	entries := c.all(low, high, q.Ascending)
	if q.SagaID.Valid {
		s := c.sagas[q.SagaID.UUID]
		if s == nil {
			return nil, nil
		}
		entries = s.between(low, high, q.Ascending)
	}
	match := matcher(&q.Filter)
	for e := range entries {
		if !match(e) {
			continue
		}
		if len(page) == q.Limit {
			at := page[len(page)-1].Position()
			return page, &at
		}
		page = append(page, e.record())
	}
	return page, nil
}

// Sagas answers a page of sagas in the order of their latest snapshots.
func (c *Catalog) Sagas(q *saga.Query) (page []saga.Saga, next *saga.Position) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	match := matcher(&q.Filter)
	low, high := bounds(q)
	for s := range c.active(low, high, q.Ascending) {
		if !match(s.latest()) {
			continue
		}
		if len(page) == q.Limit {
			at := page[len(page)-1].Position()
			return page, &at
		}
		page = append(page, s.summary())
	}
	return page, nil
}

// Saga sums up one saga; false when it has no snapshots.
func (c *Catalog) Saga(id uuid.UUID) (saga.Saga, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.sagas[id]
	if s == nil || len(s.snapshots) == 0 {
		return saga.Saga{}, false
	}
	return s.summary(), true
}

func (s *sagaEntry) summary() saga.Saga {
	first, last := s.snapshots[0], s.latest()
	return saga.Saga{
		ID: s.id, Name: last.sagaName.Value(), SnapshotCount: len(s.snapshots),
		FirstCreatedAt: first.created, LastCreatedAt: last.created,
		LastSnapshotID: last.id, LastStepName: last.step.Value(), LastStepIndex: last.stepIndex,
		LastStatus: last.status.Value(), SizeBytes: s.size,
	}
}

// matcher tests what bounds does not.
func matcher(f *saga.Filter) func(*entry) bool {
	name, step, status := unique.Make(f.SagaName), unique.Make(f.StepName), unique.Make(f.Status)
	return func(e *entry) bool {
		return (f.SagaName == "" || e.sagaName == name) &&
			(f.StepName == "" || e.step == step) &&
			(f.Status == "" || e.status == status)
	}
}

// all walks the snapshots of all sagas between two positions.
func (c *Catalog) all(low, high saga.Position, ascending bool) iter.Seq[*entry] {
	return walk(c.byTime, pivot, (*entry).position, low, high, ascending)
}

// active walks the sagas whose latest snapshots lie between two positions.
func (c *Catalog) active(low, high saga.Position, ascending bool) iter.Seq[*sagaEntry] {
	return walk(c.byActivity,
		func(p saga.Position) *sagaEntry { return &sagaEntry{snapshots: []*entry{pivot(p)}} },
		func(s *sagaEntry) saga.Position { return s.latest().position() },
		low, high, ascending)
}

func pivot(p saga.Position) *entry {
	return &entry{created: p.CreatedAt, stepIndex: p.StepIndex, id: p.ID}
}

func walk[T any](t *btree.BTreeG[T], pivot func(saga.Position) T, position func(T) saga.Position, low, high saga.Position, ascending bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		if ascending {
			t.Ascend(pivot(low), func(item T) bool {
				p := position(item)
				return p.Compare(low) <= 0 || p.Compare(high) < 0 && yield(item)
			})
			return
		}
		t.Descend(pivot(high), func(item T) bool {
			p := position(item)
			return p.Compare(high) >= 0 || p.Compare(low) > 0 && yield(item)
		})
	}
}

// between walks the saga's snapshots between two positions.
func (s *sagaEntry) between(low, high saga.Position, ascending bool) iter.Seq[*entry] {
	from, found := slices.BinarySearchFunc(s.snapshots, low, comparePosition)
	if found {
		from++
	}
	to, _ := slices.BinarySearchFunc(s.snapshots, high, comparePosition)
	part := s.snapshots[from:max(from, to)]
	return func(yield func(*entry) bool) {
		if ascending {
			slices.Values(part)(yield)
			return
		}
		for _, e := range slices.Backward(part) {
			if !yield(e) {
				return
			}
		}
	}
}

// UnreadableOf answers the ids that a list of the saga, or of all, cannot show,
// at most limit.
func (c *Catalog) UnreadableOf(sagaID uuid.NullUUID, limit int) []uuid.UUID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var ids []uuid.UUID
	if sagaID.Valid {
		if s := c.sagas[sagaID.UUID]; s != nil {
			for _, u := range s.broken {
				ids = append(ids, u.ID)
			}
		}
	} else {
		for id := range c.unreadable {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	return ids[:min(limit, len(ids))]
}

// Choose answers what a selection is to delete next, at most sel.Limit in all:
// records, earliest first, and then unreadable documents.
func (c *Catalog) Choose(sel *store.Selection) (chosen []Record, broken []Unreadable) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	entries, _, broken := c.selected(sel)
	for e := range entries {
		if sel.Limit > 0 && len(chosen) == sel.Limit {
			break
		}
		chosen = append(chosen, e.record())
	}
	if room := sel.Limit - len(chosen); sel.Limit > 0 && len(broken) > room {
		broken = broken[:room]
	}
	return chosen, broken
}

// Count answers how many documents a selection is about, whatever its limit.
func (c *Catalog) Count(sel *store.Selection) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, n, broken := c.selected(sel)
	return n + len(broken)
}

// Describe says what a selection is about, whatever its limit.
func (c *Catalog) Describe(sel *store.Selection) *store.Deletion {
	c.mu.RLock()
	defer c.mu.RUnlock()
	entries, n, broken := c.selected(sel)
	d := &store.Deletion{Count: n + len(broken), Unreadable: len(broken), Remaining: n + len(broken)}
	for e := range entries {
		d.Bytes += e.size
		if len(d.Sample) < sel.Sample {
			d.Sample = append(d.Sample, e.record().Summary)
		}
	}
	return d
}

func (c *Catalog) selected(sel *store.Selection) (entries iter.Seq[*entry], n int, broken []Unreadable) {
	if sel.ExpiredBefore != nil {
		before := *sel.ExpiredBefore
		return func(yield func(*entry) bool) {
			c.byExpiry.Scan(func(e *entry) bool { return e.retention < before && yield(e) })
		}, c.expired(before), nil
	}
	var list []*entry
	if s := c.sagas[sel.SagaID.UUID]; s != nil {
		list = s.snapshots
		if sel.KeepNewest > 0 {
			list = list[:max(0, len(list)-sel.KeepNewest)]
		} else {
			broken = slices.Clone(s.broken)
		}
	}
	return slices.Values(list), len(list), broken
}

// Fill counts what is in the catalogue.
func (c *Catalog) Fill(s *store.Stats, now saga.Time) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s.Snapshots, s.Sagas = len(c.byID), c.byActivity.Len()
	s.SnapshotBytes, s.UncompressedBytes = c.size, c.raw
	s.UnreadableSnapshots = c.numBroken
	s.SnapshotsByStatus = make(map[string]int, len(c.byStatus))
	for status, n := range c.byStatus {
		s.SnapshotsByStatus[status.Value()] = n
	}
	s.Oldest, s.Newest = saga.Never, saga.Never
	if e, ok := c.byTime.Min(); ok {
		s.Oldest = e.created
	}
	if e, ok := c.byTime.Max(); ok {
		s.Newest = e.created
	}
	s.Expired = c.expired(now)
}

// expired counts the snapshots whose retention ended before now: as they stand
// in order, the first one that has not is searched for.
func (c *Catalog) expired(now saga.Time) int {
	low, high := 0, c.byExpiry.Len()
	for low < high {
		mid := (low + high) / 2
		if e, _ := c.byExpiry.GetAt(mid); e.retention < now {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
