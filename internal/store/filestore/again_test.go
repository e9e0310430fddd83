package filestore_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// What could not be read is looked at again when it is asked for: it may have been mended,
// or taken away.
func TestUnreadableFilesAreLookedAtAgain(t *testing.T) {
	ofA := &saga.Query{SagaID: uuid.NullUUID{UUID: uuid.MustParse(sagaA), Valid: true}, Limit: 10}
	for name, mend := range map[string]func(path string) error{
		"mended":   func(path string) error { return os.WriteFile(path, []byte(document(idA, sagaA)), 0o644) },
		"replaced": func(path string) error { return os.Rename(path+"~", path) },
	} {
		for asked, ask := range map[string]func(s *filestore.Store) error{
			"get":  func(s *filestore.Store) error { _, err := text(t, s, idA); return err },
			"saga": func(s *filestore.Store) error { _, err := s.Saga(t.Context(), uuid.MustParse(sagaA)); return err },
			"list": func(s *filestore.Store) error {
				page, err := s.List(t.Context(), ofA)
				if err == nil && (len(page.Items) != 1 || page.Unreadable != nil) {
					t.Errorf("%s: %+v", name, page)
				}
				return err
			},
		} {
			dir := lay(t, t.TempDir(), map[string]string{"snapshots/" + sagaA + "/" + idA + ".json": "{torn"})
			path := filepath.Join(dir, "snapshots", sagaA, idA+".json")
			s := open(t, filestore.Config{BasePath: dir})
			defer s.Close()
			if _, err := text(t, s, idA); !errors.Is(err, saga.ErrCorrupt) {
				t.Fatalf("torn: %v", err)
			}
			if err := errors.Join(os.WriteFile(path+"~", []byte(document(idA, sagaA)), 0o644), mend(path), os.RemoveAll(path+"~")); err != nil {
				t.Fatal(err)
			}
			if err := ask(s); err != nil {
				t.Errorf("%s, %s: %v", name, asked, err)
			}
			if stats, err := s.Stats(t.Context(), 0); err != nil || stats.UnreadableSnapshots != 0 || stats.Snapshots != 1 {
				t.Errorf("%s, %s: %+v, %v", name, asked, stats, err)
			}
		}
	}
}

func TestUnreadableFileThatIsTakenAway(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{"snapshots/" + sagaA + "/" + idA + ".json": "{torn"})
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	if err := os.Remove(filepath.Join(dir, "snapshots", sagaA, idA+".json")); err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, s, idA); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Errorf("taken away: %v", err)
	}
	sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	sn.ID = uuid.MustParse(idA)
	put(t, s, sn)
}

// A file that is being written when it is read is not given up.
func TestHalfWrittenFileIsReadLater(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{"snapshots/" + sagaA + "/" + idA + ".json": document(idA, sagaA)})
	path := filepath.Join(dir, "snapshots", sagaA, idA+".json")
	s := caching(t, dir)
	whole := document(idA, sagaA, "executing", "completed")
	if err := os.WriteFile(path, []byte(whole[:len(whole)/2]), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, s, idA); !errors.Is(err, saga.ErrCorrupt) {
		t.Errorf("half: %v", err)
	}
	if err := os.WriteFile(path, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := text(t, s, idA); err != nil || !strings.Contains(got, "completed") {
		t.Errorf("whole: %s, %v", got, err)
	}
}

// An uncompressed file counts for nothing beside a compressed one, though that cannot be read.
func TestShadowedFileStaysInTheShadow(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{
		"snapshots/" + sagaA + "/" + idA + ".json":    document(idA, sagaA),
		"snapshots/" + sagaA + "/" + idA + ".json.gz": "torn",
	})
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	for range 2 {
		if _, err := text(t, s, idA); !errors.Is(err, saga.ErrCorrupt) {
			t.Error(err)
		}
	}
}

// An index that somebody has edited is not believed.
func TestEditedIndex(t *testing.T) {
	for name, edit := range map[string]func(string) string{
		"a line is missing": func(text string) string {
			lines := strings.SplitAfter(text, "\n")
			return strings.Join(append(lines[:4:4], lines[5:]...), "")
		},
		"a status is another one": func(text string) string { return strings.Replace(text, "executing", "completed", 1) },
	} {
		dir := t.TempDir()
		s := open(t, filestore.Config{BasePath: dir}.Settled())
		for step := range int32(3) {
			put(t, s, snapshot(uuid.MustParse(sagaA), step, "2026-01-01T00:00:00Z"))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "indexes", sagaA+".json")
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(before))), 0o644); err != nil {
			t.Fatal(err)
		}
		s = open(t, filestore.Config{BasePath: dir}.Settled())
		found := statuses(t, s)
		for _, status := range found {
			if status != "executing" || len(found) != 3 {
				t.Errorf("%s: %v", name, found)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("%s: written again as\n%s", name, after)
		}
	}
}

// A name that leads elsewhere is not written through.
func TestSymbolicLinkInThePlaceOfASaga(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	link := filepath.Join(dir, "snapshots", sagaA)
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Skip(err)
	}
	sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	if _, err := s.Put(t.Context(), &sn.Summary, sn.AppendJSON(nil, true)); err == nil || !strings.Contains(err.Error(), link) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("%v has been written elsewhere", left)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	put(t, s, sn)
}

// Two on one directory lose data, so nothing but the end of the first lets in the second.
func TestLockFileIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	if err := os.Remove(filepath.Join(dir, ".snapshotd", "lock")); err != nil {
		t.Skip(err)
	}
	if second, err := filestore.Open(t.Context(), filestore.Config{BasePath: dir}); !errors.Is(err, filestore.ErrInUse) {
		t.Errorf("the second: %v, %v", second, err)
	}
	if _, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: dir}); !errors.Is(err, filestore.ErrInUse) {
		t.Errorf("verify: %v", err)
	}
}

