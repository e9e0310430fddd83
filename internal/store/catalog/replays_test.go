package catalog_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
)

func replay(id int, sagaID uuid.UUID, created int, status saga.ReplayStatus) catalog.ReplayRecord {
	return catalog.ReplayRecord{ID: nth(id), OriginalSagaID: sagaID, CreatedAt: at(created), Status: status, Size: 7}
}

func replayIDs(t *testing.T, c *catalog.Replays, q saga.Query) (ids []int) {
	t.Helper()
	for {
		page, next := c.List(&q)
		for _, id := range page {
			ids = append(ids, int(id[15]))
		}
		if next == nil {
			return ids
		}
		if len(page) != q.Limit || next.ID != page[q.Limit-1] {
			t.Fatalf("next is %+v behind %v of %d", next, page, q.Limit)
		}
		q.From = next
	}
}

func TestReplayOrder(t *testing.T) {
	var c catalog.Replays
	for _, r := range []catalog.ReplayRecord{
		replay(1, first, 20, saga.ReplayPending), replay(4, first, 10, saga.ReplayPending), replay(9, second, 15, saga.ReplayFailed),
		replay(3, first, 30, saga.ReplaySuccess), replay(5, first, 20, saga.ReplayFailed), replay(2, first, 20, saga.ReplayRunning),
	} {
		c.Put(r)
	}
	want := []int{3, 5, 2, 1, 4}
	for limit := 1; limit < 7; limit++ {
		if got := replayIDs(t, &c, saga.Query{SagaID: of(first), Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("%d a page: %v, want %v", limit, got, want)
		}
		up := replayIDs(t, &c, saga.Query{SagaID: of(first), Limit: limit, Ascending: true})
		if !slices.Equal(up, reversed(want)) {
			t.Errorf("%d a page, up: %v, want %v", limit, up, reversed(want))
		}
	}
	if page, next := c.List(&saga.Query{SagaID: of(first), Limit: 5}); len(page) != 5 || next != nil {
		t.Errorf("a full last page: %v, next %+v", page, next)
	}

	// A cursor stays where it is when its record goes and others come.
	_, next := c.List(&saga.Query{SagaID: of(first), Limit: 2})
	c.Remove(nth(5))
	c.Put(replay(6, first, 20, saga.ReplayPending))
	c.Put(replay(0, first, 20, saga.ReplayPending))
	got := replayIDs(t, &c, saga.Query{SagaID: of(first), Limit: 2, From: next})
	if want := []int{2, 1, 0, 4}; !slices.Equal(got, want) {
		t.Errorf("behind the cursor %v, want %v", got, want)
	}
}

func TestReplayCounts(t *testing.T) {
	var c catalog.Replays
	check := func(total int, size int64, unreadable int, byStatus map[saga.ReplayStatus]int) {
		t.Helper()
		gotTotal, got, gotSize, gotUnreadable := c.Counts()
		if gotTotal != total || gotSize != size || gotUnreadable != unreadable {
			t.Errorf("%d of %d bytes, %d unreadable; want %d, %d, %d", gotTotal, gotSize, gotUnreadable, total, size, unreadable)
		}
		for _, status := range saga.ReplayStatuses {
			if n, ok := got[status]; !ok || n != byStatus[status] {
				t.Errorf("%d are %s (%t), want %d", n, status, ok, byStatus[status])
			}
		}
	}
	check(0, 0, 0, nil)
	c.Put(replay(1, first, 0, saga.ReplayPending))
	c.Put(replay(2, second, 0, saga.ReplayPending))
	check(2, 14, 0, map[saga.ReplayStatus]int{saga.ReplayPending: 2})

	changed := replay(1, first, 0, saga.ReplayFailed)
	changed.Size = 100
	c.Put(changed)
	check(2, 107, 0, map[saga.ReplayStatus]int{saga.ReplayPending: 1, saga.ReplayFailed: 1})
	if got, ok := c.Get(nth(1)); !ok || got != changed {
		t.Errorf("found %+v, want %+v", got, changed)
	}

	c.Put(catalog.ReplayRecord{ID: nth(3), Size: 5, Unreadable: true})
	check(2, 112, 1, map[saga.ReplayStatus]int{saga.ReplayPending: 1, saga.ReplayFailed: 1})
	if got := replayIDs(t, &c, saga.Query{Limit: 5}); len(got) != 0 {
		t.Errorf("the unreadable one is listed: %v", got)
	}
	c.Put(catalog.ReplayRecord{ID: nth(2), Size: 7, Unreadable: true}) // damaged meanwhile
	check(1, 112, 2, map[saga.ReplayStatus]int{saga.ReplayFailed: 1})
	if got := replayIDs(t, &c, saga.Query{SagaID: of(second), Limit: 5}); len(got) != 0 {
		t.Errorf("the damaged one is listed: %v", got)
	}
	for id := range 4 {
		c.Remove(nth(id))
	}
	check(0, 0, 0, nil)
}
