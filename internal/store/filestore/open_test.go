package filestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
)

func expired(before string) *store.Selection {
	at, err := saga.ParseTime(before)
	if err != nil {
		panic(err)
	}
	return &store.Selection{ExpiredBefore: &at}
}

func TestModesFollowTheBaseDirectory(t *testing.T) {
	for base, want := range map[os.FileMode][2]os.FileMode{
		0o755: {0o644, 0o755},
		0o750: {0o640, 0o750},
		0o700: {0o600, 0o700},
		0:     {0o600, 0o700}, // made by us
	} {
		dir := filepath.Join(t.TempDir(), "a", "b")
		if base != 0 {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, base); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, filestore.Config{BasePath: dir})
		sn := snapshot(uuid.MustParse(sagaA), 1, "2026-01-01T00:00:00Z")
		put(t, s, sn)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{
			find(t, dir, sn.ID):                          want[0],
			filepath.Join(dir, "indexes", sagaA+".json"): want[0],
			filepath.Join(dir, "snapshots"):              want[1],
			filepath.Join(dir, "snapshots", sagaA):       want[1],
			filepath.Join(dir, "replays"):                want[1],
		} {
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != mode {
				t.Errorf("base %o: %s has mode %o, %v, want %o", base, path, info.Mode().Perm(), err, mode)
			}
		}
	}
}

func TestOneStorePerDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	_, err := filestore.Open(context.Background(), filestore.Config{BasePath: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by snapshotd with pid") {
		t.Errorf("the second one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, filestore.Config{BasePath: dir}).Close()
}

func TestLeftoversAreClearedAndOtherFormatsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, filestore.Config{BasePath: dir}).Close()
	left := filepath.Join(dir, ".snapshotd", "tmp", "3", "77")
	lay(t, dir, map[string]string{".snapshotd/tmp/3/77": "half a docu"})
	s := open(t, filestore.Config{BasePath: dir})
	if exists(left) {
		t.Error("a temporary file is left")
	}
	if s.FirstOpen() {
		t.Error("a directory that we made is not new to us")
	}
	s.Close()
	lay(t, dir, map[string]string{".snapshotd/format": `{"format": 2}`})
	verifyAtCleanup(t, dir).excuse(filestore.KindFormat, ".snapshotd/format")
	if _, err := filestore.Open(context.Background(), filestore.Config{BasePath: dir}); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("a directory of a later version: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	lay(t, filepath.Dir(file), map[string]string{"file": ""})
	if _, err := filestore.Open(context.Background(), filestore.Config{BasePath: file}); err == nil {
		t.Error("a file as base path is accepted")
	}
}

// Keys that another writer put into a replay record survive our changing it.
func TestReplayKeepsForeignKeys(t *testing.T) {
	record := `{"replay_id": "` + idA + `", "original_saga_id": "` + sagaA + `", "new_saga_id": "` + sagaB + `", "checkpoint_step": "pay", ` +
		`"replay_status": "running", "initiated_by": "ops", "context_override": null, "error_message": null, ` +
		`"created_at": "2026-01-02T03:04:05", "completed_at": null, "ticket": 1.50}`
	dir := lay(t, t.TempDir(), map[string]string{"replays/" + idA + ".json": zip(record)})
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	r, err := s.GetReplay(t.Context(), uuid.MustParse(idA))
	if err != nil {
		t.Fatal(err)
	}
	if r.CreatedAt.String() != "2026-01-02T03:04:05+00:00" || r.DryRun || r.SnapshotID.Valid {
		t.Errorf("%+v", r)
	}
	cancelled := *r
	cancelled.Status = saga.ReplayCancelled
	if err := s.PutReplay(t.Context(), &cancelled, &cancelled); !errors.Is(err, saga.ErrReplayChanged) {
		t.Errorf("of another one: %v", err)
	}
	if err := s.PutReplay(t.Context(), &cancelled, r); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "replays", idA+".json"))
	if !strings.Contains(string(text), `"cancelled"`) || !strings.Contains(string(text), `"ticket":1.50`) {
		t.Errorf("stored as\n%s", text)
	}
}
