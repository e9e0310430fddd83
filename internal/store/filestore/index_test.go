package filestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

type index struct {
	SagaID    string `json:"saga_id"`
	Snapshots []struct {
		ID        string `json:"snapshot_id"`
		CreatedAt string `json:"created_at"`
		Status    string `json:"status"`
	} `json:"snapshots"`
}

func (x *index) ids() string {
	var ids []string
	for _, s := range x.Snapshots {
		ids = append(ids, s.ID)
	}
	return strings.Join(ids, " ")
}

func TestIndexFollowsASagaThatFallsQuiet(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filestore.Config{BasePath: dir})
		defer s.Close()
		a := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
		b := snapshot(uuid.MustParse(sagaA), 2, "2026-01-01T00:00:00Z")
		path := filepath.Join(dir, "indexes", sagaA+".json")
		put(t, s, a)
		put(t, s, b)
		time.Sleep(900 * time.Millisecond)
		if exists(path) {
			t.Error("the index is written before the saga is quiet")
		}
		time.Sleep(time.Second)
		var x index
		read(t, path, &x)
		if want := b.ID.String() + " " + a.ID.String(); x.ids() != want || x.SagaID != sagaA || x.Snapshots[0].CreatedAt != "2026-01-01T00:00:00+00:00" {
			t.Errorf("index %+v, want %s", x, want)
		}
		if _, err := s.Delete(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		read(t, path, &x)
		if x.ids() != a.ID.String() {
			t.Errorf("after a deletion the index lists %s", x.ids())
		}
	})
}

func TestIndexOfABusySagaIsWrittenEveryTenSeconds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filestore.Config{BasePath: dir})
		defer s.Close()
		path := filepath.Join(dir, "indexes", sagaA+".json")
		start := time.Now()
		for !exists(path) {
			put(t, s, snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z"))
			time.Sleep(500 * time.Millisecond)
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("the first index came after %v", took)
		}
	})
}

func TestIndexesAreExactAfterClose(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	keep := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	gone := snapshot(uuid.MustParse(sagaB), 1, "2026-01-01T00:00:00Z")
	put(t, s, keep)
	put(t, s, gone)
	if _, err := s.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var x index
	read(t, filepath.Join(dir, "indexes", sagaA+".json"), &x)
	if x.ids() != keep.ID.String() {
		t.Errorf("index lists %q", x.ids())
	}
	for _, left := range []string{"snapshots/" + sagaB, "indexes/" + sagaB + ".json"} {
		if exists(filepath.Join(dir, left)) {
			t.Errorf("%s is left of a saga without snapshots", left)
		}
	}
}

