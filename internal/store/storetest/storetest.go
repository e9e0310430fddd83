// Package storetest checks that a store keeps the promises of package store.
// Run has a subtest for each clause of the contract; RunModel compares random
// operations with a naive model.
package storetest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// A Harness makes the stores that are tested.
type Harness struct {
	// Open returns an empty store. The suite closes it.
	Open func(t *testing.T) store.Store
	// Reopen closes the store and opens anew what it has left behind. nil = the
	// store keeps nothing when it is closed, and the subtests about that are skipped.
	Reopen func(t *testing.T, s store.Store) store.Store
	// Crash opens anew what the store leaves behind when it ends without being closed,
	// and of what it has not synced this fraction survives, chosen by the seed; with 1 all
	// of it, unsynced as it is. It gets rid of the store. nil = as with Reopen.
	Crash func(t *testing.T, s store.Store, kept float64, seed uint64) store.Store
	// Corrupt damages the document of a snapshot behind the store's back, so that
	// it can no longer be read, not even as another document. nil = there is no
	// way to, and the subtests about that are skipped.
	Corrupt func(t *testing.T, s store.Store, id uuid.UUID)
}

type clause struct {
	name string
	test func(*fixture)
}

// Run checks the clauses of the contract one by one. After each of them the
// store's lists and counts are checked against each other.
func Run(t *testing.T, h Harness) {
	for _, group := range []struct {
		name    string
		clauses []clause
	}{
		{"snapshots", []clause{
			{"a snapshot is found by its id", testFound},
			{"documents come back byte for byte", testBytes},
			{"a document of 5 MB comes back", testLargeDocument},
			{"bytes given may be reused", testBytesGiven},
			{"bytes answered may be changed", testBytesAnswered},
			{"a known id is ErrExists", testCreateOnly},
			{"of many puts of one id exactly one succeeds", testConcurrentPuts},
			{"a missing snapshot is ErrSnapshotNotFound", testMissing},
			{"delete answers what it removed", testDelete},
			{"a deleted id is free", testDeleteFreesID},
			{"of many deletes of one id exactly one succeeds", testConcurrentDeletes},
			{"opening what was deleted is ErrSnapshotNotFound", testOpenDeleted},
			{"a cancelled context has no effect but its error", testCancelled},
			{"every method may be called by many goroutines", testConcurrentUse},
			{"a snapshot in a list is readable while others are saving", testReadersSeeWholeSnapshots},
		}},
		{"lists", []clause{
			{"are ordered by time, step and id, newest first", testOrder},
			{"ascend in the exact reverse order", testAscending},
			{"page with Next until the end", testPaging},
			{"after and before exclude, at includes", testBounds},
			{"bounds meet the smallest and largest positions", testExtremePositions},
			{"hold what matches every filter", testFilters},
			{"of an unknown saga are empty", testUnknownSaga},
			{"show what is there throughout once, while others write", testWalkUnderChange},
			{"walk on while goroutines write", testWalkUnderConcurrentChange},
		}},
		{"sagas", []clause{
			{"are summed up", testSagaSummary},
			{"without snapshots are ErrSagaNotFound", testSagaMissing},
			{"are ordered by their latest snapshots", testSagaOrder},
			{"follow back-dated saves and deletions", testSagaMoves},
			{"are filtered by their latest snapshots", testSagaFilters},
			{"page with Next until the end", testSagaPaging},
			{"show who stays put once, while others move", testSagaWalkUnderChange},
		}},
		{"delete many", []clause{
			{"removes what expired strictly before", testExpired},
			{"never touches what has no retention", testNoRetention},
			{"removes at most Limit, earliest first", testLimit},
			{"removes a saga's snapshots, oldest first", testDeleteSaga},
			{"of an unknown saga removes nothing", testDeleteUnknownSaga},
			{"spares the newest", testKeepNewest},
			{"answers a bounded sample", testSample},
			{"changes nothing in a dry run", testDryRun},
			{"answers what it removed until it was stopped", testStopped},
		}},
		{"replays", []clause{
			{"come back as they went in", testReplayFields},
			{"share no memory", testReplayMemory},
			{"of a known id are ErrExists", testReplayCreateOnly},
			{"of many puts of one id exactly one succeeds", testConcurrentReplayPuts},
			{"are replaced only if they are as expected", testReplayCompareAndSet},
			{"of many compare-and-sets exactly one succeeds", testConcurrentCompareAndSet},
			{"that are missing are ErrReplayNotFound", testReplayMissing},
			{"are listed by time and id", testReplayOrder},
			{"page with Next until the end", testReplayPaging},
			{"show what is there throughout once, while others save", testReplayWalkUnderChange},
			{"are deleted by saga", testDeleteReplays},
		}},
		{"stats", []clause{
			{"of an empty store are zero", testEmptyStats},
			{"are exact after a mix", testStats},
			{"belong to the caller", testStatsMemory},
			{"count as expired what was due", testExpiredStats},
		}},
		{"reopening", []clause{
			{"keeps every snapshot", testReopenKeepsSnapshots},
			{"keeps deletions", testReopenKeepsDeletions},
			{"keeps every replay", testReopenKeepsReplays},
			{"keeps the places of a list", testReopenKeepsPositions},
			{"leaves the store fit for writing", testReopenThenWrite},
		}},
		{"a crash", []clause{
			{"loses no snapshot", afterCrash(testReopenKeepsSnapshots)},
			{"loses no deletion", afterCrash(testReopenKeepsDeletions)},
			{"loses no replay", afterCrash(testReopenKeepsReplays)},
			{"keeps the places of a list", afterCrash(testReopenKeepsPositions)},
			{"leaves the store fit for writing", afterCrash(testReopenThenWrite)},
		}},
		{"an unreadable document", []clause{
			{"is a CorruptError naming its id", testCorruptRead},
			{"keeps its id", testCorruptPut},
			{"is skipped and named by lists", testCorruptList},
			{"is counted", testCorruptStats},
			{"can be deleted", testCorruptDelete},
			{"goes with its saga", testCorruptDeleteSaga},
			{"counts towards the limit", testCorruptDeleteSagaBounded},
			{"is not touched by expiry or KeepNewest", testCorruptSpared},
		}},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.clauses {
				t.Run(c.name, func(t *testing.T) { c.test(open(t, h)) })
			}
		})
	}
}

