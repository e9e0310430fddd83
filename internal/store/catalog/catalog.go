// Package catalog keeps in memory what finds a snapshot: id, saga, time, step,
// status, retention, size. It answers every lookup, list, filter and count of the
// stores that hold their documents elsewhere. It knows no files; a store leaves
// with each record the few facts it needs to find its document again.
//
// A snapshot takes about 160 bytes of the heap, all told, at ten to a saga. Snapshots and sagas have
// numbers, and almost nothing is a pointer, so that the garbage collector has little to
// look at. Saves and deletes cost O(log n), a page O(log n) and what it passes over,
// which is a nanosecond for each snapshot and far less where many in a row are of no
// wanted kind. Memory of what is deleted is used again, but not given back.
package catalog

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// A Record is what the catalogue knows of a snapshot.
type Record struct {
	saga.Summary
	Location
}

// Location is what a store wants to remember of a document.
type Location struct {
	RawSize  int64 // of the document before compression, in bytes
	Modified int64 // of the file, in nanoseconds since the Unix epoch
	Gzip     bool  // the document is compressed
	GzipName bool  // the file's name says that it is
	Foreign  bool  // values are spelled otherwise than we answer them
}

// A Catalog is safe for concurrent use. The zero value is not usable; see New.
type Catalog struct {
	mu         sync.RWMutex
	loading    bool // byTime, byExpiry and byActivity wait for Loaded
	byID       map[uuid.UUID]uint32
	bySagaID   map[uuid.UUID]uint32
	entries    table[entry]
	sagas      table[sagaEntry]
	kinds      kinds
	byTime     order // all snapshots, oldest first
	byExpiry   order // those with a retention, earliest first
	byActivity order // sagas, by their latest snapshot
	byStatus   map[uint32]int
	size, raw  int64
	unreadable unreadable
}

type entry struct {
	id             uuid.UUID
	created        saga.Time
	retention      saga.Time
	size, raw      int64
	modified       int64
	saga, kind     uint32
	stepIndex      int32
	gzip, gzipName bool
	foreign        bool
}

// A sagaEntry is that of a saga with snapshots.
type sagaEntry struct {
	id        uuid.UUID
	size      int64
	snapshots order // oldest first
}

// New returns an empty catalogue.
func New() *Catalog {
	return &Catalog{
		byID:     map[uuid.UUID]uint32{},
		bySagaID: map[uuid.UUID]uint32{},
		kinds:    newKinds(),
		byStatus: map[uint32]int{},
	}
}

func (e *entry) position() saga.Position {
	return saga.Position{CreatedAt: e.created, StepIndex: e.stepIndex, ID: e.id}
}

// before tells which snapshots lie before a position.
func (c *Catalog) before(p saga.Position) func(uint32) bool {
	return func(n uint32) bool {
		e := c.entries.at(n)
		if e.created != p.CreatedAt {
			return e.created < p.CreatedAt
		}
		return e.position().Compare(p) < 0
	}
}

// activeBefore tells which sagas' latest snapshots lie before a position.
func (c *Catalog) activeBefore(p saga.Position) func(uint32) bool {
	before := c.before(p)
	return func(n uint32) bool { return before(c.sagas.at(n).snapshots.last().number) }
}

// expiresBefore tells which snapshots expire before a time, or then but lie before a
// position.
func (c *Catalog) expiresBefore(t saga.Time, p saga.Position) func(uint32) bool {
	return func(n uint32) bool {
		e := c.entries.at(n)
		if e.retention != t {
			return e.retention < t
		}
		return e.position().Compare(p) < 0
	}
}

// Insert adds a record and reports false if its id is known already.
func (c *Catalog) Insert(r *Record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.insert(r)
}

func (c *Catalog) insert(r *Record) bool {
	if _, known := c.byID[r.ID]; known {
		return false
	}
	n := c.entries.add()
	e := c.entries.at(n)
	*e = entry{
		id: r.ID, created: r.CreatedAt, retention: r.RetentionUntil,
		size: r.SizeBytes, raw: r.RawSize, modified: r.Modified,
		saga: c.sagaOf(r.SagaID), kind: c.kinds.take(&r.Summary),
		stepIndex: r.StepIndex, gzip: r.Gzip, gzipName: r.GzipName, foreign: r.Foreign,
	}
	c.byID[r.ID] = n
	it, mask, p := item{n, e.kind}, c.kinds.mask(e.kind), e.position()
	before := c.before(p)
	if !c.loading {
		c.byTime.insert(it, mask, before)
		if e.retention != saga.Never {
			c.byExpiry.insert(it, mask, c.expiresBefore(e.retention, p))
		}
	}
	c.change(e.saga, func(s *sagaEntry) { s.snapshots.insert(it, mask, before) })
	c.count(e, 1)
	return true
}