// What an index says in vain is found out at the next start, and only then is it
// written again.
func TestWrongIndexesAreWrittenAgain(t *testing.T) {
	entry := func(id string) string {
		return `{"snapshot_id": "` + id + `", "created_at": "2026-01-02T03:04:05.678900+00:00", "note": "mine"}`
	}
	wrap := func(entries ...string) string {
		return `{"saga_id": "` + sagaA + `", "snapshots": [` + strings.Join(entries, ", ") + `]}`
	}
	right := wrap(entry(idB), entry(idA))
	for name, tt := range map[string]struct {
		index string
		stays bool
	}{
		"right":            {right, true},
		"right, gzipped":   {zip(right), true},
		"missing":          {"", false},
		"torn":             {right[:50], false},
		"an id is missing": {wrap(entry(idB)), false},
		"an id twice":      {wrap(entry(idB), entry(idB), entry(idA)), false},
		"a ghost":          {wrap(entry(idB), entry(idA), entry(sagaA)), false},
		"another time":     {strings.Replace(right, "03:04", "03:05", 1), false},
		"another saga":     {strings.Replace(right, sagaA, sagaB, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("indexes", sagaA+".json")
			files := map[string]string{
				filepath.Join("snapshots", sagaA, idA+".json"): document(idA, sagaA),
				filepath.Join("snapshots", sagaA, idB+".json"): document(idB, sagaA),
			}
			if tt.index != "" {
				files[path] = tt.index
			}
			dir := lay(t, t.TempDir(), files)
			s := open(t, filestore.Config{BasePath: dir})
			if stats, err := s.Stats(t.Context(), 0); err != nil || stats.Snapshots != 2 {
				t.Errorf("%d snapshots, %v", stats.Snapshots, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			now, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			if stayed := string(now) == tt.index; stayed != tt.stays {
				t.Errorf("it stayed: %v\n%s", stayed, now)
			}
			var x index
			if !tt.stays {
				read(t, filepath.Join(dir, path), &x)
				if x.ids() != idB+" "+idA {
					t.Errorf("it lists %s", x.ids())
				}
			}
		})
	}
}

// Our index spares the next start reading files, but never hides a change.
func TestIndexIsNotTrustedBeyondTheFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	sagaID := uuid.MustParse(sagaA)
	a, b := snapshot(sagaID, 1, "2026-01-01T00:00:00Z"), snapshot(sagaID, 2, "2026-01-02T00:00:00Z")
	put(t, s, a)
	put(t, s, b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := find(t, dir, a.ID)
	text, _ := os.ReadFile(file)
	changed := strings.Replace(string(text), "executing", "completed", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(find(t, dir, b.ID)); err != nil {
		t.Fatal(err)
	}
	s = open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	page, err := s.List(t.Context(), &saga.Query{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].Status != "completed" {
		t.Errorf("%+v, %v", page.Items, err)
	}
}

// An index that lies about a retention deletes nothing: the file decides.
func TestExpiryIsReadFromTheFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	a := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	put(t, s, a)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "indexes", sagaA+".json")
	text, _ := os.ReadFile(path)
	lie := strings.Replace(string(text), `"retention_until": null`, `"retention_until": "2026-01-01T00:00:00+00:00"`, 1)
	if lie == string(text) {
		t.Fatal("the index does not hold the retention")
	}
	if err := os.WriteFile(path, []byte(lie), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	d, err := s.DeleteMany(t.Context(), expired("2026-06-01T00:00:00Z"))
	if err != nil || d.Count != 0 || d.Remaining != 0 {
		t.Errorf("deleted %+v, %v", d, err)
	}
	if _, err := s.Get(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
}

func TestFilesThatComeAndGoBehindTheRunningStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	sagaID := uuid.MustParse(sagaA)
	a, b := snapshot(sagaID, 1, "2026-01-01T00:00:00Z"), snapshot(sagaID, 2, "2026-01-02T00:00:00Z")
	put(t, s, a)
	put(t, s, b)
	if err := os.Remove(find(t, dir, b.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, s, b.ID.String()); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Errorf("vanished: %v", err)
	}
	if sum, err := s.Saga(t.Context(), sagaID); err != nil || sum.SnapshotCount != 1 || sum.LastSnapshotID != a.ID {
		t.Errorf("saga %+v, %v", sum, err)
	}
	put(t, s, b)
	lay(t, dir, map[string]string{filepath.Join("snapshots", sagaA, idA+".json"): document(idA, sagaA)})
	sn := snapshot(sagaID, 3, "2026-01-03T00:00:00Z")
	sn.ID = uuid.MustParse(idA)
	if _, err := s.Put(t.Context(), &sn.Summary, sn.AppendJSON(nil, true)); !errors.Is(err, saga.ErrExists) {
		t.Errorf("put over a file that appeared: %v", err)
	}
	if got, err := text(t, s, idA); err != nil || got != document(idA, sagaA) {
		t.Errorf("it is not served: %v", err)
	}
	verifyAtCleanup(t, dir).excuse(filestore.KindUnreadable, find(t, dir, a.ID))
	if err := os.WriteFile(find(t, dir, a.ID), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, s, a.ID.String()); !errors.Is(err, saga.ErrCorrupt) {
		t.Errorf("torn: %v", err)
	}
	if stats, _ := s.Stats(t.Context(), 0); stats.Snapshots != 2 || stats.UnreadableSnapshots != 1 {
		t.Errorf("stats %+v", stats)
	}
}
