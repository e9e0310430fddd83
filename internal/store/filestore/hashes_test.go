package filestore_test

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// streaming makes a snapshot whose file streams.
func streaming(n int) *saga.Snapshot {
	sn := snapshot(uuid.MustParse(sagaA), int32(n), "2026-01-01T00:00:00Z")
	sn.Context = []byte(`{"a":"` + strings.Repeat("x", 300<<10) + `"}`)
	return sn
}

// hashKnown opens a document, says whether its hash is known, and makes it known.
func hashKnown(t *testing.T, s *filestore.Store, id uuid.UUID) bool {
	t.Helper()
	doc, err := stored(s, id.String())
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Close()
	text, err := io.ReadAll(doc)
	if err != nil {
		t.Fatal(err)
	}
	sum, ok := doc.KnownSum()
	if ok && sum != sha256.Sum256(text) {
		t.Error("the hash is another one")
	}
	doc.Hashed(sha256.Sum256(text))
	return ok
}

// The hash of a file that streams is known as long as the file is as it was.
func TestHashesOfLargeFiles(t *testing.T) {
	dir := t.TempDir()
	s := caching(t, dir)
	sn := streaming(1)
	file := filepath.Join(dir, "snapshots", sagaA, sn.ID.String()+".json")
	for _, change := range []struct {
		what string
		make func() error
	}{
		{"saved", func() error { put(t, s, sn); return nil }},
		{"touched", func() error { return os.Chtimes(file, time.Time{}, time.Unix(1, 0)) }},
		{"written to", func() error { return os.WriteFile(file, sn.AppendJSON(nil, false), 0o600) }},
		{"deleted and saved again", func() error {
			_, err := s.Delete(t.Context(), sn.ID)
			put(t, s, sn)
			return err
		}},
	} {
		if err := change.make(); err != nil {
			t.Fatal(err)
		}
		if hashKnown(t, s, sn.ID) || !hashKnown(t, s, sn.ID) {
			t.Error("wrong after it was", change.what)
		}
	}
}

// Nothing else of them is kept, and of as many as there is room for.
func TestHashesAreAllThatIsKeptOfLargeFiles(t *testing.T) {
	const limit = 8 << 10
	s := open(t, filestore.Config{BasePath: t.TempDir(), Cache: limit})
	defer s.Close()
	var all []*saga.Snapshot
	for i := range 40 {
		all = append(all, streaming(i))
		put(t, s, all[i])
		hashKnown(t, s, all[i].ID)
		if size := s.Remembered(); size > limit {
			t.Fatalf("%d bytes are remembered", size)
		}
	}
	if hashKnown(t, s, all[0].ID) || !hashKnown(t, s, all[39].ID) {
		t.Error("not those that were read last are remembered")
	}
	doc, err := stored(s, all[39].ID.String())
	if err != nil {
		t.Fatal(err)
	}
	defer doc.Close()
	for _, text := range []string{`{"a": 1}`, `{"a": 2}`} {
		doc.Text = []byte(text)
		if got := string(doc.AppendCompact(nil)); got != strings.ReplaceAll(text, " ", "") {
			t.Errorf("%s is answered for %s", got, text)
		}
	}
}

// Where the text streams and the file does not, each is what it is, whichever comes first.
func TestHashesBesideWhatIsKept(t *testing.T) {
	s := open(t, filestore.Config{BasePath: t.TempDir(), Compress: true, Cache: 1 << 20})
	defer s.Close()
	sn := streaming(1)
	put(t, s, sn)
	for range 2 {
		for _, gzipped := range []bool{false, true} {
			item, err := s.Get(t.Context(), sn.ID)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := item.Open(t.Context(), gzipped)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(doc)
			doc.Close()
			if err != nil || doc.Gzipped != gzipped || int64(len(text)) != doc.Size || len(text) == 0 {
				t.Errorf("%d bytes, gzip %v, %v", len(text), doc.Gzipped, err)
			}
			sum := sha256.Sum256(text)
			if known, ok := doc.KnownSum(); ok && known != sum {
				t.Error("the hash is that of something else")
			}
			doc.Hashed(sum)
		}
	}
}
