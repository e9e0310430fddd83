package catalog

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// A ReplayRecord is what the catalogue knows of a replay.
type ReplayRecord struct {
	ID, OriginalSagaID uuid.UUID
	CreatedAt          saga.Time
	Status             saga.ReplayStatus
	Size               int64 // as stored, in bytes
	Unreadable         bool  // known by its name alone
}

// Replays is the part of the catalogue about replays. It is safe for concurrent
// use; the zero value is empty.
type Replays struct {
	mu       sync.RWMutex
	byID     map[uuid.UUID]ReplayRecord
	bySaga   map[uuid.UUID][]saga.Position // oldest first
	byStatus map[saga.ReplayStatus]int
	size     int64
	broken   int
}

// Put adds a record, or replaces the one of its id.
func (c *Replays) Put(r ReplayRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = map[uuid.UUID]ReplayRecord{}
		c.bySaga = map[uuid.UUID][]saga.Position{}
		c.byStatus = map[saga.ReplayStatus]int{}
	}
	c.remove(r.ID)
	c.byID[r.ID] = r
	c.size += r.Size
	if r.Unreadable {
		c.broken++
		return
	}
	c.byStatus[r.Status]++
	list := c.bySaga[r.OriginalSagaID]
	i, _ := slices.BinarySearchFunc(list, r.position(), saga.Position.Compare)
	c.bySaga[r.OriginalSagaID] = slices.Insert(list, i, r.position())
}

func (r *ReplayRecord) position() saga.Position {
	return saga.Position{CreatedAt: r.CreatedAt, ID: r.ID}
}

// Remove forgets a record.
func (c *Replays) Remove(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
}

func (c *Replays) remove(id uuid.UUID) {
	r, ok := c.byID[id]
	if !ok {
		return
	}
	delete(c.byID, id)
	c.size -= r.Size
	if r.Unreadable {
		c.broken--
		return
	}
	c.byStatus[r.Status]--
	list := c.bySaga[r.OriginalSagaID]
	i, _ := slices.BinarySearchFunc(list, r.position(), saga.Position.Compare)
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(c.bySaga, r.OriginalSagaID)
	} else {
		c.bySaga[r.OriginalSagaID] = list
	}
}

// Get finds a record by its id.
func (c *Replays) Get(id uuid.UUID) (ReplayRecord, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.byID[id]
	return r, ok
}

// List answers the ids of a page of a saga's replays and the position of its
// last one, nil when there are no more.
func (c *Replays) List(q *saga.Query) (page []uuid.UUID, next *saga.Position) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := c.bySaga[q.SagaID.UUID]
	low, high := bounds(&saga.Query{From: q.From, Ascending: q.Ascending})
	from, found := slices.BinarySearchFunc(list, low, saga.Position.Compare)
	if found {
		from++
	}
	to, _ := slices.BinarySearchFunc(list, high, saga.Position.Compare)
	list = list[from:max(from, to)]
	more := len(list) > q.Limit
	if q.Ascending {
		list = slices.Clone(list[:min(q.Limit, len(list))])
	} else {
		list = slices.Clone(list[max(0, len(list)-q.Limit):])
		slices.Reverse(list)
	}
	for _, p := range list {
		page = append(page, p.ID)
	}
	if more {
		next = &list[len(list)-1]
	}
	return page, next
}

// Counts answers how many replays there are, also by status, how many bytes
// they take, and how many cannot be read.
func (c *Replays) Counts() (total int, byStatus map[saga.ReplayStatus]int, size int64, unreadable int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	byStatus = make(map[saga.ReplayStatus]int, len(saga.ReplayStatuses))
	for _, status := range saga.ReplayStatuses {
		byStatus[status] = c.byStatus[status]
	}
	return len(c.byID) - c.broken, byStatus, c.size, c.broken
}
