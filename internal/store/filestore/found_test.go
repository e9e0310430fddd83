package filestore_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
)

const (
	sagaA = "11111111-1111-4111-8111-111111111111"
	sagaB = "22222222-2222-4222-8222-222222222222"
	idA   = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	idB   = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
)

// document is a file as the library writes it; changes replaces parts of it.
func document(id, sagaID string, changes ...string) string {
	text := `{"snapshot_id": "` + id + `", "saga_id": "` + sagaID + `", "saga_name": "order", "step_name": "pay", "step_index": 1, "status": "executing", ` +
		`"context": {"big": 123456789012345678901234567890, "one": 1.0}, "completed_steps": [], "external_refs": {}, ` +
		`"created_at": "2026-01-02T03:04:05.678900+00:00", "retention_until": null}`
	return strings.NewReplacer(changes...).Replace(text)
}

func lay(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

func plain(t *testing.T, data []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// stored opens the document of a snapshot.
func stored(s *filestore.Store, id string) (*store.Document, error) {
	item, err := s.Get(context.Background(), uuid.MustParse(id))
	if err != nil {
		return nil, err
	}
	return item.Open(context.Background(), false)
}

func text(t *testing.T, s *filestore.Store, id string) (string, error) {
	t.Helper()
	doc, err := stored(s, id)
	if err != nil {
		return "", err
	}
	defer doc.Close()
	b, err := io.ReadAll(doc)
	return string(b), err
}

func TestForeignSpellings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes []string
		want    []string // changes that the answer has against the plain document
	}{
		{"status of an enumeration", []string{`"executing"`, `"SagaStatus.EXECUTING"`}, nil},
		{"time without an offset", []string{`678900+00:00"`, `678900"`}, nil},
		{"time with another offset", []string{`T03:04:05.678900+00:00`, `T05:04:05.6789+02:00`}, nil},
		{"upper case", []string{idA, strings.ToUpper(idA), sagaA, strings.ToUpper(sagaA)}, nil},
		{"no external_refs", []string{`"external_refs": {}, `, ``}, nil},
		{"null instead of a default", []string{`"completed_steps": [], "external_refs": {}`, `"completed_steps": null, "external_refs": null`}, nil},
		{"no retention", []string{`, "retention_until": null`, ``}, nil},
		{"neither", []string{`"completed_steps": [], "external_refs": {}, `, ``, `, "retention_until": null`, ``}, nil},
		{"keys of its own", []string{`null}`, `null, "version": 1.0}`}, []string{`null}`, `null, "version": 1.0}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored := document(idA, sagaA, tt.changes...)
			path := filepath.Join("snapshots", sagaA, idA+".json")
			dir := lay(t, t.TempDir(), map[string]string{path: stored})
			s := open(t, filestore.Config{BasePath: dir})
			defer s.Close()
			got, err := text(t, s, idA)
			if want := document(idA, sagaA, tt.want...); err != nil || got != want {
				t.Errorf("answered %v\n%s\nwant\n%s", err, got, want)
			}
			if now, _ := os.ReadFile(filepath.Join(dir, path)); string(now) != stored {
				t.Error("the file has changed")
			}
		})
	}
}

func TestUnreadableFilesAreKnownByName(t *testing.T) {
	good := document(idB, sagaA)
	for name, bad := range map[string]string{
		"truncated":        document(idA, sagaA)[:100],
		"empty":            "",
		"not JSON":         document(idA, sagaA, "1.0", "NaN"),
		"infinity":         document(idA, sagaA, "1.0", "-Infinity"),
		"another id":       document(idB, sagaA),
		"another saga":     document(idA, sagaB),
		"a key is missing": document(idA, sagaA, `"step_index": 1, `, ``),
		"a wrong type":     document(idA, sagaA, `"step_index": 1`, `"step_index": "1"`),
		"torn gzip":        zip(document(idA, sagaA))[:50],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("snapshots", sagaA, idA+".json")
			dir := lay(t, t.TempDir(), map[string]string{path: bad, filepath.Join("snapshots", sagaA, idB+".json"): good})
			s := open(t, filestore.Config{BasePath: dir})
			defer s.Close()
			ctx := context.Background()
			if _, err := text(t, s, idA); !errors.Is(err, saga.ErrCorrupt) {
				t.Errorf("get: %v, want ErrCorrupt", err)
			}
			if got, err := text(t, s, idB); err != nil || got != good {
				t.Errorf("its neighbour: %v", err)
			}
			page, err := s.List(ctx, &saga.Query{SagaID: uuid.NullUUID{UUID: uuid.MustParse(sagaA), Valid: true}, Limit: 10})
			if err != nil || len(page.Items) != 1 || len(page.Unreadable) != 1 || page.Unreadable[0].String() != idA {
				t.Errorf("list: %d items, unreadable %v, %v", len(page.Items), page.Unreadable, err)
			}
			if stats, _ := s.Stats(ctx, 0); stats.UnreadableSnapshots != 1 || stats.Snapshots != 1 {
				t.Errorf("stats %+v", stats)
			}
			if now, _ := os.ReadFile(filepath.Join(dir, path)); string(now) != bad {
				t.Error("the file has changed")
			}
			sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
			sn.ID = uuid.MustParse(idA)
			if _, err := s.Put(ctx, &sn.Summary, sn.AppendJSON(nil, false)); !errors.Is(err, saga.ErrExists) {
				t.Errorf("put: %v, want ErrExists", err)
			}
			if _, err := s.Delete(ctx, uuid.MustParse(idA)); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := text(t, s, idA); !errors.Is(err, saga.ErrSnapshotNotFound) {
				t.Errorf("get after delete: %v", err)
			}
			put(t, s, sn)
		})
	}
}

func TestTwoFilesOfOneID(t *testing.T) {
	t.Run("the compressed one counts", func(t *testing.T) {
		zipped := document(idA, sagaA, "pay", "zipped")
		dir := lay(t, t.TempDir(), map[string]string{
			filepath.Join("snapshots", sagaA, idA+".json"):    document(idA, sagaA),
			filepath.Join("snapshots", sagaA, idA+".json.gz"): zip(zipped),
		})
		s := open(t, filestore.Config{BasePath: dir})
		defer s.Close()
		if got, err := text(t, s, idA); err != nil || got != zipped {
			t.Errorf("%v\n%s", err, got)
		}
		if stats, _ := s.Stats(t.Context(), 0); stats.Snapshots != 1 || stats.UnreadableSnapshots != 1 {
			t.Errorf("stats %+v", stats)
		}
		if _, err := s.Delete(t.Context(), uuid.MustParse(idA)); err != nil {
			t.Fatal(err)
		}
		if exists(filepath.Join(dir, "snapshots", sagaA)) {
			t.Error("a file is left after the deletion")
		}
	})
	t.Run("of two sagas the newer one counts", func(t *testing.T) {
		newer := document(idA, sagaB, "2026-01-02", "2026-01-03")
		dir := lay(t, t.TempDir(), map[string]string{
			filepath.Join("snapshots", sagaA, idA+".json"): document(idA, sagaA),
			filepath.Join("snapshots", sagaB, idA+".json"): newer,
		})
		s := open(t, filestore.Config{BasePath: dir})
		defer s.Close()
		if got, err := text(t, s, idA); err != nil || got != newer {
			t.Errorf("%v\n%s", err, got)
		}
		if stats, _ := s.Stats(t.Context(), 0); stats.Snapshots != 1 || stats.Sagas != 1 || stats.UnreadableSnapshots != 1 {
			t.Errorf("stats %+v", stats)
		}
	})
}

func TestOddThingsInTheDirectory(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{
		filepath.Join("snapshots", sagaA, idA+".json"):                  document(idA, sagaA),
		filepath.Join("snapshots", sagaA, "notes.txt"):                  "mine",
		filepath.Join("snapshots", sagaA, strings.ToUpper(idB)+".json"): "mine",
		filepath.Join("snapshots", sagaA, idB+".json", "inside"):        "mine",
		filepath.Join("snapshots", "README"):                            "mine",
		filepath.Join("snapshots", "lost+found", "x"):                   "mine",
		filepath.Join("snapshots", sagaB, "keep"):                       "mine",
		filepath.Join("indexes", "stray.json"):                          "mine",
		filepath.Join("replays", "stray"):                               "mine",
		filepath.Join("replays", idB+".json"):                           "{torn",
		"notebook.ipynb":                                                "mine",
	})
	if err := os.Symlink(filepath.Join(dir, "notebook.ipynb"), filepath.Join(dir, "snapshots", sagaA, "cccccccc-cccc-4ccc-8ccc-cccccccccccc.json")); err != nil {
		t.Fatal(err)
	}
	s := open(t, filestore.Config{BasePath: dir})
	stats, err := s.Stats(t.Context(), 0)
	if err != nil || stats.Snapshots != 1 || stats.Sagas != 1 || stats.UnreadableSnapshots != 1 || stats.UnreadableReplays != 1 || stats.Replays != 0 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if _, err := s.GetReplay(t.Context(), uuid.MustParse(idB)); !errors.Is(err, saga.ErrCorrupt) {
		t.Errorf("torn replay: %v", err)
	}
	// The last delete of a saga leaves what is foreign, and an empty index.
	if _, err := s.Delete(t.Context(), uuid.MustParse("cccccccc-cccc-4ccc-8ccc-cccccccccccc")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), uuid.MustParse(idA)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"notebook.ipynb", "snapshots/" + sagaA + "/notes.txt", "snapshots/" + sagaA + "/" + idB + ".json/inside"} {
		if text, _ := os.ReadFile(filepath.Join(dir, path)); string(text) != "mine" {
			t.Errorf("%s is gone", path)
		}
	}
	var index struct{ Snapshots []any }
	read(t, filepath.Join(dir, "indexes", sagaA+".json"), &index)
	if index.Snapshots == nil || len(index.Snapshots) != 0 {
		t.Errorf("index %v", index)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
