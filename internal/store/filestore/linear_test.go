package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

const (
	linearSagas = 2
	linearKeys  = 3 // snapshots of a saga
)

// What a saga holds: the version of each snapshot, 0 = none.
type versions [linearKeys]int

type action string

const (
	doPut    action = "put"
	doGet    action = "get"
	doLatest action = "latest"
	doList   action = "list"
	doDelete action = "delete"
)

type call struct {
	action  action
	saga    int
	key     int // put, get, delete
	version int // put
}

type answer struct {
	unknown bool     // nobody heard it
	refused bool     // nothing has been done
	found   bool     // put: it was there already; get, delete: it was there
	version int      // get
	all     versions // list; latest: one of them
}

// linear says what a saga may answer. The effect of a call without an answer may have
// come or not, before the next start was over.
var linear = porcupine.NondeterministicModel{
	Init: func() []any { return []any{versions{}} },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, linearSagas)
		for _, op := range history {
			n := op.Input.(call).saga
			parts[n] = append(parts[n], op)
		}
		return parts
	},
	Step: func(state, input, output any) []any {
		s, c, a := state.(versions), input.(call), output.(answer)
		after, right := s, false
		switch c.action {
		case doPut:
			if right = a.found == (s[c.key] != 0); s[c.key] == 0 {
				after[c.key] = c.version
			}
		case doDelete:
			right, after[c.key] = a.found == (s[c.key] != 0), 0
		case doGet:
			right = a.version == s[c.key]
		case doList:
			right = a.all == s
		case doLatest:
			var latest versions
			for key := range s {
				if s[key] != 0 {
					latest = versions{}
					latest[key] = s[key]
				}
			}
			right = a.all == latest
		}
		switch {
		case a.unknown:
			return []any{s, after}
		case a.refused:
			return []any{s}
		case right:
			return []any{after}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// A recording is a history of calls, over several lives of a store.
type recording struct {
	start   time.Time
	version atomic.Int64

	mu      sync.Mutex
	history []porcupine.Operation
	open    []int // without an answer
}

func linearID(saga, key int) uuid.UUID { return snapshotID(1000*saga + key) }

// do makes a call and records it, unless the power went off while it read.
func (r *recording) do(s store.Store, client int, c call, dead func() bool) {
	from := time.Since(r.start).Nanoseconds()
	a, err := ask(s, c)
	to := time.Since(r.start).Nanoseconds()
	if err != nil {
		if c.action != doPut && c.action != doDelete {
			return
		}
		refused := !errors.Is(err, saga.ErrOutcomeUnknown) && !dead()
		a = answer{refused: refused, unknown: !refused}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.unknown {
		r.open = append(r.open, len(r.history))
	}
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: c, Output: a, Call: from, Return: to})
}

// settle ends the calls without an answer: the store has been started anew.
func (r *recording) settle() {
	for _, n := range r.open {
		r.history[n].Return = time.Since(r.start).Nanoseconds()
	}
	r.open = nil
}

func ask(s store.Store, c call) (a answer, err error) {
	ctx, id := context.Background(), linearID(c.saga, c.key)
	switch c.action {
	case doPut:
		sn := aSnapshot(sagaOf(100+c.saga), 1000*c.saga+c.key)
		sn.StepName = fmt.Sprint(c.version)
		_, err = s.Put(ctx, &sn.Summary, sn.AppendJSON(nil, true))
		if a.found = errors.Is(err, saga.ErrExists); a.found {
			err = nil
		}
	case doDelete:
		_, err = s.Delete(ctx, id)
		if a.found = err == nil; errors.Is(err, saga.ErrSnapshotNotFound) {
			err = nil
		}
	case doGet:
		a.version, err = getVersion(s, id)
	default:
		q := &saga.Query{SagaID: uuid.NullUUID{UUID: sagaOf(100 + c.saga), Valid: true}, Limit: linearKeys}
		if c.action == doLatest {
			q.Limit = 1
		}
		var page *store.Page
		if page, err = s.List(ctx, q); err == nil {
			for _, item := range page.Items {
				fmt.Sscan(item.StepName, &a.all[int(item.StepIndex)%1000])
			}
		}
	}
	return a, err
}

// getVersion reads the document, too; one that is gone by then was deleted.
func getVersion(s store.Store, id uuid.UUID) (version int, err error) {
	item, err := s.Get(context.Background(), id)
	if err == nil {
		var doc *store.Document
		if doc, err = item.Open(context.Background(), false); err == nil {
			var text []byte
			text, err = io.ReadAll(doc)
			doc.Close()
			if sn, _, e := saga.ReadSnapshot(text); err == nil && (e != nil || sn.StepName != item.StepName) {
				return -1, nil // what nobody can have put
			}
			fmt.Sscan(item.StepName, &version)
		}
	}
	if errors.Is(err, saga.ErrSnapshotNotFound) {
		err = nil
	}
	return version, err
}

// live has eight clients call a store until each has made so many calls or the power
// is off.
func (r *recording) live(s store.Store, calls int, dead func() bool) {
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for n := 0; n < calls && !dead(); n++ {
				c := call{saga: random.IntN(linearSagas), key: random.IntN(linearKeys)}
				c.action = []action{doPut, doPut, doDelete, doGet, doLatest, doList}[random.IntN(6)]
				c.version = int(r.version.Add(1))
				r.do(s, client, c, dead)
			}
		})
	}
	wg.Wait()
}

