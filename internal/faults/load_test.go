//go:build faults && linux

package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A mix says what clients do.
type mix struct {
	workers int
	large   bool // also documents of more than 4 MiB, which bypass the log
	janitor bool // the daemon cleans up by itself; otherwise clients ask for it
	pause   time.Duration
}

// A load is clients at work.
type load struct {
	ledger  *ledger
	daemon  *daemon
	mix     mix
	stop    atomic.Bool
	done    sync.WaitGroup
	mu      sync.Mutex
	refused []string // answers that were no acknowledgement, before the plug was pulled
}

// A worker is one client. What it changes, no other one does.
type worker struct {
	*load
	sagas   []*sagaItems
	replays []*item
	large   *item
}

type sagaItems struct {
	id    string
	items []*item
}

// Bounds of what a worker keeps stored.
const (
	sagasPerWorker   = 12
	itemsPerSaga     = 16
	replaysPerWorker = 12
)

// run starts clients that go on with what the ledger holds.
func (l *ledger) run(d *daemon, m mix) *load {
	c := &load{ledger: l, daemon: d, mix: m}
	workers := make([]*worker, m.workers)
	for i := range workers {
		workers[i] = &worker{load: c}
	}
	owners := map[string]*worker{}
	for _, x := range l.items {
		if x.base == 0 || x.changes != nil {
			continue // it was to be deleted, or may go at any time
		}
		w := owners[x.saga]
		if w == nil {
			w = workers[len(owners)%len(workers)]
			owners[x.saga] = w
		}
		w.adopt(x)
	}
	for i, w := range workers {
		c.done.Go(func() { w.work(m.large && i == 0) })
	}
	return c
}

func (w *worker) adopt(x *item) {
	switch {
	case !x.snapshot:
		w.replays = append(w.replays, x)
	case x.size > 1<<20:
		w.large = x
	default:
		i := slices.IndexFunc(w.sagas, func(s *sagaItems) bool { return s.id == x.saga })
		if i < 0 {
			i = len(w.sagas)
			w.sagas = append(w.sagas, &sagaItems{id: x.saga})
		}
		w.sagas[i].items = append(w.sagas[i].items, x)
	}
}

// end has the clients stop, and waits for their last answers.
func (c *load) end() {
	c.stop.Store(true)
	c.done.Wait()
}

func (w *worker) work(large bool) {
	for n := 0; !w.stop.Load(); n++ {
		switch dice := rand.IntN(100); {
		case large && n == 4:
			w.saveLarge()
		case dice < 58:
			w.save(1000 + rand.IntN(3000))
		case dice < 64:
			w.save(40_000 + rand.IntN(60_000))
		case dice < 70:
			w.saveExpired()
		case dice < 86:
			w.deleteOne()
		case dice < 88:
			w.deleteSaga()
		default:
			w.replay()
		}
		time.Sleep(w.mix.pause)
	}
}

// change asks for an item's new state and reports whether it was acknowledged.
func (w *worker) change(x *item, to int, method string, body []byte) bool {
	c, ok := w.ledger.asking(x, to)
	if !ok {
		w.stop.Store(true)
		return false
	}
	return w.judge(w.daemon.do(method, x.path(), body), c)
}

func (w *worker) judge(a *answer, changes ...*change) bool {
	if a.acknowledged() {
		w.ledger.acknowledge(changes...)
		return true
	}
	w.ledger.mu.Lock()
	over := w.ledger.over
	w.ledger.mu.Unlock()
	if !over {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refused = append(w.refused, fmt.Sprintf("%d %s %v", a.status, bytes.TrimSpace(a.body), a.err))
	}
	return false
}

func (w *worker) save(size int) {
	if len(w.sagas) == 0 || len(w.sagas) < sagasPerWorker && rand.IntN(8) == 0 {
		w.sagas = append(w.sagas, &sagaItems{id: newID()})
	}
	s := w.sagas[rand.IntN(len(w.sagas))]
	if len(s.items) >= itemsPerSaga {
		w.deleteOne()
		return
	}
	x := w.ledger.add(newSnapshot(s.id, size))
	if w.change(x, 1, "PUT", x.document()) {
		s.items = append(s.items, x)
	}
}

func (w *worker) saveLarge() {
	if w.large != nil {
		if !w.change(w.large, 0, "DELETE", nil) {
			return
		}
		w.large = nil
	}
	x := w.ledger.add(newSnapshot(newID(), 4<<20+4096))
	if w.change(x, 1, "PUT", x.document()) {
		w.large = x
	}
}

// saveExpired saves what is to go at once, and sees to it that it does.
func (w *worker) saveExpired() {
	x := newSnapshot(newID(), 1000)
	x.expired = true
	w.ledger.add(x)
	if !w.change(x, 1, "PUT", x.document()) {
		return
	}
	gone, ok := w.ledger.asking(x, 0)
	if !ok || rand.IntN(2) == 0 {
		return // it goes some time
	}
	if w.mix.janitor {
		for try := 0; try < 20 && !w.stop.Load(); try++ {
			if a := w.daemon.do("GET", x.path(), nil); a.err == nil && a.status == http.StatusNotFound {
				w.ledger.acknowledge(gone) // whoever has seen that must not see it again
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		return
	}
	a := w.daemon.do("POST", "/v1/cleanup", nil)
	var done struct{ Remaining int }
	if json.Unmarshal(a.body, &done) == nil && done.Remaining == 0 {
		w.judge(a, gone)
	}
}

func (w *worker) deleteOne() {
	if len(w.sagas) == 0 {
		return
	}
	s := w.sagas[rand.IntN(len(w.sagas))]
	if len(s.items) == 0 {
		return
	}
	i := rand.IntN(len(s.items))
	x := s.items[i]
	s.items = slices.Delete(s.items, i, i+1)
	w.change(x, 0, "DELETE", nil)
}

func (w *worker) deleteSaga() {
	if len(w.sagas) == 0 {
		return
	}
	i := rand.IntN(len(w.sagas))
	s := w.sagas[i]
	w.sagas = slices.Delete(w.sagas, i, i+1)
	var changes []*change
	for _, x := range s.items {
		c, ok := w.ledger.asking(x, 0)
		if !ok {
			return
		}
		changes = append(changes, c)
	}
	w.judge(w.daemon.do("DELETE", "/v1/sagas/"+s.id+"/snapshots", nil), changes...)
}

// replay begins a replay, or brings one forward, or deletes those of a saga.
func (w *worker) replay() {
	if len(w.replays) < replaysPerWorker && rand.IntN(2) == 0 {
		x := w.ledger.add(newReplay(newID()))
		if w.change(x, 1, "PUT", x.record()) {
			w.replays = append(w.replays, x)
		}
		return
	}
	if len(w.replays) == 0 {
		return
	}
	i := rand.IntN(len(w.replays))
	x := w.replays[i]
	if last := w.ledger.last(x); last < len(replayStates) {
		if !w.change(x, last+1, "PATCH", fmt.Appendf(nil, `{"replay_status":"%s"}`, replayStates[last])) {
			w.replays = slices.Delete(w.replays, i, i+1)
		}
		return
	}
	w.replays = slices.Delete(w.replays, i, i+1)
	if c, ok := w.ledger.asking(x, 0); ok {
		w.judge(w.daemon.do("DELETE", "/v1/sagas/"+x.saga+"/snapshots?replays=true", nil), c)
	}
}

// last is the state that an item was last asked to be in.
func (l *ledger) last(x *item) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(x.changes); n > 0 {
		return x.changes[n-1].to
	}
	return x.base
}
