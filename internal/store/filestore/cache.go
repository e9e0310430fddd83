package filestore

import (
	"cmp"
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

// cachedFile is the size in bytes up to which a file is read as a whole, and kept.
const cachedFile = 256 << 10

// A cache keeps the files of snapshots that were read last. Whether one still is as it
// was is asked each time, see check.
type cache struct {
	limit   int64 // bytes
	layout  *layout
	watcher *watcher

	mu        sync.Mutex
	size      int64
	entries   map[uuid.UUID]*list.Element
	used      list.List // of *cached, the last one used first
	forgotten uint64    // how often forget was called
}

// A cached file is not changed any more, but for what is atomic.
type cached struct {
	id      uuid.UUID
	state   fileState
	data    []byte        // nil = only hashes are kept
	derived store.Derived // from the data
	text    store.Derived // from the text in a gzip file, which itself is not kept
	checked atomic.Uint64 // the last change of the directory before the file was found as it is; 0 = not known
}

// cachedExtra is what an entry takes beside its data, about.
const cachedExtra = 256

// read reads a record's file; errNotKnown if it is not in the known state any more.
func (c *cache) read(r *catalog.Record, known fileState, look *look) (*cached, error) {
	f, forgotten := c.find(r.ID, known)
	if f != nil && f.data != nil {
		return f, c.check(f, r, look)
	}
	data, err := readKnown(c.layout.snapshot(r), known)
	if err != nil {
		return nil, err
	}
	f = &cached{id: r.ID, state: known, data: data}
	c.keep(f, forgotten)
	return f, nil
}

// hashes answers where the hashes of a record's file are kept that streams. The file must be
// opened after, and found to be in the known state.
func (c *cache) hashes(r *catalog.Record, known fileState) *cached {
	f, forgotten := c.find(r.ID, known)
	if f == nil {
		f = &cached{id: r.ID, state: known}
		c.keep(f, forgotten)
	}
	return f
}

// A look is one look at the directory of a saga, for all whose documents are opened
// together.
type look struct {
	taken  bool
	change uint64 // see watcher.lastChange
}

func (l *look) at(w *watcher, sagaID uuid.UUID) uint64 {
	if l == nil {
		return w.lastChange(sagaID)
	}
	if !l.taken {
		l.taken, l.change = true, w.lastChange(sagaID)
	}
	return l.change
}

// check finds out whether a file that was read is there as it was: the watcher says so
// for a system call without a path, else the file is looked at.
func (c *cache) check(f *cached, r *catalog.Record, look *look) error {
	change := look.at(c.watcher, r.SagaID)
	if change != 0 && f.checked.Load() == change {
		return nil
	}
	if change == 0 {
		change = c.watcher.watch(r.SagaID)
	}
	if now, err := lstat(c.layout.snapshot(r)); err != nil || now != f.state {
		return cmp.Or(err, errNotKnown)
	}
	f.checked.Store(change)
	return nil
}

// find also answers how often something has been forgotten so far.
func (c *cache) find(id uuid.UUID, known fileState) (*cached, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[id]
	if e == nil || e.Value.(*cached).state != known {
		return nil, c.forgotten
	}
	c.used.MoveToFront(e)
	return e.Value.(*cached), c.forgotten
}

// keep keeps a file that was read since find answered forgotten, unless something has been
// forgotten meanwhile: it might be this one, and another one of the same size and time be in its place.
func (c *cache) keep(f *cached, forgotten uint64) {
	if f.size() > c.limit/32 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != forgotten {
		return
	}
	if e := c.entries[f.id]; e != nil {
		c.drop(e)
	}
	if c.entries == nil {
		c.entries = map[uuid.UUID]*list.Element{}
	}
	c.entries[f.id] = c.used.PushFront(f)
	c.size += f.size()
	for c.size > c.limit {
		c.drop(c.used.Back())
	}
}

func (c *cache) forget(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	if e := c.entries[id]; e != nil {
		c.drop(e)
	}
}

func (c *cache) drop(e *list.Element) {
	f := c.used.Remove(e).(*cached)
	delete(c.entries, f.id)
	c.size -= f.size()
}

// size counts the data twice: once more for its compact form.
func (f *cached) size() int64 { return 2*int64(len(f.data)) + cachedExtra }
