package catalog

import (
	"slices"

	"github.com/google/uuid"
)

// An Unreadable is a document known by its name alone.
type Unreadable struct {
	ID, SagaID uuid.UUID
	Name       string // of its file
}

// unreadable are all of them.
type unreadable struct {
	byID, bySaga map[uuid.UUID][]Unreadable
	len          int
}

// AddUnreadable notes a document that cannot be read. The same one twice is
// noted once.
func (c *Catalog) AddUnreadable(u Unreadable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := &c.unreadable
	if slices.Contains(all.byID[u.ID], u) {
		return
	}
	if all.byID == nil {
		all.byID, all.bySaga = map[uuid.UUID][]Unreadable{}, map[uuid.UUID][]Unreadable{}
	}
	all.byID[u.ID] = append(all.byID[u.ID], u)
	all.bySaga[u.SagaID] = append(all.bySaga[u.SagaID], u)
	all.len++
}

// RemoveUnreadable forgets a document that could not be read.
func (c *Catalog) RemoveUnreadable(u Unreadable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := &c.unreadable
	if !slices.Contains(all.byID[u.ID], u) {
		return
	}
	without(all.byID, u.ID, u)
	without(all.bySaga, u.SagaID, u)
	all.len--
}

func without(m map[uuid.UUID][]Unreadable, key uuid.UUID, u Unreadable) {
	left := slices.DeleteFunc(m[key], func(other Unreadable) bool { return other == u })
	if len(left) == 0 {
		delete(m, key)
	} else {
		m[key] = left
	}
}

// Unreadable answers the documents of an id that cannot be read.
func (c *Catalog) Unreadable(id uuid.UUID) []Unreadable {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.unreadable.byID[id])
}

// UnreadableOf answers the ids that a list of the saga, or of all, cannot show,
// at most limit.
func (c *Catalog) UnreadableOf(sagaID uuid.NullUUID, limit int) []uuid.UUID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var ids []uuid.UUID
	if sagaID.Valid {
		for _, u := range c.unreadable.bySaga[sagaID.UUID] {
			ids = append(ids, u.ID)
		}
	} else {
		for id := range c.unreadable.byID {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	return ids[:min(limit, len(ids))]
}