// Remove takes a record out and returns it.
func (c *Catalog) Remove(id uuid.UUID) (Record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, known := c.byID[id]
	if !known {
		return Record{}, false
	}
	e := c.entries.at(n)
	r, p := c.record(e), e.position()
	delete(c.byID, id)
	if !c.loading {
		c.byTime.remove(c.byTime.seek(c.before(p)))
		if e.retention != saga.Never {
			c.byExpiry.remove(c.byExpiry.seek(c.expiresBefore(e.retention, p)))
		}
	}
	c.count(e, -1)
	c.change(e.saga, func(s *sagaEntry) { s.snapshots.remove(s.snapshots.seek(c.before(p))) })
	if s := c.sagas.at(e.saga); s.snapshots.len == 0 {
		delete(c.bySagaID, s.id)
		c.sagas.release(e.saga)
	}
	c.kinds.release(e.kind)
	c.entries.release(n)
	return r, true
}

// change changes a saga's snapshots and keeps its place in the order of activity.
func (c *Catalog) change(n uint32, change func(*sagaEntry)) {
	s := c.sagas.at(n)
	if c.loading {
		change(s)
		return
	}
	// That order finds a saga by its latest snapshot, so it leaves before that changes.
	if s.snapshots.len > 0 {
		c.byActivity.remove(c.byActivity.seek(c.activeBefore(c.latest(s).position())))
	}
	change(s)
	if s.snapshots.len > 0 {
		latest := s.snapshots.last()
		c.byActivity.insert(item{n, latest.kind}, c.kinds.mask(latest.kind), c.activeBefore(c.latest(s).position()))
	}
}

func (c *Catalog) latest(s *sagaEntry) *entry { return c.entries.at(s.snapshots.last().number) }

func (c *Catalog) count(e *entry, n int) {
	status := c.kinds.list[e.kind].status
	c.byStatus[status] += n
	if c.byStatus[status] == 0 {
		delete(c.byStatus, status)
	}
	c.size += int64(n) * e.size
	c.raw += int64(n) * e.raw
	c.sagas.at(e.saga).size += int64(n) * e.size
}

func (c *Catalog) sagaOf(id uuid.UUID) uint32 {
	n, known := c.bySagaID[id]
	if !known {
		n = c.sagas.add()
		c.sagas.at(n).id = id
		c.bySagaID[id] = n
	}
	return n
}

// find answers a saga with snapshots, nil if there is none of the id.
func (c *Catalog) find(id uuid.UUID) *sagaEntry {
	if n, known := c.bySagaID[id]; known {
		return c.sagas.at(n)
	}
	return nil
}

// Get finds a record by its id.
func (c *Catalog) Get(id uuid.UUID) (Record, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, known := c.byID[id]
	if !known {
		return Record{}, false
	}
	return c.record(c.entries.at(n)), true
}

func (c *Catalog) record(e *entry) Record {
	k := &c.kinds.list[e.kind]
	return Record{
		Summary: saga.Summary{
			ID: e.id, SagaID: c.sagas.at(e.saga).id, SagaName: c.kinds.text(k.name), StepName: c.kinds.text(k.step),
			StepIndex: e.stepIndex, Status: c.kinds.text(k.status), CreatedAt: e.created,
			RetentionUntil: e.retention, SizeBytes: e.size,
		},
		Location: Location{RawSize: e.raw, Modified: e.modified, Gzip: e.gzip, GzipName: e.gzipName, Foreign: e.foreign},
	}
}

// Contains reports whether anything is known of the saga, be it unreadable.
func (c *Catalog) Contains(sagaID uuid.UUID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.find(sagaID) != nil || len(c.unreadable.bySaga[sagaID]) > 0
}

// Snapshots answers all records of a saga, newest first. Of a large one they are not
// all of one moment.
func (c *Catalog) Snapshots(sagaID uuid.UUID) (list []Record) {
	const some = 4096 // so many at once keep nobody waiting
	q := &saga.Query{SagaID: uuid.NullUUID{UUID: sagaID, Valid: true}, Limit: some}
	for {
		page, next := c.List(q)
		if list == nil {
			list = page
		} else {
			list = append(list, page...)
		}
		if next == nil {
			return list
		}
		q.From = next
	}
}

// A table holds things by their numbers. They never move, and grow without being
// copied.
type table[T any] struct {
	chunks [][]T
	len    int // that have ever been in use
	free   []uint32
}

const chunkSize = 1024

func (t *table[T]) at(n uint32) *T { return &t.chunks[n/chunkSize][n%chunkSize] }

// add answers the number of a zero thing.
func (t *table[T]) add() uint32 {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		return n
	}
	if t.len%chunkSize == 0 {
		t.chunks = append(t.chunks, make([]T, chunkSize))
	}
	t.len++
	return uint32(t.len - 1) // #nosec G115 -- a count of what is in memory
}

func (t *table[T]) release(n uint32) {
	var none T
	*t.at(n) = none
	t.free = append(t.free, n)
}

// sorted answers items in the order of their keys, and of less where keys are equal.
func sorted(keys []key, less func(a, b uint32) int) []item {
	slices.SortFunc(keys, func(a, b key) int {
		if a.time != b.time {
			if a.time < b.time {
				return -1
			}
			return 1
		}
		return less(a.number, b.number)
	})
	items := make([]item, len(keys))
	for i := range keys {
		items[i] = keys[i].item
	}
	return items
}

type key struct {
	time saga.Time
	item
}
