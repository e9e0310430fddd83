package filestore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// caching opens a store that remembers what it has read.
func caching(t *testing.T, dir string) *filestore.Store {
	s := open(t, filestore.Config{BasePath: dir, Cache: 1 << 20})
	t.Cleanup(func() { s.Close() })
	return s
}

// listed answers the documents of a saga as a list has them.
func listed(t *testing.T, s *filestore.Store, sagaID string) (texts []string, err error) {
	t.Helper()
	page, err := s.List(t.Context(), &saga.Query{SagaID: uuid.NullUUID{UUID: uuid.MustParse(sagaID), Valid: true}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Items {
		doc, openErr := page.Items[i].Open(t.Context(), false)
		if openErr != nil {
			err = errors.Join(err, openErr)
			continue
		}
		texts = append(texts, string(doc.AppendCompact(nil)))
		doc.Close()
	}
	return texts, err
}

// What is remembered is not answered any more when its file has been taken away,
// replaced, or written to.
func TestRemembered(t *testing.T) {
	one, two := document(idA, sagaA), document(idB, sagaA)
	path := "snapshots/" + sagaA + "/" + idA + ".json"
	other := strings.Replace(one, "pay", "ship", 1)
	for name, change := range map[string]struct {
		change func(path string) error
		want   string // of idA; "" = it is gone
	}{
		"taken away": {os.Remove, ""},
		"replaced": {func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte(other), 0o644), os.Rename(path+"~", path))
		}, other},
		"written to": {func(path string) error { return os.WriteFile(path, []byte(other), 0o644) }, other},
		"touched":    {func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) }, one},
		"in a directory that is replaced": {func(path string) error {
			dir := filepath.Dir(path)
			aside := filepath.Dir(dir) + "~"
			return errors.Join(os.Rename(dir, aside), os.CopyFS(dir, os.DirFS(aside)), os.WriteFile(path, []byte(other), 0o644))
		}, other},
		"in a tree that is replaced": {func(path string) error {
			tree := filepath.Dir(filepath.Dir(path))
			return errors.Join(os.Rename(tree, tree+"~"), os.CopyFS(tree, os.DirFS(tree+"~")), os.WriteFile(path, []byte(other), 0o644))
		}, other},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, t.TempDir(), map[string]string{path: one, "snapshots/" + sagaA + "/" + idB + ".json": two})
			s := caching(t, dir)
			for range 2 {
				if texts, err := listed(t, s, sagaA); err != nil || len(texts) != 2 {
					t.Fatal(texts, err)
				}
			}
			if err := change.change(filepath.Join(dir, path)); err != nil {
				t.Fatal(err)
			}
			texts, err := listed(t, s, sagaA)
			switch {
			case change.want == "" && (!errors.Is(err, saga.ErrSnapshotNotFound) || len(texts) != 1):
				t.Error("the list has", texts, err)
			case change.want != "" && (err != nil || len(texts) != 2 || !has(texts, change.want)):
				t.Errorf("the list has %q, %v", texts, err)
			}
			got, err := text(t, s, idA)
			if change.want == "" {
				if !errors.Is(err, saga.ErrSnapshotNotFound) {
					t.Error(got, err)
				}
			} else if err != nil || got != change.want {
				t.Error(got, err)
			}
			if got, err := text(t, s, idB); err != nil || got != two {
				t.Error(got, err)
			}
		})
	}
}

func has(texts []string, document string) bool {
	for _, text := range texts {
		if strings.ReplaceAll(document, " ", "") == text {
			return true
		}
	}
	return false
}

// An id that is deleted and saved again is answered anew.
func TestRememberedNoLongerThanTheSnapshot(t *testing.T) {
	s := caching(t, t.TempDir())
	sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	for i := range 10 {
		sn.Context = []byte(`{"amount":` + string(rune('0'+i)) + `}`) // of one length, and within one tick of the clock
		put(t, s, sn)
		for range 2 {
			if got, err := text(t, s, sn.ID.String()); err != nil || got != string(sn.AppendJSON(nil, true)) {
				t.Fatal(got, err)
			}
		}
		if _, err := s.Delete(t.Context(), sn.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// However much is read, no more is remembered than the limit, and what does not fit
// is answered all the same.
func TestRememberedIsBounded(t *testing.T) {
	const limit = 64 << 10
	s := open(t, filestore.Config{BasePath: t.TempDir(), Cache: limit})
	defer s.Close()
	sagaID := uuid.MustParse(sagaA)
	var all []*saga.Snapshot
	for i := range 100 {
		sn := snapshot(sagaID, int32(i), "2026-01-01T00:00:00Z")
		size := 500
		if i%10 == 0 {
			size = 100_000 // larger than all there is room for
		}
		sn.Context = []byte(`{"a":"` + string(bytes.Repeat([]byte{'x'}, size)) + `"}`)
		put(t, s, sn)
		all = append(all, sn)
	}
	for range 2 {
		for _, sn := range all {
			if got, err := text(t, s, sn.ID.String()); err != nil || got != string(sn.AppendJSON(nil, true)) {
				t.Fatal(err)
			}
			if size := s.Remembered(); size > limit {
				t.Fatalf("%d bytes are remembered", size)
			}
		}
	}
	if s.Remembered() < limit/2 {
		t.Errorf("only %d bytes are remembered", s.Remembered())
	}
}

// What is small only because it is compressed is not brought into memory whole.
func TestLargeTextsStream(t *testing.T) {
	s := open(t, filestore.Config{BasePath: t.TempDir(), Compress: true, Cache: 64 << 20})
	defer s.Close()
	sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	sn.Context = []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	put(t, s, sn)
	doc, err := stored(s, sn.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Close()
	if doc.Text != nil {
		t.Errorf("%d bytes are in memory", len(doc.Text))
	}
	if got, err := text(t, s, sn.ID.String()); err != nil || got != string(sn.AppendJSON(nil, true)) {
		t.Error(len(got), err)
	}
}
