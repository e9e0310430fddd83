package filestore_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// notedTime is when the index says that the saga's directory was last changed.
func notedTime(t *testing.T, dir string) (ns int64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "indexes", sagaA+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var x struct {
		Changed int64 `json:"directory_changed_ns"`
	}
	if err := json.Unmarshal(text, &x); err != nil {
		t.Fatal(err)
	}
	return x.Changed
}

// statuses answers the ids of a saga that are listed, with their statuses.
func statuses(t *testing.T, s *filestore.Store) map[uuid.UUID]string {
	t.Helper()
	page, err := s.List(t.Context(), &saga.Query{SagaID: uuid.NullUUID{UUID: uuid.MustParse(sagaA), Valid: true}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	found := map[uuid.UUID]string{}
	for _, item := range page.Items {
		found[item.ID] = item.Status
	}
	return found
}

// TestDirectoriesThatChangeBehindAStoppedStore changes a directory that the index knows
// by its time: names that come, go or are given to another file are seen at the next
// start, and what is changed in place when it is read.
func TestDirectoriesThatChangeBehindAStoppedStore(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the time of a directory's last change is used on Linux alone")
	}
	sagaID := uuid.MustParse(sagaA)
	a, b := snapshot(sagaID, 1, "2026-01-01T00:00:00Z"), snapshot(sagaID, 2, "2026-01-02T00:00:00Z")
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir, file string)
		want   map[uuid.UUID]string
		known  bool // the index is believed
	}{
		"nothing": {func(*testing.T, string, string) {}, map[uuid.UUID]string{a.ID: "executing", b.ID: "executing"}, true},
		"comes": {func(t *testing.T, dir, _ string) {
			lay(t, dir, map[string]string{filepath.Join("snapshots", sagaA, idA+".json"): document(idA, sagaA)})
		}, map[uuid.UUID]string{a.ID: "executing", b.ID: "executing", uuid.MustParse(idA): "executing"}, false},
		"goes": {func(t *testing.T, _, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, map[uuid.UUID]string{b.ID: "executing"}, false},
		"is replaced": {func(t *testing.T, dir, file string) {
			rewrite(t, file, filepath.Join(dir, "aside"))
			if err := os.Rename(filepath.Join(dir, "aside"), file); err != nil {
				t.Fatal(err)
			}
		}, map[uuid.UUID]string{a.ID: "completed", b.ID: "executing"}, false},
		"is changed in place": {func(t *testing.T, _, file string) { rewrite(t, file, file) },
			map[uuid.UUID]string{a.ID: "executing", b.ID: "executing"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := filestore.Config{BasePath: dir}.Settled()
			s := open(t, cfg)
			put(t, s, a)
			put(t, s, b)
			file := find(t, dir, a.ID)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			noted := notedTime(t, dir)
			if noted == 0 {
				t.Fatal("the index does not know when the directory was last changed")
			}
			tt.change(t, dir, file)
			s = open(t, cfg)
			defer s.Close()
			if got := statuses(t, s); !equal(got, tt.want) {
				t.Errorf("listed are %v, want %v", got, tt.want)
			}
			if name != "is changed in place" {
				return
			}
			if got, err := text(t, s, a.ID.String()); err != nil || !strings.Contains(got, `"completed"`) {
				t.Errorf("read is %v\n%s", err, got)
			}
			if got := statuses(t, s); got[a.ID] != "completed" {
				t.Errorf("after it was read listed are %v", got)
			}
		})
	}
}

func equal(a, b map[uuid.UUID]string) bool {
	for id := range a {
		if a[id] != b[id] {
			return false
		}
	}
	return len(a) == len(b)
}

// rewrite writes a file with another status, and another size.
func rewrite(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"executing"`, `"completed"`, 1) + "\n"
	if err := os.WriteFile(to, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDirectoriesThatAreNotKnown holds what an index does not tell of, so that it must
// be read at each start.
func TestDirectoriesThatAreNotKnown(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a stray file":          {"notes.txt": "mine"},
		"an unreadable one":     {idA + ".json": "{torn"},
		"a shadowed one":        {idA + ".json": document(idA, sagaA), idA + ".json.gz": zip(document(idA, sagaA))},
		"a foreign spelling":    {idA + ".json": document(idA, sagaA, `"executing"`, `"SagaStatus.EXECUTING"`)},
		"compressed, not named": {idA + ".json": zip(document(idA, sagaA))},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range files {
				lay(t, dir, map[string]string{filepath.Join("snapshots", sagaA, file): text})
			}
			var counts []int
			for range 3 {
				s := open(t, filestore.Config{BasePath: dir}.Settled())
				put(t, s, snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z"))
				stats, err := s.Stats(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				counts = append(counts, stats.UnreadableSnapshots)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if noted := notedTime(t, dir); noted != 0 {
					t.Errorf("the index trusts a directory with %s", name)
				}
			}
			if slices.Max(counts) != slices.Min(counts) {
				t.Errorf("unreadable are %v", counts)
			}
		})
	}
}

// TestRecentChangesAreNotTrusted: two changes at once may have the same time.
func TestRecentChangesAreNotTrusted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	put(t, s, snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z"))
	if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if noted := notedTime(t, dir); noted != 0 {
		t.Error("an index that was written at once trusts its directory")
	}
}

// A file that was given another one's name behind the running store is seen at the
// next start: the index does not vouch for its directory.
func TestReplacedBehindTheRunningStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir}.Settled())
	a := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	put(t, s, a)
	file := filepath.Join(dir, "snapshots", sagaA, a.ID.String()+".json")
	other := *a
	other.Status = "completed"
	if err := errors.Join(os.WriteFile(file+"~", other.AppendJSON(nil, true), 0o644), os.Rename(file+"~", file)); err != nil {
		t.Fatal(err)
	}
	put(t, s, snapshot(uuid.MustParse(sagaA), 2, "2026-01-02T00:00:00Z"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, filestore.Config{BasePath: dir}.Settled())
	defer s.Close()
	if got := statuses(t, s)[a.ID]; got != "completed" {
		t.Errorf("it is %s", got)
	}
}
