package storetest

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

func (f *fixture) wantError(what string, got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (f *fixture) sameSummaries(got, want []saga.Summary) {
	f.Helper()
	same(f, "snapshots", got, want)
}

func (f *fixture) sameSagas(got, want []saga.Saga) {
	f.Helper()
	same(f, "sagas", got, want)
}

func (f *fixture) sameIDs(got []uuid.UUID, want ...uuid.UUID) {
	f.Helper()
	same(f, "ids", got, want)
}

// same compares two lists element by element.
func same[T comparable](f *fixture, what string, got, want []T) {
	f.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			f.Errorf("%d %s, want %d; the first that differs is number %d:\n got %+v\nwant %+v", len(got), what, len(want), i, got[i], want[i])
			return
		}
	}
	f.Errorf("%d %s, want %d\n got %+v\nwant %+v", len(got), what, len(want), got, want)
}

func (f *fixture) sameDocument(got, want []byte) {
	f.Helper()
	if !bytes.Equal(got, want) {
		f.Errorf("%d bytes came back, %d went in:\n got %.200q\nwant %.200q", len(got), len(want), got, want)
	}
}

func (f *fixture) sameReplay(got, want *saga.Replay) {
	f.Helper()
	if !equalReplays(got, want) {
		f.Errorf("replay %s, want %s", got.AppendJSON(nil, false), want.AppendJSON(nil, false))
	}
}

// equalReplays compares an override token by token: stores may lay it out anew.
func equalReplays(a, b *saga.Replay) bool {
	x, y := *a, *b
	x.ContextOverride, y.ContextOverride = nil, nil
	return reflect.DeepEqual(x, y) && (a.ContextOverride == nil) == (b.ContextOverride == nil) &&
		(a.ContextOverride == nil || document.Equal(a.ContextOverride, b.ContextOverride))
}

// sameStats compares the counts of everything.
func (f *fixture) sameStats(got, want *store.Stats) {
	f.Helper()
	if g, w := counts(got), counts(want); !reflect.DeepEqual(g, w) {
		f.Errorf("stats\n got %+v\nwant %+v", g, w)
	}
}

// sameSnapshotStats compares what lists of snapshots tell.
func (f *fixture) sameSnapshotStats(got, want *store.Stats) {
	f.Helper()
	g, w := counts(got), counts(want)
	for _, s := range []*store.Stats{&g, &w} {
		s.Replays, s.ReplaysByStatus, s.UncompressedBytes = 0, nil, 0
		s.UnreadableSnapshots, s.UnreadableReplays = 0, 0
	}
	if !reflect.DeepEqual(g, w) {
		f.Errorf("stats of the snapshots\n got %+v\nwant %+v", g, w)
	}
}

// counts leaves out what differs from one store to the next. A status that
// nothing has may be counted as 0 or not at all.
func counts(s *store.Stats) store.Stats {
	c := *s
	c.Type, c.BasePath, c.Gzip, c.Durability, c.Disk = "", "", false, "", store.Disk{}
	c.IndexBytes, c.ReplayBytes, c.LogBytes = 0, 0, 0
	c.SnapshotsByStatus, c.ReplaysByStatus = counted(s.SnapshotsByStatus), counted(s.ReplaysByStatus)
	return c
}

func counted[K comparable](n map[K]int) map[K]int {
	n = maps.Clone(n)
	maps.DeleteFunc(n, func(_ K, n int) bool { return n == 0 })
	if len(n) == 0 {
		return nil
	}
	return n
}
