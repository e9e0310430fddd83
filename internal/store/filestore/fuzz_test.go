package filestore_test

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// foundFiles adds the files of the fixtures below a directory as seeds.
func foundFiles(f *testing.F, kind string) {
	f.Helper()
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) != kind && filepath.Base(filepath.Dir(filepath.Dir(path))) != kind {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f.Add(text)
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// opened opens a directory with one file that somebody put there beside a good
// snapshot, sees that the good one is served, and answers the store.
func opened(t *testing.T, path string, content []byte, good string) *filestore.Store {
	t.Helper()
	dir := lay(t, t.TempDir(), map[string]string{
		filepath.Join("snapshots", sagaA, idA+".json"): good,
		path: string(content),
	})
	s, err := filestore.Open(t.Context(), filestore.Config{BasePath: dir, Relaxed: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("a file at %s keeps it from opening: %v", path, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if got, err := text(t, s, idA); err != nil || got != good {
		t.Fatalf("%v\n%s", err, got)
	}
	return s
}

// FuzzFoundSnapshot: a file named like a snapshot is one, or is known to be none.
func FuzzFoundSnapshot(f *testing.F) {
	foundFiles(f, "snapshots")
	f.Add([]byte(document(idB, sagaA)))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := opened(t, filepath.Join("snapshots", sagaA, idB+".json"), text, document(idA, sagaA))
		item, err := s.Get(t.Context(), uuid.MustParse(idB))
		if errors.Is(err, saga.ErrCorrupt) || errors.Is(err, saga.ErrSnapshotNotFound) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		doc, err := item.Open(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer doc.Close()
		read, err := io.ReadAll(doc)
		if err != nil {
			t.Fatal(err)
		}
		if sn, _, err := saga.ReadSnapshot(read); err != nil || sn.ID != item.ID || sn.CreatedAt != item.CreatedAt {
			t.Fatalf("served as %+v, it reads %+v, %v", item.Summary, sn, err)
		}
	})
}

// FuzzFoundReplay: likewise for replay records.
func FuzzFoundReplay(f *testing.F) {
	foundFiles(f, "replays")
	f.Fuzz(func(t *testing.T, text []byte) {
		s := opened(t, filepath.Join("replays", idB+".json"), text, document(idA, sagaA))
		r, err := s.GetReplay(t.Context(), uuid.MustParse(idB))
		if err == nil && r.ID != uuid.MustParse(idB) {
			t.Fatalf("%+v", r)
		}
		if err != nil && !errors.Is(err, saga.ErrCorrupt) && !errors.Is(err, saga.ErrReplayNotFound) {
			t.Fatal(err)
		}
	})
}

// FuzzFoundIndex: an index is derived. Whatever one says, the snapshot beside it is
// listed as its own file has it, unless the index was made of that very file.
func FuzzFoundIndex(f *testing.F) {
	foundFiles(f, "indexes")
	f.Add([]byte(`{"saga_id":"` + sagaA + `","snapshots":[{"snapshot_id":"` + idA + `","created_at":"2001-01-01T00:00:00+00:00","modified_ns":1,"size_bytes":1}]}`))
	f.Add([]byte(`{"saga_id":"` + sagaB + `","snapshots":[{"snapshot_id":"` + idB + `","created_at":"2001-01-01T00:00:00Z"},{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		good := document(idA, sagaA)
		s := opened(t, filepath.Join("indexes", sagaA+".json"), text, good)
		page, err := s.List(t.Context(), &saga.Query{Limit: 10})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		sn, _, err := saga.ReadSnapshot([]byte(good))
		if err != nil {
			t.Fatal(err)
		}
		if got := page.Items[0]; got.ID != sn.ID || got.CreatedAt != sn.CreatedAt || got.StepName != sn.StepName || got.RetentionUntil != sn.RetentionUntil {
			t.Fatalf("listed as %+v, it is %+v", got.Summary, sn)
		}
		if stats, err := s.Stats(t.Context(), saga.At(time.Now())); err != nil || stats.Snapshots != 1 {
			t.Fatalf("%+v, %v", stats, err)
		}
	})
}
