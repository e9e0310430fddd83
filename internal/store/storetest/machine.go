package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// RunModel does random operations on a store and on a naive model, and compares
// every answer. Ids, times and names are few, so that they meet.
func RunModel(t *testing.T, h Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{model: newModel(), store: h.Open(t)}
		defer func() {
			if err := m.store.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		actions := map[string]func(*rapid.T){
			"put":            m.put,
			"put again":      m.put, // twice as often
			"get":            m.get,
			"list":           m.list,
			"latest":         m.latest,
			"sagas":          m.sagas,
			"saga":           m.saga,
			"delete":         m.delete,
			"delete many":    m.deleteMany,
			"put replay":     m.putReplay,
			"replace replay": m.replaceReplay,
			"get replay":     m.getReplay,
			"list replays":   m.listReplays,
			"delete replays": m.deleteReplays,
			"":               m.stats,
		}
		if h.Reopen != nil {
			actions["reopen"] = func(*rapid.T) { m.store = h.Reopen(t, m.store) }
		}
		if h.Crash != nil {
			actions["crash"] = func(rt *rapid.T) {
				kept := rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(rt, "kept")
				m.store = h.Crash(t, m.store, kept, rapid.Uint64().Draw(rt, "seed"))
			}
		}
		rt.Repeat(actions)
	})
}

type machine struct {
	*model
	store store.Store
}

var (
	anyID     = rapid.Map(rapid.IntRange(1, 12), nth)
	anySaga   = rapid.SampledFrom([]uuid.UUID{orders, refunds, parcels})
	anyReplay = rapid.Map(rapid.IntRange(101, 106), nth)
	anyTime   = rapid.Map(rapid.IntRange(0, 4), at)
	anyName   = rapid.SampledFrom([]string{"order", "refund"})
	anyStep   = rapid.SampledFrom([]string{"charge", "ship"})
	anyStatus = rapid.SampledFrom([]string{"executing", "completed", "failed"})
	anyState  = rapid.SampledFrom(saga.ReplayStatuses)
)

