package catalog

import (
	"slices"
	"sync"

	"snapshotd/internal/saga"
)

// Loading says that many records are about to come in no order, while the catalogue is
// empty. Until Loaded it answers no lists but those of a saga, no counts and no
// selections.
func (c *Catalog) Loading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loading = true
}

// InsertAll adds records of one saga, which best come newest first, and answers those
// whose ids are known already.
func (c *Catalog) InsertAll(records []Record) (known []Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range slices.Backward(records) {
		if !c.insert(&records[i]) {
			known = append(known, records[i])
		}
	}
	return known
}

// Loaded puts in order what has been inserted, which costs less than having it in
// order all the time.
func (c *Catalog) Loaded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var times, expiries, activities []key
	times = make([]key, 0, len(c.byID))
	activities = make([]key, 0, len(c.bySagaID))
	for _, n := range c.bySagaID {
		s := c.sagas.at(n)
		for _, b := range s.snapshots.blocks {
			for _, it := range b.items {
				e := c.entries.at(it.number)
				times = append(times, key{e.created, it})
				if e.retention != saga.Never {
					expiries = append(expiries, key{e.retention, it})
				}
			}
		}
		activities = append(activities, key{c.latest(s).created, item{n, c.latest(s).kind}})
	}
	older := func(a, b uint32) int { return c.entries.at(a).position().Compare(c.entries.at(b).position()) }
	lessActive := func(a, b uint32) int {
		return older(c.sagas.at(a).snapshots.last().number, c.sagas.at(b).snapshots.last().number)
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.byTime.fill(sorted(times, older), c.kinds.mask) })
	wg.Go(func() {
		c.byExpiry.fill(sorted(expiries, older), c.kinds.mask)
		c.byActivity.fill(sorted(activities, lessActive), c.kinds.mask)
	})
	wg.Wait()
	c.loading = false
}
