package catalog_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/catalog"
)

// sagas answers the sagas of a query on pages of one.
func sagas(c *catalog.Catalog, q saga.Query) (ids []uuid.UUID) {
	q.Limit = 1
	for {
		page, next := c.Sagas(&q)
		for _, s := range page {
			ids = append(ids, s.ID)
		}
		if next == nil {
			return ids
		}
		q.From = next
	}
}

func checkSagas(t *testing.T, c *catalog.Catalog, q saga.Query, descending ...uuid.UUID) {
	t.Helper()
	if got := sagas(c, q); !slices.Equal(got, descending) {
		t.Errorf("%+v: %v, want %v", q, got, descending)
	}
	q.Ascending = true
	got := sagas(c, q)
	slices.Reverse(got)
	if !slices.Equal(got, descending) {
		t.Errorf("%+v: %v in reverse, want %v", q, got, descending)
	}
}

func TestSagaSummary(t *testing.T) {
	c := catalog.New()
	last := record(1, first, 20, 2)
	last.SagaName, last.StepName, last.Status = "order v2", "ship", "failed"
	insert(t, c, last, record(3, first, 20, 1))
	want := saga.Saga{
		ID: first, Name: "order v2", SnapshotCount: 2, FirstCreatedAt: at(20), LastCreatedAt: at(20),
		LastSnapshotID: nth(1), LastStepName: "ship", LastStepIndex: 2, LastStatus: "failed", SizeBytes: 20,
	}
	if got, ok := c.Saga(first); !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}

	insert(t, c, record(5, first, -7, 9))
	want.SnapshotCount, want.FirstCreatedAt, want.SizeBytes = 3, at(-7), 30
	if got, _ := c.Saga(first); got != want {
		t.Errorf("after a back-dated insert %+v, want %+v", got, want)
	}

	c.Remove(nth(1))
	want.SnapshotCount, want.SizeBytes = 2, 20
	want.Name, want.LastSnapshotID, want.LastStepName, want.LastStepIndex, want.LastStatus = "order", nth(3), "charge", 1, "executing"
	if got, _ := c.Saga(first); got != want {
		t.Errorf("after its latest was removed %+v, want %+v", got, want)
	}

	c.Remove(nth(3))
	c.Remove(nth(5))
	if got, ok := c.Saga(first); ok || c.Contains(first) {
		t.Errorf("without snapshots it is %+v", got)
	}
}

func TestSagaOrder(t *testing.T) {
	c := catalog.New()
	third := nth(1003)
	insert(t, c, record(1, first, 10, 7), record(2, second, 10, 8), record(3, third, 5, 9))
	checkSagas(t, c, saga.Query{}, second, first, third)
	insert(t, c, record(4, third, -10, 0)) // back-dated: nothing moves
	checkSagas(t, c, saga.Query{}, second, first, third)
	insert(t, c, record(5, third, 10, 8)) // a tie, but for the id
	checkSagas(t, c, saga.Query{}, third, second, first)
	c.Remove(nth(5))
	checkSagas(t, c, saga.Query{}, second, first, third)
	c.Remove(nth(3))
	insert(t, c, record(6, first, 11, 0))
	checkSagas(t, c, saga.Query{}, first, second, third)
	checkSagas(t, c, saga.Query{SagaID: of(second)}, first, second, third) // ignored
	c.Remove(nth(2))
	checkSagas(t, c, saga.Query{}, first, third)
}

func TestSagaFilters(t *testing.T) {
	c := catalog.New()
	old := record(1, first, 0, 0)
	old.Status = "failed"
	insert(t, c, old, record(2, first, 20, 0), record(3, second, 10, 0))
	checkSagas(t, c, saga.Query{Filter: saga.Filter{Status: "failed"}})
	checkSagas(t, c, saga.Query{Filter: saga.Filter{Status: "executing"}}, first, second)
	checkSagas(t, c, saga.Query{Filter: saga.Filter{Before: ptr(at(20))}}, second)
	checkSagas(t, c, saga.Query{Filter: saga.Filter{After: ptr(at(10))}}, first)
	checkSagas(t, c, saga.Query{Filter: saga.Filter{At: ptr(at(10))}}, second)
	c.Remove(nth(2))
	checkSagas(t, c, saga.Query{Filter: saga.Filter{Status: "failed"}}, first)
}

