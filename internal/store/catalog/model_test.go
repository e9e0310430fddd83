package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

// naive is a list of records, oldest first, that is searched from end to end.
type naive []catalog.Record

func (n naive) sorted(less func(a, b *catalog.Record) bool) naive {
	n = slices.Clone(n)
	for i := range n {
		for j := i; j > 0 && less(&n[j], &n[j-1]); j-- {
			n[j], n[j-1] = n[j-1], n[j]
		}
	}
	return n
}

func olderThan(a, b saga.Position) bool {
	if a.CreatedAt != b.CreatedAt {
		return a.CreatedAt < b.CreatedAt
	}
	if a.StepIndex != b.StepIndex {
		return a.StepIndex < b.StepIndex
	}
	return strings.Compare(a.ID.String(), b.ID.String()) < 0
}

func (n naive) where(keep func(*catalog.Record) bool) (kept naive) {
	for i := range n {
		if keep(&n[i]) {
			kept = append(kept, n[i])
		}
	}
	return kept
}

func (n naive) ofSaga(id uuid.UUID) naive {
	return n.where(func(r *catalog.Record) bool { return r.SagaID == id })
}

func matches(r *catalog.Record, q *saga.Query) bool {
	return (q.SagaName == "" || q.SagaName == r.SagaName) && (q.StepName == "" || q.StepName == r.StepName) &&
		(q.Status == "" || q.Status == r.Status) && (q.After == nil || r.CreatedAt > *q.After) &&
		(q.Before == nil || r.CreatedAt < *q.Before) && (q.At == nil || r.CreatedAt <= *q.At) &&
		(q.From == nil || q.Ascending && olderThan(*q.From, r.Position()) || !q.Ascending && olderThan(r.Position(), *q.From))
}

func (n naive) page(q *saga.Query) (list naive, more bool) {
	list = n.where(func(r *catalog.Record) bool { return matches(r, q) })
	if !q.Ascending {
		slices.Reverse(list)
	}
	return list[:min(q.Limit, len(list))], len(list) > q.Limit
}

// latest answers the latest record of each saga.
func (n naive) latest() naive {
	return n.where(func(r *catalog.Record) bool {
		all := n.ofSaga(r.SagaID)
		return all[len(all)-1].ID == r.ID
	})
}

func (n naive) expired(before saga.Time) naive {
	return n.where(func(r *catalog.Record) bool {
		return r.RetentionUntil != saga.Never && r.RetentionUntil < before
	}).sorted(func(a, b *catalog.Record) bool {
		if a.RetentionUntil != b.RetentionUntil {
			return a.RetentionUntil < b.RetentionUntil
		}
		return olderThan(a.Position(), b.Position())
	})
}

var (
	anyID    = rapid.Map(rapid.IntRange(0, 15), nth)
	anySaga  = rapid.SampledFrom([]uuid.UUID{first, second, nth(1003)})
	anyTime  = rapid.Map(rapid.IntRange(0, 4), at)
	anyStep  = rapid.Int32Range(0, 2)
	anyText  = rapid.SampledFrom([]string{"a", "b"})
	someText = rapid.SampledFrom([]string{"", "", "a", "b"})
)

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, m := catalog.New(), naive(nil)
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				r := catalog.Record{Summary: saga.Summary{
					ID: anyID.Draw(t, "id"), SagaID: anySaga.Draw(t, "saga"), CreatedAt: anyTime.Draw(t, "created"),
					StepIndex: anyStep.Draw(t, "step"), SagaName: anyText.Draw(t, "name"), StepName: anyText.Draw(t, "step name"),
					Status: anyText.Draw(t, "status"), RetentionUntil: saga.Never, SizeBytes: rapid.Int64Range(1, 9).Draw(t, "size"),
				}}
				if until := rapid.Ptr(anyTime, true).Draw(t, "retention"); until != nil {
					r.RetentionUntil = *until
				}
				r.RawSize = 2 * r.SizeBytes
				known := len(m.where(func(o *catalog.Record) bool { return o.ID == r.ID })) > 0
				if c.Insert(&r) == known {
					t.Fatalf("known is %t", known)
				}
				if !known {
					m = append(m, r).sorted(func(a, b *catalog.Record) bool { return olderThan(a.Position(), b.Position()) })
				}
			},
			"remove": func(t *rapid.T) {
				id := anyID.Draw(t, "id")
				want := m.where(func(r *catalog.Record) bool { return r.ID == id })
				found, ok := c.Get(id)
				removed, ok2 := c.Remove(id)
				if ok != (len(want) == 1) || ok2 != ok || ok && (found != want[0] || removed != want[0]) {
					t.Fatalf("found %+v, removed %+v, want %+v", found, removed, want)
				}
				m = m.where(func(r *catalog.Record) bool { return r.ID != id })
			},
			"list":   func(t *rapid.T) { checkList(t, c, m) },
			"choose": func(t *rapid.T) { checkChoice(t, c, m) },
			"":       func(t *rapid.T) { checkCounts(t, c, m) },
		})
	})
}

