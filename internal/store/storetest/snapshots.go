package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

func testFound(f *fixture) {
	plain := f.put(newSnapshot(orders))
	full := f.put(newSnapshot(refunds, created(7), kept(3), index(2147483647), step("__completed__"), named("größe ☂"), status("x9_")))
	for _, want := range []saga.Summary{plain, full} {
		if got := f.get(want.ID); got != want {
			f.Errorf("found %+v, want %+v", got, want)
		}
		if want.SizeBytes <= 0 {
			f.Errorf("put answered the size %d", want.SizeBytes)
		}
	}
}

// Spellings that decoding and encoding again would lose.
const peculiar = `{"b":1.0,"a":1e2,"A":-0.0,"0":` + "\"\\u00e9\\/\\ud800 é\\u0000\"" + `,"":[[],{},null,true,[1,
	2]],"big":`

func testBytes(f *fixture) {
	digits := peculiar + strings.Repeat("9876543210", 40) + `}`
	indented := newSnapshot(orders, withContext(digits))
	compact := newSnapshot(orders, withContext(digits))
	for s, doc := range map[*saga.Snapshot][]byte{
		indented: indented.AppendJSON(nil, true),
		compact:  compact.AppendJSON(nil, false),
	} {
		f.putDocument(s.Summary, doc)
		f.comesBack(s.ID, doc)
	}
}

func testLargeDocument(f *fixture) {
	s := newSnapshot(orders, withContext(`{"x":"`+strings.Repeat("a\\u00e9", 5<<20/7)+`"}`))
	doc := s.AppendJSON(nil, true)
	f.putDocument(s.Summary, doc)
	f.comesBack(s.ID, doc)
}

// comesBack reads a document in both ways.
func (f *fixture) comesBack(id uuid.UUID, want []byte) {
	f.Helper()
	for _, gzipped := range []bool{false, true} {
		got, err := readByID(f.ctx(), f.store, id, gzipped)
		if err != nil {
			f.Errorf("read with gzipped=%t: %v", gzipped, err)
		}
		f.sameDocument(got, want)
	}
}

func testBytesGiven(f *fixture) {
	s := newSnapshot(orders)
	doc := s.AppendJSON(nil, true)
	want, wantDoc := s.Summary, bytes.Clone(doc)
	given := s.Summary
	size, err := f.store.Put(f.ctx(), &given, doc)
	if err != nil {
		f.Fatal(err)
	}
	clear(doc)
	given = saga.Summary{}

	want.SizeBytes = size
	if got := f.get(s.ID); got != want {
		f.Errorf("found %+v, want %+v", got, want)
	}
	f.comesBack(s.ID, wantDoc)
}

func testBytesAnswered(f *fixture) {
	s := newSnapshot(orders)
	want := s.AppendJSON(nil, true)
	sum := f.put(s)
	clear(f.document(s.ID))
	f.comesBack(s.ID, want)

	for range 2 {
		page := f.page(&saga.Query{Limit: 1})
		if page.Items[0].Summary != sum {
			f.Errorf("listed %+v, want %+v", page.Items[0].Summary, sum)
		}
		page.Items[0].Summary = saga.Summary{}
	}
	for range 2 {
		item, err := f.store.Get(f.ctx(), s.ID)
		if err != nil || item.Summary != sum {
			f.Fatalf("found %+v, %v; want %+v", item, err, sum)
		}
		item.Summary = saga.Summary{}
	}
}

func testCreateOnly(f *fixture) {
	first := newSnapshot(orders, withContext(`{"n":1}`))
	sum := f.put(first)
	doc := first.AppendJSON(nil, true)

	again := newSnapshot(refunds, withID(first.ID), created(1), kept(5), status("failed"), withContext(`{"n":2}`))
	for _, s := range []*saga.Snapshot{first, again} {
		_, err := f.store.Put(f.ctx(), &s.Summary, s.AppendJSON(nil, true))
		f.wantError("put of a known id", err, saga.ErrExists)
	}
	if got := f.get(first.ID); got != sum {
		f.Errorf("found %+v, want the first, %+v", got, sum)
	}
	f.comesBack(first.ID, doc)
	f.sameIDs(f.ids(saga.Query{}), first.ID)
	f.sameIDs(f.ids(saga.Query{SagaID: valid(refunds)}))
}

