package filestore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// facts say what the library that wrote a directory knows of it.
type facts struct {
	Sagas map[string]struct {
		Name      string      `json:"saga_name"`
		Snapshots []uuid.UUID `json:"snapshots"` // newest first
		Steps     []string    `json:"steps"`
		Replays   int         `json:"replays"`
		Latest    uuid.UUID   `json:"latest"`
	} `json:"sagas"`
	Info struct {
		Snapshots int   `json:"total_snapshots"`
		Replays   int   `json:"total_replays"`
		Sagas     int   `json:"total_sagas"`
		Bytes     int64 `json:"total_size_bytes"`
	} `json:"info"`
}

var modes = []string{"sagaz-plain", "sagaz-gzip", "sagaz-compact"}

func fixture(t *testing.T, mode string) (dir string, f facts) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), mode)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", mode))); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", mode+".facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return dir, f
}

func TestServesWhatSagazWrote(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			dir, facts := fixture(t, mode)
			s := open(t, filestore.Config{BasePath: dir})
			defer s.Close()
			ctx := context.Background()

			stats, err := s.Stats(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			if stats.Snapshots != facts.Info.Snapshots || stats.Replays != facts.Info.Replays ||
				stats.Sagas != facts.Info.Sagas || stats.SnapshotBytes != facts.Info.Bytes {
				t.Errorf("stats %+v, want %+v", stats, facts.Info)
			}
			if stats.UnreadableSnapshots != 0 || stats.UnreadableReplays != 0 {
				t.Errorf("unreadable: %d, %d", stats.UnreadableSnapshots, stats.UnreadableReplays)
			}
			for id, want := range facts.Sagas {
				sagaID := uuid.NullUUID{UUID: uuid.MustParse(id), Valid: true}
				page, err := s.List(ctx, &saga.Query{SagaID: sagaID, Limit: 1000})
				if err != nil || len(page.Items) != len(want.Snapshots) {
					t.Fatalf("saga %s: %d snapshots, %v, want %d", id, len(page.Items), err, len(want.Snapshots))
				}
				for i, item := range page.Items {
					if item.ID != want.Snapshots[i] || item.SagaName != want.Name {
						t.Errorf("saga %s: snapshot %d is %s of %s", id, i, item.ID, item.SagaName)
					}
				}
				replays, err := s.ListReplays(ctx, &saga.Query{SagaID: sagaID, Limit: 1000})
				if err != nil || len(replays.Replays) != want.Replays {
					t.Errorf("saga %s: %d replays, %v, want %d", id, len(replays.Replays), err, want.Replays)
				}
			}
			if !s.FirstOpen() {
				t.Error("the directory is not taken for new to us")
			}
		})
	}
}

// Every document is answered as the library wrote it, and opening, reading and
// closing changes no byte of what is not ours.
func TestLeavesWhatSagazWroteAlone(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			dir, _ := fixture(t, mode)
			before := tree(t, dir)
			s := open(t, filestore.Config{BasePath: dir, Compress: true, Indent: true})
			ctx := context.Background()
			page, err := s.List(ctx, &saga.Query{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				doc, err := item.Open(ctx, false)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(doc)
				doc.Close()
				if err != nil || int64(len(text)) != doc.Size {
					t.Fatalf("%s: %d bytes of %d, %v", item.ID, len(text), doc.Size, err)
				}
				stored, err := os.ReadFile(find(t, dir, item.ID))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(text, plain(t, stored)) {
					t.Errorf("%s is answered otherwise than it is stored", item.ID)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			after := tree(t, dir)
			for path, text := range after {
				if !strings.HasPrefix(path, ".snapshotd") && before[path] != text {
					t.Errorf("%s has changed or is new", path)
				}
				delete(before, path)
			}
			for path := range before {
				t.Errorf("%s is gone", path)
			}
			s = open(t, filestore.Config{BasePath: dir})
			defer s.Close()
			if s.FirstOpen() {
				t.Error("the second time, the directory is still taken for new to us")
			}
		})
	}
}

// Switched to the other mode, a directory takes new files of the new kind beside
// the old ones.
func TestCompressionSwitched(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			dir, facts := fixture(t, mode)
			compress := mode != "sagaz-gzip"
			s := open(t, filestore.Config{BasePath: dir, Compress: compress})
			var saved []*saga.Snapshot
			for id := range facts.Sagas {
				sn := snapshot(uuid.MustParse(id), 99, "2030-01-01T00:00:00Z")
				put(t, s, sn)
				saved = append(saved, sn)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, filestore.Config{BasePath: dir, Compress: !compress})
			defer s.Close()
			for _, sn := range saved {
				if got := strings.HasSuffix(find(t, dir, sn.ID), ".gz"); got != compress {
					t.Errorf("compressed: %v", got)
				}
				item, err := s.Get(context.Background(), sn.ID)
				if err != nil {
					t.Fatal(err)
				}
				doc, err := item.Open(context.Background(), false)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(doc)
				doc.Close()
				if !bytes.Equal(text, sn.AppendJSON(nil, true)) {
					t.Errorf("%s comes back otherwise", sn.ID)
				}
			}
			stats, err := s.Stats(context.Background(), 0)
			if err != nil || stats.Snapshots != facts.Info.Snapshots+len(saved) {
				t.Errorf("%d snapshots, %v", stats.Snapshots, err)
			}
		})
	}
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func find(t *testing.T, dir string, id uuid.UUID) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", id.String()+".json*"))
	if len(files) != 1 {
		t.Fatalf("%d files of %s", len(files), id)
	}
	return files[0]
}