// A fixture is a store under test.
type fixture struct {
	*testing.T
	Harness
	store   store.Store
	crashes bool // instead of being closed
}

// afterCrash is a subtest in which the store crashes where it would be reopened.
func afterCrash(test func(*fixture)) func(*fixture) {
	return func(f *fixture) {
		if f.Crash == nil {
			f.Skip("the store keeps nothing when it ends")
		}
		f.crashes = true
		test(f)
	}
}

func open(t *testing.T, h Harness) *fixture {
	f := &fixture{T: t, Harness: h, store: h.Open(t)}
	t.Cleanup(func() {
		if !t.Skipped() {
			f.verify()
		}
		if err := f.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

func (f *fixture) reopen() {
	f.Helper()
	if f.crashes {
		f.store = f.Crash(f.T, f.store, 0, 0)
		return
	}
	if f.Reopen == nil {
		f.Skip("the store keeps nothing when it is closed")
	}
	f.store = f.Reopen(f.T, f.store)
}

// ctx outlives the test, for the checks behind it.
func (f *fixture) ctx() context.Context { return context.WithoutCancel(f.Context()) }

// verify checks that what the store lists, finds and counts is one and the same.
func (f *fixture) verify() {
	f.Helper()
	m := newModel()
	down := f.walk(&saga.Query{Limit: 100})
	for i := range down {
		m.snapshots[down[i].ID] = &down[i]
		if got := f.get(down[i].ID); got != down[i] {
			f.Errorf("found by its id %+v, listed as %+v", got, down[i])
		}
	}
	f.sameSummaries(down, m.list(&saga.Query{}))
	f.sameSummaries(f.walk(&saga.Query{Limit: 100, Ascending: true}), m.list(&saga.Query{Ascending: true}))
	sagas := m.sagas(&saga.Query{})
	f.sameSagas(f.walkSagas(&saga.Query{Limit: 100}), sagas)
	for i := range sagas {
		q := saga.Query{SagaID: valid(sagas[i].ID), Limit: 100}
		f.sameSummaries(f.walk(&q), m.list(&q))
		if got, err := f.store.Saga(f.ctx(), sagas[i].ID); err != nil || *got != sagas[i] {
			f.Errorf("saga %+v, %v; want %+v", got, err, sagas[i])
		}
	}
	f.sameSnapshotStats(f.stats(epoch), m.stats(epoch))
}