func testConcurrentPuts(f *fixture) {
	id := uuid.New()
	var won atomic.Pointer[[]byte]
	f.together(100, func(n int) {
		s := newSnapshot(orders, withID(id), created(n), withContext(fmt.Sprintf(`{"n":%d}`, n)))
		doc := s.AppendJSON(nil, true)
		switch _, err := f.store.Put(f.ctx(), &s.Summary, doc); {
		case err == nil:
			if !won.CompareAndSwap(nil, &doc) {
				f.Errorf("put %d has succeeded, after another", n)
			}
		case !errors.Is(err, saga.ErrExists):
			f.Errorf("put %d: %v, want %v", n, err, saga.ErrExists)
		default:
			if _, err := readByID(f.ctx(), f.store, id, false); err != nil {
				f.Errorf("read by %d, for whom it exists: %v", n, err)
			}
		}
	})
	if won.Load() == nil {
		f.Fatal("no put has succeeded")
	}
	f.comesBack(id, *won.Load())
}

// together runs do(0) to do(n-1) at once and waits for them.
func (f *fixture) together(n int, do func(int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wg.Wait()
}

func testMissing(f *fixture) {
	f.put(newSnapshot(orders))
	_, err := f.store.Get(f.ctx(), uuid.New())
	f.wantError("get", err, saga.ErrSnapshotNotFound)
	_, err = f.store.Delete(f.ctx(), uuid.New())
	f.wantError("delete", err, saga.ErrSnapshotNotFound)
	// The id of a saga is not that of a snapshot.
	_, err = f.store.Get(f.ctx(), orders)
	f.wantError("get of a saga's id", err, saga.ErrSnapshotNotFound)
}

func testDelete(f *fixture) {
	stays := f.put(newSnapshot(orders))
	goes := f.put(newSnapshot(orders, created(1), kept(9)))
	got, err := f.store.Delete(f.ctx(), goes.ID)
	if err != nil || *got != goes {
		f.Fatalf("deleted %+v, %v; want %+v", got, err, goes)
	}
	_, err = f.store.Get(f.ctx(), goes.ID)
	f.wantError("get afterwards", err, saga.ErrSnapshotNotFound)
	_, err = f.store.Delete(f.ctx(), goes.ID)
	f.wantError("delete afterwards", err, saga.ErrSnapshotNotFound)
	f.sameIDs(f.ids(saga.Query{}), stays.ID)
}

func testDeleteFreesID(f *fixture) {
	f.put(newSnapshot(orders, withID(nth(1)), kept(1), withContext(`{"first":true}`)))
	f.delete(nth(1))

	other := newSnapshot(refunds, withID(nth(1)), created(-50), status("failed"))
	sum := f.put(other)
	if got := f.get(nth(1)); got != sum {
		f.Errorf("found %+v, want %+v", got, sum)
	}
	f.comesBack(nth(1), other.AppendJSON(nil, true))
	f.sameIDs(f.ids(saga.Query{SagaID: valid(orders)}))
	f.sameIDs(f.ids(saga.Query{SagaID: valid(refunds)}), nth(1))
}

func testConcurrentDeletes(f *fixture) {
	s := f.put(newSnapshot(orders))
	var deleted atomic.Int32
	f.together(20, func(int) {
		if _, err := f.store.Delete(f.ctx(), s.ID); err == nil {
			deleted.Add(1)
		} else {
			f.wantError("delete", err, saga.ErrSnapshotNotFound)
		}
	})
	if n := deleted.Load(); n != 1 {
		f.Errorf("%d deletions have succeeded, want 1", n)
	}
}

func testOpenDeleted(f *fixture) {
	f.put(newSnapshot(orders, withID(nth(1))))
	item, err := f.store.Get(f.ctx(), nth(1))
	if err != nil {
		f.Fatal(err)
	}
	listed := f.page(&saga.Query{Limit: 1}).Items[0]
	f.delete(nth(1))
	_, err = item.Open(f.ctx(), false)
	f.wantError("open after get", err, saga.ErrSnapshotNotFound)
	_, err = listed.Open(f.ctx(), true)
	f.wantError("open after list", err, saga.ErrSnapshotNotFound)
}