func TestExpiry(t *testing.T) {
	c := catalog.New()
	insert(t, c,
		expiring(record(1, first, 0, 0), 30), expiring(record(2, second, 1, 0), 10),
		expiring(record(3, first, 0, 0), 10), expiring(record(4, first, 0, 0), -5), record(5, first, -99, 0))
	for now, want := range map[saga.Time]int{
		at(-6): 0, at(-5): 0, at(-4): 1, at(10): 1, at(11): 3, at(30): 3, at(31): 4, saga.Never: 4,
	} {
		if got := fill(c, now).Expired; got != want {
			t.Errorf("%d have expired at %d, want %d", got, now-epoch, want)
		}
		sel := &store.Selection{ExpiredBefore: &now}
		chosen, broken := c.Choose(sel)
		total := c.Count(sel)
		if d := c.Describe(sel); d.Count != want || d.Bytes != int64(10*want) || d.Remaining != want {
			t.Errorf("at %d described as %+v, want %d", now-epoch, d, want)
		}
		if len(chosen) != want || total != want || broken != nil {
			t.Errorf("%d of %d and %v are chosen at %d, want %d", len(chosen), total, broken, now-epoch, want)
		}
	}
	sel := &store.Selection{ExpiredBefore: ptr(at(31)), Limit: 3}
	for _, want := range [][]int{{4, 3, 2}, {1}, nil} {
		chosen, _ := c.Choose(sel)
		var got []int
		for _, r := range chosen {
			got = append(got, int(r.ID[15]))
			c.Remove(r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("chosen %v, want %v, earliest first", got, want)
		}
	}
	check(t, c, saga.Query{}, 5)
}

func TestChooseOfASaga(t *testing.T) {
	c := ordered(t)
	for _, tt := range []struct {
		keep, limit, total int
		want               []int
	}{
		{0, 0, 6, []int{2, 7, 9, 3, 5, 1}}, {0, 2, 6, []int{2, 7}},
		{2, 0, 4, []int{2, 7, 9, 3}}, {2, 3, 4, []int{2, 7, 9}}, {2, 5, 4, []int{2, 7, 9, 3}},
		{6, 0, 0, nil}, {7, 1, 0, nil},
	} {
		sel := &store.Selection{SagaID: of(first), KeepNewest: tt.keep, Limit: tt.limit, Sample: 2}
		chosen, _ := c.Choose(sel)
		var got []int
		for _, r := range chosen {
			got = append(got, int(r.ID[15]))
		}
		if total := c.Count(sel); !slices.Equal(got, tt.want) || total != tt.total {
			t.Errorf("%+v chooses %v of %d, want %v of %d", sel, got, total, tt.want, tt.total)
		}
		d := c.Describe(sel)
		if d.Count != tt.total || len(d.Sample) != min(2, tt.total) {
			t.Errorf("%+v is described as %+v, want %d in all and two of them", sel, d, tt.total)
		}
	}
}

func TestUnreadable(t *testing.T) {
	c := catalog.New()
	a := catalog.Unreadable{ID: nth(9), SagaID: first, Name: "9.json"}
	b := catalog.Unreadable{ID: nth(9), SagaID: first, Name: "9.json.gz"}
	elsewhere := catalog.Unreadable{ID: nth(2), SagaID: second, Name: "2.json"}
	for _, u := range []catalog.Unreadable{a, b, a, elsewhere} {
		c.AddUnreadable(u)
	}
	insert(t, c, record(1, first, 0, 0))

	if got := c.Unreadable(nth(9)); !reflect.DeepEqual(got, []catalog.Unreadable{a, b}) {
		t.Errorf("noted %+v", got)
	}
	if s := fill(c, epoch); s.UnreadableSnapshots != 3 || s.Snapshots != 1 || s.Sagas != 1 {
		t.Errorf("counted %+v", s)
	}
	for _, tt := range []struct {
		of    uuid.NullUUID
		limit int
		want  []uuid.UUID
	}{
		{uuid.NullUUID{}, 10, []uuid.UUID{nth(2), nth(9)}}, {uuid.NullUUID{}, 1, []uuid.UUID{nth(2)}},
		{of(first), 10, []uuid.UUID{nth(9)}}, {of(second), 10, []uuid.UUID{nth(2)}}, {of(nth(5)), 10, nil},
	} {
		if got := c.UnreadableOf(tt.of, tt.limit); !slices.Equal(got, tt.want) {
			t.Errorf("lists of %v name %v, want %v", tt.of, got, tt.want)
		}
	}

	sel := &store.Selection{SagaID: of(first)}
	for limit, want := range [][2]int{{1, 2}, {1, 0}, {1, 1}, {1, 2}, {1, 2}} {
		sel.Limit = limit
		if chosen, broken := c.Choose(sel); len(chosen) != want[0] || len(broken) != want[1] || c.Count(sel) != 3 {
			t.Errorf("at most %d: chosen %v, %v of %d", limit, chosen, broken, c.Count(sel))
		}
	}
	if d := c.Describe(sel); d.Count != 3 || d.Unreadable != 2 {
		t.Errorf("described as %+v", d)
	}
	sel.KeepNewest = 1
	if _, broken := c.Choose(sel); len(broken) != 0 || c.Count(sel) != 0 {
		t.Errorf("beyond the newest there are %v of %d", broken, c.Count(sel))
	}

	checkSagas(t, c, saga.Query{}, first)
	if _, ok := c.Saga(second); ok || !c.Contains(second) {
		t.Error("a saga of unreadable ones alone is known, but has no snapshots")
	}
	c.RemoveUnreadable(elsewhere)
	c.RemoveUnreadable(elsewhere)
	c.RemoveUnreadable(a)
	if c.Contains(second) || fill(c, epoch).UnreadableSnapshots != 1 {
		t.Error("what was removed is still known")
	}
	if got := c.Unreadable(nth(9)); !reflect.DeepEqual(got, []catalog.Unreadable{b}) {
		t.Errorf("left is %+v", got)
	}
	c.Remove(nth(1))
	if !c.Contains(first) {
		t.Error("the saga is forgotten, though an unreadable one is left")
	}
	insert(t, c, record(3, first, 0, 0))
	checkSagas(t, c, saga.Query{}, first)
	c.RemoveUnreadable(b)
	if got := c.UnreadableOf(uuid.NullUUID{}, 10); len(got) != 0 || !c.Contains(first) {
		t.Errorf("at the end %v are unreadable", got)
	}
}
