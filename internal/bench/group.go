package bench

import "sync"

// A group has callers of commit share flushes: who comes while one is under way
// waits, together with all others, for the next.
type group struct {
	flush func(data []byte) error // one at a time; data is what the callers brought

	flushing sync.Mutex // held around flush
	mu       sync.Mutex
	next     *batch // that callers may join; nil = the next caller begins one
}

type batch struct {
	data []byte
	done chan struct{}
	err  error // once done
}

// commit returns when data, and whatever else happened before the call, has been
// flushed.
func (g *group) commit(data []byte) error {
	g.mu.Lock()
	b := g.next
	first := b == nil
	if first {
		b = &batch{done: make(chan struct{})}
		g.next = b
	}
	b.data = append(b.data, data...)
	g.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}
	g.flushing.Lock()
	g.mu.Lock()
	g.next = nil
	g.mu.Unlock()
	b.err = g.flush(b.data)
	g.flushing.Unlock()
	close(b.done)
	return b.err
}