// Our own files are regular ones: a link is not followed, a pipe not waited for.
func TestOwnFilesAreRegular(t *testing.T) {
	for _, name := range []string{"lock", "format"} {
		dir := t.TempDir()
		if err := open(t, filestore.Config{BasePath: dir}).Close(); err != nil {
			t.Fatal(err)
		}
		path, elsewhere := filepath.Join(dir, ".snapshotd", name), filepath.Join(dir, "precious")
		if err := errors.Join(os.Rename(path, path+"~"), os.WriteFile(elsewhere, []byte("precious"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, path); err != nil {
			t.Skip(err)
		}
		if _, err := filestore.Open(t.Context(), filestore.Config{BasePath: dir}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("a link: %v", err)
		}
		if text, err := os.ReadFile(elsewhere); string(text) != "precious" {
			t.Errorf("%s was written through it: %q, %v", name, text, err)
		}
		if err := errors.Join(os.Remove(path), pipe(path)); err == nil {
			if _, err := filestore.Open(t.Context(), filestore.Config{BasePath: dir}); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("a pipe: %v", err)
			}
		}
		if err := errors.Join(os.Remove(path), os.Rename(path+"~", path), os.Remove(elsewhere)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNotReadyWithoutItsDirectories(t *testing.T) {
	for _, name := range []string{"snapshots", ".snapshotd/tmp", ".snapshotd/log"} {
		dir := t.TempDir()
		s := open(t, filestore.Config{BasePath: dir})
		defer s.Close()
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.Rename(path, path+"~"); err != nil {
			t.Skip(err)
		}
		if err := s.Ping(t.Context()); !errors.Is(err, saga.ErrReadOnly) || !strings.Contains(err.Error(), path) {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectoryAmongTemporaryFiles(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{".snapshotd/tmp/0/mine/notes.txt": "mine"})
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	if text, err := os.ReadFile(filepath.Join(dir, ".snapshotd/tmp/0/mine/notes.txt")); string(text) != "mine" {
		t.Error(text, err)
	}
}

// Root does not repair what belongs to another user's daemon.
func TestRepairAsRoot(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, filestore.Config{BasePath: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	own := filepath.Join(dir, ".snapshotd")
	if os.Geteuid() != 0 || os.Chown(own, nobody, nobody) != nil {
		t.Skip("only root can do that")
	}
	if _, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: dir, Repair: true}); err == nil || !strings.Contains(err.Error(), "65534") {
		t.Error(err)
	}
	if _, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: dir}); err != nil {
		t.Errorf("without repair: %v", err)
	}
}

// What was found by its status is not answered with another one.
func TestFoundByWhatHasChanged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
	put(t, s, sn)
	page, err := s.List(t.Context(), &saga.Query{Filter: saga.Filter{Status: "executing"}, Limit: 1})
	if err != nil || len(page.Items) != 1 {
		t.Fatal(page, err)
	}
	path := filepath.Join(dir, "snapshots", sagaA, sn.ID.String()+".json")
	rewrite(t, path, path)
	if _, err := page.Items[0].Open(t.Context(), false); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Error(err)
	}
	if page, err := s.List(t.Context(), &saga.Query{Filter: saga.Filter{Status: "completed"}, Limit: 1}); err != nil || len(page.Items) != 1 {
		t.Error(page, err)
	}
}

// A file that does not count beside another one of its id is not taken up, and thrown out,
// again and again.
func TestLosersStayUnread(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{
		"snapshots/" + sagaA + "/" + idA + ".json": document(idA, sagaA),
		"snapshots/" + sagaB + "/" + idA + ".json": document(idA, sagaB, "2026-01-02", "2026-01-03"),
	})
	var log strings.Builder
	s := open(t, filestore.Config{BasePath: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	before := log.String()
	for range 3 {
		page, err := s.List(t.Context(), &saga.Query{SagaID: uuid.NullUUID{UUID: uuid.MustParse(sagaA), Valid: true}, Limit: 10})
		if err != nil || len(page.Items) != 0 || len(page.Unreadable) != 1 {
			t.Errorf("%+v, %v", page, err)
		}
	}
	if more := strings.TrimPrefix(log.String(), before); more != "" {
		t.Errorf("logged:\n%s", more)
	}
}

// The directory that is locked is worked on, wherever a link that led to it leads now.
func TestLinkToTheBaseIsTurned(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(one, link); err != nil {
		t.Skip(err)
	}
	s := open(t, filestore.Config{BasePath: link})
	defer s.Close()
	if err := errors.Join(os.Remove(link), os.Symlink(two, link)); err != nil {
		t.Fatal(err)
	}
	put(t, s, snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z"))
	if names, err := os.ReadDir(two); len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(one, link)); err != nil {
		t.Fatal(err)
	}
}

// Files cannot be moved from one filesystem to another.
func TestSnapshotsOnAnotherFilesystem(t *testing.T) {
	elsewhere, err := os.MkdirTemp("/dev/shm", "snapshotd")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(elsewhere)
	dir := t.TempDir()
	if err := os.Link(lay(t, dir, map[string]string{"file": ""})+"/file", filepath.Join(elsewhere, "file")); err == nil {
		t.Skip("/dev/shm is not another filesystem")
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "file")), os.Symlink(elsewhere, filepath.Join(dir, "snapshots"))); err != nil {
		t.Fatal(err)
	}
	if s, err := filestore.Open(t.Context(), filestore.Config{BasePath: dir}); err == nil || !strings.Contains(err.Error(), "another filesystem") {
		t.Errorf("%v, %v", s, err)
	}
}
