//go:build faults && linux

package faults

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// A ledger holds what clients have asked for and what they were told, and so what
// may be found after a fault.
type ledger struct {
	mu    sync.Mutex
	over  bool       // the plug has been pulled: what is answered from now on does not count
	now   func() int // where on the device's record we are; nil = it does not matter
	acked int        // changes acknowledged so far
	items []*item
}

// An item is a snapshot or a replay record. It is in state 0 when it is not there; a
// snapshot has one other, a replay record one for each status.
type item struct {
	snapshot bool
	saga, id string
	seed     uint64
	size     int
	expired  bool

	base    int // the state at the start, of which a check has made sure
	changes []*change
}

// A change was asked for, and perhaps acknowledged.
type change struct {
	to    int
	asked int
	acked int // never, if it was not
}

const never = math.MaxInt

// newLedger answers a ledger whose changes are ordered by now, if that is given.
func newLedger(now func() int) *ledger {
	if now == nil {
		now = func() int { return 0 }
	}
	return &ledger{now: now}
}

func (l *ledger) add(x *item) *item {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, x)
	return x
}

// asking notes that a change is about to be asked for. Once the plug has been
// pulled it answers false.
func (l *ledger) asking(x *item, to int) (*change, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &change{to: to, asked: l.now(), acked: never}
	if l.over {
		return c, false
	}
	x.changes = append(x.changes, c)
	return c, true
}

// acknowledge notes that a change was acknowledged, if that came in time.
func (l *ledger) acknowledge(changes ...*change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	at := l.now()
	for _, c := range changes {
		c.acked = at
	}
	l.acked += len(changes)
}

// count is how many changes have been acknowledged.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// cut calls act, the fault, after which no acknowledgement counts.
func (l *ledger) cut(act func()) {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	act()
}

// allowed are the states that an item may be in when the record of the device ends
// at a point.
func (x *item) allowed(at int) []int {
	states := []int{x.base}
	for _, c := range x.changes {
		switch {
		case c.asked > at:
		case c.acked <= at:
			states = []int{c.to}
		case !slices.Contains(states, c.to):
			states = append(states, c.to)
		}
	}
	return states
}

// settle begins anew with the states that a check has found.
func (l *ledger) settle(found map[*item]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = false
	for x, state := range found {
		x.base = state
		x.changes = nil
		if x.expired && state > 0 { // it may go at any time
			x.changes = []*change{{to: 0, acked: never}}
		}
	}
	l.items = slices.DeleteFunc(l.items, func(x *item) bool { return x.base == 0 && x.changes == nil })
}

func (x *item) path() string {
	if x.snapshot {
		return "/v1/snapshots/" + x.id
	}
	return "/v1/replays/" + x.id
}

func (x *item) String() string {
	if x.snapshot {
		return fmt.Sprintf("snapshot %s of %d bytes in saga %s", x.id, len(x.document()), x.saga)
	}
	return "replay " + x.id
}