func maybe[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

func maybeText(g *rapid.Generator[string]) *rapid.Generator[string] {
	return rapid.OneOf(rapid.Just(""), rapid.Just(""), g)
}

var anyQuery = rapid.Custom(func(t *rapid.T) *saga.Query {
	q := &saga.Query{
		Filter: saga.Filter{
			SagaName: maybeText(anyName).Draw(t, "name"),
			StepName: maybeText(anyStep).Draw(t, "step"),
			Status:   maybeText(anyStatus).Draw(t, "status"),
			After:    maybe(anyTime).Draw(t, "after"),
			Before:   maybe(anyTime).Draw(t, "before"),
			At:       maybe(anyTime).Draw(t, "at"),
		},
		Ascending: rapid.Bool().Draw(t, "ascending"),
		Limit:     rapid.IntRange(1, 5).Draw(t, "limit"),
	}
	if rapid.Bool().Draw(t, "from the middle") {
		q.From = &saga.Position{
			CreatedAt: anyTime.Draw(t, "from"), StepIndex: rapid.Int32Range(0, 2).Draw(t, "from step"), ID: anyID.Draw(t, "from id"),
		}
	}
	if rapid.Bool().Draw(t, "of one saga") {
		q.SagaID = valid(anySaga.Draw(t, "saga"))
	}
	return q
})

// no complains about an error where there must be none.
func no(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants complains about another error than the model has.
func wants(t *rapid.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

// equal complains about an answer that is not the model's.
func equal(t *rapid.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("\n got %+v\nwant %+v", got, want)
	}
}

func (m *machine) put(t *rapid.T) {
	s := newSnapshot(anySaga.Draw(t, "saga"), withID(anyID.Draw(t, "id")),
		named(anyName.Draw(t, "name")), step(anyStep.Draw(t, "step")), status(anyStatus.Draw(t, "status")),
		index(rapid.Int32Range(0, 2).Draw(t, "index")),
		withContext(fmt.Sprintf(`{"n":%d.0}`, rapid.Int().Draw(t, "n"))))
	s.CreatedAt = anyTime.Draw(t, "created")
	if until := maybe(anyTime).Draw(t, "retention"); until != nil {
		s.RetentionUntil = *until
	}
	doc := s.AppendJSON(nil, rapid.Bool().Draw(t, "indented"))

	size, err := m.store.Put(context.Background(), &s.Summary, bytes.Clone(doc))
	if m.snapshots[s.ID] != nil {
		wants(t, err, saga.ErrExists)
		return
	}
	no(t, err)
	s.SizeBytes = size
	m.snapshots[s.ID], m.documents[s.ID] = &s.Summary, doc
}

func (m *machine) get(t *rapid.T) {
	id := anyID.Draw(t, "id")
	item, err := m.store.Get(context.Background(), id)
	if m.snapshots[id] == nil {
		wants(t, err, saga.ErrSnapshotNotFound)
		return
	}
	no(t, err)
	m.checkItem(t, item)
}

func (m *machine) checkItem(t *rapid.T, item *store.Item) {
	t.Helper()
	equal(t, item.Summary, *m.snapshots[item.ID])
	doc, err := read(context.Background(), item, rapid.Bool().Draw(t, "gzipped"))
	no(t, err)
	equal(t, string(doc), string(m.documents[item.ID]))
}

func (m *machine) list(t *rapid.T) {
	q := anyQuery.Draw(t, "query")
	page, err := m.store.List(context.Background(), q)
	no(t, err)
	all := m.model.list(q)
	equal(t, len(page.Items), min(q.Limit, len(all)))
	for i := range page.Items {
		equal(t, page.Items[i].ID, all[i].ID)
		m.checkItem(t, &page.Items[i])
	}
	checkNext(t, page.Next, q.Limit, all, (*saga.Summary).Position)
	equal(t, page.Unreadable, []uuid.UUID(nil))
}

// checkNext compares a cursor with the place where a page of all ends.
func checkNext[T any](t *rapid.T, got *saga.Position, limit int, all []T, position func(*T) saga.Position) {
	t.Helper()
	var want *saga.Position
	if len(all) > limit {
		want = ptr(position(&all[limit-1]))
	}
	equal(t, got, want)
}

// latest is a list of one, and so is the latest as of a time.
func (m *machine) latest(t *rapid.T) {
	q := &saga.Query{SagaID: valid(anySaga.Draw(t, "saga")), Limit: 1}
	q.At = maybe(anyTime).Draw(t, "at")
	q.StepName = maybeText(anyStep).Draw(t, "step")
	page, err := m.store.List(context.Background(), q)
	no(t, err)
	var best *saga.Summary
	for _, s := range m.snapshots {
		if s.SagaID == q.SagaID.UUID && q.Matches(s) && (best == nil || compare(s.Position(), best.Position()) > 0) {
			best = s
		}
	}
	if best == nil {
		equal(t, len(page.Items), 0)
		return
	}
	equal(t, len(page.Items), 1)
	equal(t, page.Items[0].Summary, *best)
}

func (m *machine) sagas(t *rapid.T) {
	q := anyQuery.Draw(t, "query")
	page, err := m.store.Sagas(context.Background(), q)
	no(t, err)
	all := m.model.sagas(q)
	equal(t, slices.Concat(page.Sagas), slices.Concat(all[:min(q.Limit, len(all))]))
	checkNext(t, page.Next, q.Limit, all, (*saga.Saga).Position)
}

func (m *machine) saga(t *rapid.T) {
	id := anySaga.Draw(t, "saga")
	got, err := m.store.Saga(context.Background(), id)
	if !slices.Contains(m.sagaIDs(), id) {
		wants(t, err, saga.ErrSagaNotFound)
		return
	}
	no(t, err)
	want, _ := m.model.saga(id)
	equal(t, *got, want)
}

func (m *machine) delete(t *rapid.T) {
	id := anyID.Draw(t, "id")
	got, err := m.store.Delete(context.Background(), id)
	if m.snapshots[id] == nil {
		wants(t, err, saga.ErrSnapshotNotFound)
		return
	}
	no(t, err)
	equal(t, *got, *m.snapshots[id])
	m.forget(*got)
}

func (m *machine) forget(gone ...saga.Summary) {
	for _, s := range gone {
		delete(m.snapshots, s.ID)
		delete(m.documents, s.ID)
	}
}

// deleteMany takes from the answer which of several that expire at one time
// were deleted; the contract does not say.
func (m *machine) deleteMany(t *rapid.T) {
	sel := &store.Selection{Sample: math.MaxInt}
	switch rapid.IntRange(0, 2).Draw(t, "selection") {
	case 0:
		sel.ExpiredBefore = ptr(anyTime.Draw(t, "expired before"))
	case 1:
		sel.KeepNewest = rapid.IntRange(1, 3).Draw(t, "keep")
		fallthrough
	case 2:
		sel.SagaID = valid(anySaga.Draw(t, "saga"))
	}
	sel.DryRun = rapid.Bool().Draw(t, "dry run")
	if !sel.DryRun {
		sel.Limit = rapid.IntRange(0, 3).Draw(t, "limit")
	}
	d, err := m.store.DeleteMany(context.Background(), sel)
	no(t, err)

	chosen := m.chosen(sel)
	n := len(chosen)
	if sel.Limit > 0 {
		n = min(n, sel.Limit)
	}
	gone := d.Sample
	equal(t, len(gone), n)
	if sel.ExpiredBefore != nil {
		slices.SortStableFunc(chosen, func(a, b saga.Summary) int { return int(a.RetentionUntil - b.RetentionUntil) })
	}
	seen := map[uuid.UUID]bool{}
	for i, s := range gone {
		if !slices.Contains(chosen, s) || seen[s.ID] {
			t.Fatalf("%+v is not to be deleted, or was before", s)
		}
		seen[s.ID] = true
		if sel.ExpiredBefore != nil {
			equal(t, s.RetentionUntil, chosen[i].RetentionUntil)
		} else {
			equal(t, s, chosen[i])
		}
	}
	want := store.Deletion{Count: n, Bytes: bytesOf(gone), Sample: gone, Remaining: len(chosen) - n}
	if sel.DryRun {
		want.Remaining = n
	} else {
		m.forget(gone...)
	}
	equal(t, *d, want)
}

func (m *machine) stats(t *rapid.T) {
	now := anyTime.Draw(t, "now")
	got, err := m.store.Stats(context.Background(), now)
	no(t, err)
	equal(t, counts(got), counts(m.model.stats(now)))
}
