package filestore

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// keyLocks lets one goroutine at a time change what an id stands for.
type keyLocks struct {
	mu   sync.Mutex
	held map[uuid.UUID]chan struct{} // closed when given back
}

// lock waits for the id and answers how to give it back.
func (k *keyLocks) lock(ctx context.Context, id uuid.UUID) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		k.mu.Lock()
		held, ok := k.held[id]
		if !ok {
			if k.held == nil {
				k.held = map[uuid.UUID]chan struct{}{}
			}
			k.held[id] = make(chan struct{})
			k.mu.Unlock()
			return func() { k.unlock(id) }, nil
		}
		k.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (k *keyLocks) unlock(id uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.held[id])
	delete(k.held, id)
}

// lockAll waits for several ids, in an order that cannot deadlock.
func (k *keyLocks) lockAll(ctx context.Context, ids []uuid.UUID) (unlock func(), err error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	for i, id := range ids {
		if _, err := k.lock(ctx, id); err != nil {
			for _, got := range ids[:i] {
				k.unlock(got)
			}
			return nil, err
		}
	}
	return func() {
		for _, id := range ids {
			k.unlock(id)
		}
	}, nil
}

// sagaLocks keeps the directory of a saga from being removed while a file is
// put into it. Sagas share locks, by the last byte of their ids.
type sagaLocks [256]sync.RWMutex

func (l *sagaLocks) of(id uuid.UUID) *sync.RWMutex { return &l[id[15]] }
