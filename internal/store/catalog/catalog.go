// Package catalog keeps in memory what finds a snapshot: id, saga, time, step,
// status, retention, size. It answers every lookup, list, filter and count of the
// stores that hold their documents elsewhere. It knows no files; a store leaves
// with each record the few facts it needs to find its document again.
//
// An entry takes about 200 bytes, all told. Saves and deletes cost O(log n), a
// page O(log n) and what it passes over.
package catalog

import (
	"slices"
	"sync"
	"unique"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

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

// An Unreadable is a document known by its name alone.
type Unreadable struct {
	ID, SagaID uuid.UUID
	Name       string // of its file
}

// A Catalog is safe for concurrent use. The zero value is not usable; see New.
type Catalog struct {
	mu         sync.RWMutex
	byID       map[uuid.UUID]*entry
	sagas      map[uuid.UUID]*sagaEntry
	byTime     *btree.BTreeG[*entry]     // all snapshots, oldest first
	byExpiry   *btree.BTreeG[*entry]     // those with a retention, earliest first
	byActivity *btree.BTreeG[*sagaEntry] // sagas with snapshots, by their latest
	byStatus   map[unique.Handle[string]]int
	size, raw  int64
	unreadable map[uuid.UUID][]Unreadable
	numBroken  int
}

type entry struct {
	id                      uuid.UUID
	saga                    *sagaEntry
	created, retention      saga.Time
	size, raw, modified     int64
	sagaName, step, status  unique.Handle[string]
	stepIndex               int32
	gzip, gzipName, foreign bool
}

type sagaEntry struct {
	id        uuid.UUID
	snapshots []*entry // oldest first
	broken    []Unreadable
	size      int64
}

func (e *entry) position() saga.Position {
	return saga.Position{CreatedAt: e.created, StepIndex: e.stepIndex, ID: e.id}
}

func (s *sagaEntry) latest() *entry { return s.snapshots[len(s.snapshots)-1] }

func older(a, b *entry) bool { return a.position().Compare(b.position()) < 0 }

func expiresEarlier(a, b *entry) bool {
	if a.retention != b.retention {
		return a.retention < b.retention
	}
	return older(a, b)
}

// New returns an empty catalogue.
func New() *Catalog {
	unlocked := btree.Options{NoLocks: true}
	return &Catalog{
		byID:       map[uuid.UUID]*entry{},
		sagas:      map[uuid.UUID]*sagaEntry{},
		byTime:     btree.NewBTreeGOptions(older, unlocked),
		byExpiry:   btree.NewBTreeGOptions(expiresEarlier, unlocked),
		byActivity: btree.NewBTreeGOptions(func(a, b *sagaEntry) bool { return older(a.latest(), b.latest()) }, unlocked),
		byStatus:   map[unique.Handle[string]]int{},
		unreadable: map[uuid.UUID][]Unreadable{},
	}
}

// Insert adds a record and reports false if its id is known already.
func (c *Catalog) Insert(r *Record) bool {
	e := &entry{
		id: r.ID, created: r.CreatedAt, retention: r.RetentionUntil,
		size: r.SizeBytes, raw: r.RawSize, modified: r.Modified,
		sagaName: unique.Make(r.SagaName), step: unique.Make(r.StepName), status: unique.Make(r.Status),
		stepIndex: r.StepIndex, gzip: r.Gzip, gzipName: r.GzipName, foreign: r.Foreign,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[r.ID] != nil {
		return false
	}
	e.saga = c.sagaEntry(r.SagaID)
	c.byID[e.id] = e
	c.byTime.Set(e)
	if e.retention != saga.Never {
		c.byExpiry.Set(e)
	}
	c.move(e.saga, func(s *sagaEntry) {
		if n := len(s.snapshots); n == 0 || older(s.snapshots[n-1], e) {
			s.snapshots = append(s.snapshots, e)
			return
		}
		i, _ := slices.BinarySearchFunc(s.snapshots, e.position(), comparePosition)
		s.snapshots = slices.Insert(s.snapshots, i, e)
	})
	c.count(e, 1)
	return true
}

// Remove takes a record out and returns it.
func (c *Catalog) Remove(id uuid.UUID) (Record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[id]
	if e == nil {
		return Record{}, false
	}
	delete(c.byID, id)
	c.byTime.Delete(e)
	if e.retention != saga.Never {
		c.byExpiry.Delete(e)
	}
	c.move(e.saga, func(s *sagaEntry) {
		i, _ := slices.BinarySearchFunc(s.snapshots, e.position(), comparePosition)
		s.snapshots = slices.Delete(s.snapshots, i, i+1)
	})
	c.count(e, -1)
	c.dropIfEmpty(e.saga)
	return e.record(), true
}

// move changes a saga's snapshots and keeps its place in the order of activity.
func (c *Catalog) move(s *sagaEntry, change func(*sagaEntry)) {
	// The tree finds a saga by its latest snapshot, so it leaves before that changes.
	if len(s.snapshots) > 0 {
		c.byActivity.Delete(s)
	}
	change(s)
	if len(s.snapshots) > 0 {
		c.byActivity.Set(s)
	}
}

func (c *Catalog) count(e *entry, n int) {
	c.byStatus[e.status] += n
	if c.byStatus[e.status] == 0 {
		delete(c.byStatus, e.status)
	}
	c.size += int64(n) * e.size
	c.raw += int64(n) * e.raw
	e.saga.size += int64(n) * e.size
}

func (c *Catalog) sagaEntry(id uuid.UUID) *sagaEntry {
	s := c.sagas[id]
	if s == nil {
		s = &sagaEntry{id: id}
		c.sagas[id] = s
	}
	return s
}

func (c *Catalog) dropIfEmpty(s *sagaEntry) {
	if len(s.snapshots) == 0 && len(s.broken) == 0 {
		delete(c.sagas, s.id)
	}
}

// Get finds a record by its id.
func (c *Catalog) Get(id uuid.UUID) (Record, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.byID[id]
	if e == nil {
		return Record{}, false
	}
	return e.record(), true
}

func (e *entry) record() Record {
	return Record{
		Summary: saga.Summary{
			ID: e.id, SagaID: e.saga.id, SagaName: e.sagaName.Value(), StepName: e.step.Value(),
			StepIndex: e.stepIndex, Status: e.status.Value(), CreatedAt: e.created,
			RetentionUntil: e.retention, SizeBytes: e.size,
		},
		Location: Location{RawSize: e.raw, Modified: e.modified, Gzip: e.gzip, GzipName: e.gzipName, Foreign: e.foreign},
	}
}

func comparePosition(e *entry, p saga.Position) int { return e.position().Compare(p) }

// AddUnreadable notes a document that cannot be read. The same one twice is
// noted once.
func (c *Catalog) AddUnreadable(u Unreadable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.unreadable[u.ID], u) {
		return
	}
	c.unreadable[u.ID] = append(c.unreadable[u.ID], u)
	s := c.sagaEntry(u.SagaID)
	s.broken = append(s.broken, u)
	c.numBroken++
}

// RemoveUnreadable forgets a document that could not be read.
func (c *Catalog) RemoveUnreadable(u Unreadable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.unreadable[u.ID]
	i := slices.Index(list, u)
	if i < 0 {
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(c.unreadable, u.ID)
	} else {
		c.unreadable[u.ID] = list
	}
	s := c.sagas[u.SagaID]
	s.broken = slices.DeleteFunc(s.broken, func(b Unreadable) bool { return b == u })
	c.numBroken--
	c.dropIfEmpty(s)
}

// Unreadable answers the documents of an id that cannot be read.
func (c *Catalog) Unreadable(id uuid.UUID) []Unreadable {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.unreadable[id])
}

// Contains reports whether anything is known of the saga, be it unreadable.
func (c *Catalog) Contains(sagaID uuid.UUID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.sagas[sagaID] != nil
}

// Snapshots answers all records of a saga, newest first.
func (c *Catalog) Snapshots(sagaID uuid.UUID) []Record {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.sagas[sagaID]
	if s == nil {
		return nil
	}
	list := make([]Record, 0, len(s.snapshots))
	for _, e := range slices.Backward(s.snapshots) {
		list = append(list, e.record())
	}
	return list
}
