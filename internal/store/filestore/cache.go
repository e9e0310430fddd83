package filestore

import (
	"container/list"
	"sync"

	"github.com/google/uuid"
)

// cachedFile is the size in bytes up to which a file is read as a whole, and kept.
const cachedFile = 256 << 10

// A cache keeps the files of snapshots that were read last. Whether one still is as it
// was is asked of the filesystem each time: that costs a third of reading it.
type cache struct {
	limit int64 // bytes

	mu      sync.Mutex
	size    int64
	entries map[uuid.UUID]*list.Element
	used    list.List // of *cached, the last one used first
}

type cached struct {
	id    uuid.UUID
	state fileState
	data  []byte
}

// cachedExtra is what an entry takes beside its data, about.
const cachedExtra = 256

// read answers what a file holds, which nobody may change; errNotKnown if it is not in the known
// state any more.
func (c *cache) read(id uuid.UUID, path string, known fileState) ([]byte, error) {
	if data := c.find(id, known); data != nil {
		now, err := lstat(path)
		if err == nil && now != known {
			err = errNotKnown
		}
		return data, err
	}
	data, err := readKnown(path, known)
	if err == nil {
		c.keep(&cached{id, known, data})
	}
	return data, err
}

func (c *cache) find(id uuid.UUID, known fileState) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[id]
	if e == nil || e.Value.(*cached).state != known {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*cached).data
}

func (c *cache) keep(f *cached) {
	if int64(len(f.data)) > c.limit/64 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
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
	if e := c.entries[id]; e != nil {
		c.drop(e)
	}
}

func (c *cache) drop(e *list.Element) {
	f := c.used.Remove(e).(*cached)
	delete(c.entries, f.id)
	c.size -= f.size()
}

func (f *cached) size() int64 { return int64(len(f.data)) + cachedExtra }
