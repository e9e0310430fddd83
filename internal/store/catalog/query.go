package catalog

import (
	"iter"
	"math"
	"slices"

	"github.com/google/uuid"

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

// scanAtOnce is about how many snapshots a search looks at before it lets writers in.
const scanAtOnce = 1 << 15

// List answers the records of a page and the position of its last one, nil
// when there are no more.
func (c *Catalog) List(q *saga.Query) (page []Record, next *saga.Position) {
	low, high := bounds(q)
	for more := true; more && next == nil; {
		page, next, more = c.extend(page, q, &low, &high)
	}
	return page, next
}

// extend looks for records between two positions until the page is full, or for a
// while; then it brings the position to go on from nearer, as a cursor would.
func (c *Catalog) extend(page []Record, q *saga.Query, low, high *saga.Position) (_ []Record, next *saga.Position, more bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	of := &c.byTime
	if q.SagaID.Valid {
		s := c.find(q.SagaID.UUID)
		if s == nil {
			return page, nil, false
		}
		of = &s.snapshots
	}
	wanted, any := c.kinds.wanted(&q.Filter)
	if !any {
		return page, nil, false
	}
	if page == nil {
		page = make([]Record, 0, min(q.Limit, of.len, 100))
	}
	last, more := of.scan(of.seek(c.upTo(*low)), of.seek(c.before(*high)), q.Ascending, &wanted, scanAtOnce, func(it item) bool {
		if len(page) == q.Limit {
			at := page[len(page)-1].Position()
			next = &at
			return false
		}
		page = append(page, c.record(c.entries.at(it.number)))
		return true
	})
	if more {
		if at := c.entries.at(last.number).position(); q.Ascending {
			*low = at
		} else {
			*high = at
		}
	}
	return page, next, more
}

// upTo tells which snapshots lie before a position or there.
func (c *Catalog) upTo(p saga.Position) func(uint32) bool {
	return func(n uint32) bool { return c.entries.at(n).position().Compare(p) <= 0 }
}

// Sagas answers a page of sagas in the order of their latest snapshots.
func (c *Catalog) Sagas(q *saga.Query) (page []saga.Saga, next *saga.Position) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	wanted, any := c.kinds.wanted(&q.Filter)
	if !any {
		return nil, nil
	}
	low, high := bounds(q)
	upTo := c.upTo(low)
	from := c.byActivity.seek(func(n uint32) bool { return upTo(c.sagas.at(n).snapshots.last().number) })
	// In one go: a saga that moves meanwhile would be passed over.
	c.byActivity.scan(from, c.byActivity.seek(c.activeBefore(high)), q.Ascending, &wanted, math.MaxInt, func(it item) bool {
		if len(page) == q.Limit {
			at := page[len(page)-1].Position()
			next = &at
			return false
		}
		page = append(page, c.sum(c.sagas.at(it.number)))
		return true
	})
	return page, next
}

// Saga sums up one saga; false when it has no snapshots.
func (c *Catalog) Saga(id uuid.UUID) (saga.Saga, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.find(id)
	if s == nil {
		return saga.Saga{}, false
	}
	return c.sum(s), true
}

func (c *Catalog) sum(s *sagaEntry) saga.Saga {
	first, last := c.entries.at(s.snapshots.first().number), c.latest(s)
	k := &c.kinds.list[last.kind]
	return saga.Saga{
		ID: s.id, Name: c.kinds.text(k.name), SnapshotCount: s.snapshots.len,
		FirstCreatedAt: first.created, LastCreatedAt: last.created,
		LastSnapshotID: last.id, LastStepName: c.kinds.text(k.step), LastStepIndex: last.stepIndex,
		LastStatus: c.kinds.text(k.status), SizeBytes: s.size,
	}
}

// Choose answers what a selection is to delete next, at most sel.Limit in all:
// records, earliest first, and then unreadable documents.
func (c *Catalog) Choose(sel *store.Selection) (chosen []Record, broken []Unreadable) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for e := range c.selected(sel) {
		if sel.Limit > 0 && len(chosen) == sel.Limit {
			break
		}
		chosen = append(chosen, c.record(e))
	}
	broken = slices.Clone(c.selectedUnreadable(sel))
	if room := sel.Limit - len(chosen); sel.Limit > 0 && len(broken) > room {
		broken = broken[:room]
	}
	return chosen, broken
}

// Count answers how many documents a selection is about, whatever its limit.
func (c *Catalog) Count(sel *store.Selection) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, n := c.selection(sel)
	return n + len(c.selectedUnreadable(sel))
}

// Describe says what a selection is about, whatever its limit.
func (c *Catalog) Describe(sel *store.Selection) *store.Deletion {
	c.mu.RLock()
	defer c.mu.RUnlock()
	d := &store.Deletion{Unreadable: len(c.selectedUnreadable(sel))}
	for e := range c.selected(sel) {
		d.Count++
		d.Bytes += e.size
		if len(d.Sample) < sel.Sample {
			d.Sample = append(d.Sample, c.record(e).Summary)
		}
	}
	d.Count += d.Unreadable
	d.Remaining = d.Count
	return d
}

// selection answers the order whose first n items a selection is about.
func (c *Catalog) selection(sel *store.Selection) (of *order, n int) {
	if sel.ExpiredBefore != nil {
		return &c.byExpiry, c.expired(*sel.ExpiredBefore)
	}
	s := c.find(sel.SagaID.UUID)
	if s == nil {
		return &order{}, 0
	}
	return &s.snapshots, max(0, s.snapshots.len-sel.KeepNewest)
}

// selected walks the snapshots that a selection is about.
func (c *Catalog) selected(sel *store.Selection) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		of, n := c.selection(sel)
		for _, b := range of.blocks {
			for _, it := range b.items {
				if n--; n < 0 || !yield(c.entries.at(it.number)) {
					return
				}
			}
		}
	}
}

// selectedUnreadable answers the unreadable documents that a selection is about.
func (c *Catalog) selectedUnreadable(sel *store.Selection) []Unreadable {
	if sel.ExpiredBefore != nil || sel.KeepNewest > 0 {
		return nil
	}
	return c.unreadable.bySaga[sel.SagaID.UUID]
}

// Fill counts what is in the catalogue.
func (c *Catalog) Fill(s *store.Stats, now saga.Time) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s.Snapshots, s.Sagas = len(c.byID), len(c.bySagaID)
	s.SnapshotBytes, s.UncompressedBytes = c.size, c.raw
	s.UnreadableSnapshots = c.unreadable.len
	s.SnapshotsByStatus = make(map[string]int, len(c.byStatus))
	for status, n := range c.byStatus {
		s.SnapshotsByStatus[c.kinds.text(status)] = n
	}
	s.Oldest, s.Newest = saga.Never, saga.Never
	if c.byTime.len > 0 {
		s.Oldest = c.entries.at(c.byTime.first().number).created
		s.Newest = c.entries.at(c.byTime.last().number).created
	}
	s.Expired = c.expired(now)
}

// expired counts the snapshots whose retention ended before now.
func (c *Catalog) expired(now saga.Time) int {
	return c.byExpiry.rank(c.byExpiry.seek(func(n uint32) bool { return c.entries.at(n).retention < now }))
}