func checkList(t *rapid.T, c *catalog.Catalog, m naive) {
	q := &saga.Query{
		Filter: saga.Filter{
			SagaName: someText.Draw(t, "name"), StepName: someText.Draw(t, "step name"), Status: someText.Draw(t, "status"),
			After: rapid.Ptr(anyTime, true).Draw(t, "after"), Before: rapid.Ptr(anyTime, true).Draw(t, "before"),
			At: rapid.Ptr(anyTime, true).Draw(t, "at"),
		},
		Ascending: rapid.Bool().Draw(t, "ascending"),
		Limit:     rapid.IntRange(1, 4).Draw(t, "limit"),
	}
	if rapid.Bool().Draw(t, "from the middle") {
		q.From = &saga.Position{CreatedAt: anyTime.Draw(t, "from"), StepIndex: anyStep.Draw(t, "from step"), ID: anyID.Draw(t, "from id")}
	}
	of, what := m, rapid.SampledFrom([]string{"all", "a saga", "sagas"}).Draw(t, "list of")
	switch what {
	case "a saga":
		q.SagaID = uuid.NullUUID{UUID: anySaga.Draw(t, "saga"), Valid: true}
		of = m.ofSaga(q.SagaID.UUID)
	case "sagas":
		of = m.latest()
	}
	want, more := of.page(q)

	var got []uuid.UUID
	var next *saga.Position
	if what == "sagas" {
		page, n := c.Sagas(q)
		next = n
		for i := range page {
			checkSaga(t, page[i], m.ofSaga(page[i].ID))
			got = append(got, page[i].LastSnapshotID)
		}
	} else {
		page, n := c.List(q)
		next = n
		for _, r := range page {
			got = append(got, r.ID)
		}
	}
	if !slices.Equal(got, want.ids()) || (next != nil) != more || more && *next != want[len(want)-1].Position() {
		t.Fatalf("%v, next %+v; want %v, more=%t", got, next, want.ids(), more)
	}
}

func (n naive) ids() (ids []uuid.UUID) {
	for _, r := range n {
		ids = append(ids, r.ID)
	}
	return ids
}

func (n naive) bytes() (sum int64) {
	for _, r := range n {
		sum += r.SizeBytes
	}
	return sum
}

func checkSaga(t *rapid.T, got saga.Saga, all naive) {
	last := all[len(all)-1]
	if want := (saga.Saga{
		ID: last.SagaID, Name: last.SagaName, SnapshotCount: len(all), FirstCreatedAt: all[0].CreatedAt,
		LastCreatedAt: last.CreatedAt, LastSnapshotID: last.ID, LastStepName: last.StepName,
		LastStepIndex: last.StepIndex, LastStatus: last.Status, SizeBytes: all.bytes(),
	}); got != want {
		t.Fatalf("summed up as %+v, want %+v", got, want)
	}
}

func checkChoice(t *rapid.T, c *catalog.Catalog, m naive) {
	sel := &store.Selection{Limit: rapid.IntRange(0, 4).Draw(t, "limit"), Sample: 3}
	var want naive
	if rapid.Bool().Draw(t, "expired") {
		sel.ExpiredBefore = ptr(anyTime.Draw(t, "before"))
		want = m.expired(*sel.ExpiredBefore)
	} else {
		sel.SagaID = uuid.NullUUID{UUID: anySaga.Draw(t, "saga"), Valid: true}
		sel.KeepNewest = rapid.IntRange(0, 3).Draw(t, "keep")
		want = m.ofSaga(sel.SagaID.UUID)
		want = want[:max(0, len(want)-sel.KeepNewest)]
	}
	if d := c.Describe(sel); d.Count != len(want) || d.Bytes != want.bytes() || len(d.Sample) != min(3, len(want)) || c.Count(sel) != len(want) {
		t.Fatalf("described as %+v, want %d of %d bytes", d, len(want), want.bytes())
	}
	if sel.Limit > 0 {
		want = want[:min(sel.Limit, len(want))]
	}
	if chosen, _ := c.Choose(sel); !slices.Equal(naive(chosen).ids(), want.ids()) {
		t.Fatalf("chosen %v, want %v", naive(chosen).ids(), want.ids())
	}
}

func checkCounts(t *rapid.T, c *catalog.Catalog, m naive) {
	now := anyTime.Draw(t, "now")
	got := fill(c, now)
	if got.Snapshots != len(m) || got.Sagas != len(m.latest()) || got.Expired != len(m.expired(now)) ||
		got.SnapshotBytes != m.bytes() || got.UncompressedBytes != 2*m.bytes() {
		t.Fatalf("counted %+v at %d of %+v", got, now-epoch, m)
	}
	n := 0
	for status, count := range got.SnapshotsByStatus {
		n += count
		if want := len(m.where(func(r *catalog.Record) bool { return r.Status == status })); count != want || want == 0 {
			t.Fatalf("%d are %q, want %d", count, status, want)
		}
	}
	oldest, newest := saga.Never, saga.Never
	if len(m) > 0 {
		oldest, newest = m[0].CreatedAt, m[len(m)-1].CreatedAt
	}
	if n != len(m) || got.Oldest != oldest || got.Newest != newest {
		t.Fatalf("%d have a status, they are from %d to %d; want %d, %d, %d", n, got.Oldest, got.Newest, len(m), oldest, newest)
	}
}
