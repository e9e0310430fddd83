package filestore

import (
	"cmp"
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/store"
)

// cachedFile is the size in bytes up to which a file is read as a whole, and kept.
const cachedFile = 256 << 10

// A cache keeps the files of snapshots that were read last. Whether one still is as it
// was is asked of the filesystem each time, which costs a third of reading it.
type cache struct {
	limit int64 // bytes

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
	data    []byte
	derived store.Derived
	checked atomic.Int64 // when the directory changed last before the file was found as it is; 0 = not known
}

// cachedExtra is what an entry takes beside its data, about.
const cachedExtra = 256

// read reads a file; errNotKnown if it is not in the known state any more.
func (c *cache) read(id uuid.UUID, path string, known fileState, dir *dirState) (*cached, error) {
	f, forgotten := c.find(id, known)
	if f == nil {
		data, err := readKnown(path, known)
		if err != nil {
			return nil, err
		}
		f = &cached{id: id, state: known, data: data}
		c.keep(f, forgotten)
		return f, nil
	}
	changed := dir.changed()
	if changed != 0 && f.checked.Load() == changed {
		return f, nil
	}
	if now, err := lstat(path); err != nil || now != known {
		return nil, cmp.Or(err, errNotKnown)
	}
	f.checked.Store(changed)
	return f, nil
}

// A dirState spares a list the question after each file: as long as a directory has not
// changed, none in it has been removed or replaced. (One that somebody writes to
// in place is found changed when it is asked for by itself.)
type dirState struct {
	disk  *disk
	id    uuid.UUID // of the saga
	asked bool
	when  int64
}

// changed answers when the directory changed last, see disk.changeTime. A nil one does not know.
func (d *dirState) changed() int64 {
	if d == nil {
		return 0
	}
	if !d.asked {
		d.asked, d.when = true, d.disk.changeTime(d.id)
	}
	return d.when
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