// lives is a history of a store that is cut off the power again and again.
func lives(t *testing.T, rounds int, wrap func(store.Store) store.Store, beside func(vfs.FS) vfs.FS) []porcupine.Operation {
	t.Helper()
	dir := scratch(t)
	r := &recording{start: time.Now()}
	base := filepath.Join(dir, "0")
	disk, err := vfstest.NewRecorder(memory, dir)
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		cfg := filestore.Config{BasePath: base, FS: disk}.WithSegments(smallSegment)
		if beside != nil {
			cfg.FS = beside(disk)
		}
		s, err := filestore.Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.settle()
		disk.CutAfter(100 + rand.IntN(200))
		r.live(wrap(s), 100, disk.Cut)
		disk.CutAfter(0)
		s.Close()
		if round%3 == 0 { // killed: what was not synced is still there
			disk.Revive()
			continue
		}
		next := filepath.Join(dir, fmt.Sprint(round+1))
		if err := disk.Materialize(next, []float64{0, 0.5}[rand.IntN(2)], rand.Uint64()); err != nil {
			t.Fatal(err)
		}
		base = filepath.Join(next, filepath.Base(base))
		if disk, err = vfstest.NewRecorder(memory, next); err != nil {
			t.Fatal(err)
		}
	}
	return slices.DeleteFunc(r.history, func(op porcupine.Operation) bool { return op.Output.(answer).refused })
}

func asItIs(s store.Store) store.Store { return s }

var memory = vfstest.Unsynced{FS: vfs.OS{}}

// A store answers eight clients at once as if one after the other, also when it is
// killed and cut off the power in between.
func TestLinearizable(t *testing.T) {
	model := linear.ToModel()
	for range 20 {
		history := lives(t, 6, asItIs, nil)
		if result := porcupine.CheckOperationsTimeout(model, history, 30*time.Second); result != porcupine.Ok {
			t.Errorf("%d calls: %s", len(history), result)
		}
	}
}

// staleReads answers a get from what it has seen before, now and then.
type staleReads struct {
	store.Store
	mu   sync.Mutex
	seen map[uuid.UUID]*store.Item
}

func (s *staleReads) Get(ctx context.Context, id uuid.UUID) (*store.Item, error) {
	item, err := s.Store.Get(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.seen[id]; old != nil && rand.IntN(4) == 0 {
		return old, nil
	}
	if err == nil {
		text := *item
		text.Open = func(context.Context, bool) (*store.Document, error) { return nil, saga.ErrSnapshotNotFound }
		if doc, err := item.Open(ctx, false); err == nil {
			all, _ := io.ReadAll(doc)
			doc.Close()
			text.Open = func(context.Context, bool) (*store.Document, error) {
				return &store.Document{File: io.NopCloser(bytes.NewReader(all)), Size: int64(len(all))}, nil
			}
		}
		s.seen[id] = &text
	}
	return item, err
}

// lostDeletes acknowledges a delete that it does not make, now and then.
type lostDeletes struct{ store.Store }

func (s lostDeletes) Delete(ctx context.Context, id uuid.UUID) (*saga.Summary, error) {
	if item, err := s.Get(ctx, id); err == nil && rand.IntN(4) == 0 {
		return &item.Summary, nil
	}
	return s.Store.Delete(ctx, id)
}

// A test that cannot fail proves nothing.
func TestBrokenStoresAreNotLinearizable(t *testing.T) {
	model := linear.ToModel()
	for name, broken := range map[string]struct {
		wrap   func(store.Store) store.Store
		beside func(vfs.FS) vfs.FS
	}{
		"stale reads": {wrap: func(s store.Store) store.Store {
			return &staleReads{Store: s, seen: map[uuid.UUID]*store.Item{}}
		}},
		"lost deletes":    {wrap: func(s store.Store) store.Store { return lostDeletes{s} }},
		"an unsynced log": {wrap: asItIs, beside: func(fs vfs.FS) vfs.FS { return lying{fs} }},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				history := lives(t, 3, broken.wrap, broken.beside)
				if porcupine.CheckOperationsTimeout(model, history, 30*time.Second) == porcupine.Illegal {
					return
				}
			}
			t.Error("it is not noticed")
		})
	}
}
