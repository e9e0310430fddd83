package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/filestore/vfs"
)

// saveExpired saves a snapshot in a saga of its own, which has expired.
func saveExpired(t *testing.T, s store.Store) *saga.Snapshot {
	t.Helper()
	sn := snapshot(uuid.New(), 1, "2026-01-01T00:00:00Z")
	sn.RetentionUntil = sn.CreatedAt
	put(t, s, sn)
	return sn
}

// unyielding is a disk on which nothing below one directory can be removed.
type unyielding struct {
	vfs.FS
	dir string
}

func (u *unyielding) Remove(path string) error {
	if u.dir != "" && strings.HasPrefix(path, u.dir) {
		return &fs.PathError{Op: "remove", Path: path, Err: syscall.EPERM}
	}
	return u.FS.Remove(path)
}

func TestWhatCannotBeRemovedKeepsNothingElse(t *testing.T) {
	dir := t.TempDir()
	disk := &unyielding{FS: vfs.OS{}}
	s := open(t, filestore.Config{BasePath: dir, FS: disk})
	defer s.Close()
	stays, goes := saveExpired(t, s), saveExpired(t, s)
	disk.dir = filepath.Join(dir, "snapshots", stays.SagaID.String())
	d, err := s.DeleteMany(t.Context(), expired("2026-01-02T00:00:00Z"))
	if !errors.Is(err, saga.ErrReadOnly) || !strings.Contains(err.Error(), stays.ID.String()) || d.Count != 1 || d.Kept != 1 || d.Remaining != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := s.Get(t.Context(), goes.ID); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Errorf("the one that can go: %v", err)
	}
	disk.dir = ""
	if d, err := s.DeleteMany(t.Context(), expired("2026-01-02T00:00:00Z")); err != nil || d.Count != 1 || d.Kept != 0 || d.Remaining != 0 {
		t.Errorf("at last: %+v, %v", d, err)
	}
}

// What cannot be read at the moment is neither deleted nor given up.
func TestCleanUpOfWhatCannotBeReadNow(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	sn, other := saveExpired(t, s), saveExpired(t, s)
	lies := filepath.Join(dir, "snapshots", sn.SagaID.String())
	hidden := filepath.Join(dir, "hidden")
	if err := errors.Join(os.Rename(lies, hidden), os.WriteFile(lies, nil, 0o600)); err != nil { // ENOTDIR
		t.Fatal(err)
	}
	d, err := s.DeleteMany(t.Context(), expired("2026-01-02T00:00:00Z"))
	if err == nil || d.Count != 1 || d.Kept != 1 || d.Remaining != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := s.Get(t.Context(), other.ID); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Errorf("the other one: %v", err)
	}
	if err := errors.Join(os.Remove(lies), os.Rename(hidden, lies)); err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, s, sn.ID.String()); err != nil {
		t.Errorf("when it can be read again: %v", err)
	}
	if d, err := s.DeleteMany(t.Context(), expired("2026-01-02T00:00:00Z")); err != nil || d.Count != 1 || d.Remaining != 0 {
		t.Errorf("at last: %+v, %v", d, err)
	}
}

func TestDeletionCountsWhatItRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	gone, stayed := snapshot(uuid.New(), 1, "2026-01-01T00:00:00Z"), snapshot(uuid.New(), 2, "2026-01-01T00:00:00Z")
	stayed.SagaID = gone.SagaID
	put(t, s, gone)
	put(t, s, stayed)
	if err := os.Remove(filepath.Join(dir, "snapshots", gone.SagaID.String(), gone.ID.String()+".json")); err != nil {
		t.Fatal(err)
	}
	item, err := s.Get(t.Context(), stayed.ID)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.DeleteMany(t.Context(), &store.Selection{SagaID: uuid.NullUUID{UUID: gone.SagaID, Valid: true}, Sample: 5})
	if err != nil || d.Count != 1 || d.Bytes != item.SizeBytes || len(d.Sample) != 1 || d.Sample[0].ID != stayed.ID || d.Remaining != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDirectoryInTheWayOfASnapshot(t *testing.T) {
	for _, name := range []string{".json", ".json.gz"} {
		dir := t.TempDir()
		s := open(t, filestore.Config{BasePath: dir})
		defer s.Close()
		sn := snapshot(uuid.New(), 1, "2026-01-01T00:00:00Z")
		path := filepath.Join(dir, "snapshots", sn.SagaID.String(), sn.ID.String()+name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), &sn.Summary, sn.AppendJSON(nil, true)); err == nil || errors.Is(err, saga.ErrExists) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		put(t, s, sn)
	}
}

// All that cannot be read is named on the first page, however short that is.
func TestUnreadableFilesAreAllNamed(t *testing.T) {
	files := map[string]string{}
	for n := range 4 {
		files[fmt.Sprintf("snapshots/%s/%s.json", sagaA, uuid.NewSHA1(uuid.Nil, []byte{byte(n)}))] = "{torn"
	}
	s := open(t, filestore.Config{BasePath: lay(t, t.TempDir(), files)})
	defer s.Close()
	page, err := s.List(t.Context(), &saga.Query{SagaID: uuid.NullUUID{UUID: uuid.MustParse(sagaA), Valid: true}, Limit: 1})
	if err != nil || len(page.Unreadable) != 4 {
		t.Errorf("%+v, %v", page, err)
	}
}

// A replay whose file was edited goes on from what that says.
func TestReplayEditedBehindTheRunningStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	r := aReplay(1, saga.ReplayPending)
	if err := s.PutReplay(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "replays", r.ID.String()+".json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), "pending", "running", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	edited, err := s.GetReplay(t.Context(), r.ID)
	if err != nil || edited.Status != saga.ReplayRunning {
		t.Fatalf("%+v, %v", edited, err)
	}
	if stats, err := s.Stats(t.Context(), 0); err != nil || stats.ReplaysByStatus[saga.ReplayRunning] != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	done := *edited
	done.Status = saga.ReplaySuccess
	if err := s.PutReplay(t.Context(), &done, r); !errors.Is(err, saga.ErrReplayChanged) {
		t.Errorf("expecting what it was before: %v", err)
	}
	if err := s.PutReplay(t.Context(), &done, edited); err != nil {
		t.Error(err)
	}
}

// A directory that fails on the way is not one that ends there.
func TestDirectoryThatFailsOnTheWay(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	got := filestore.EachOf(context.Background(), func(int) ([]fs.DirEntry, error) { return entries, syscall.EIO }, func(fs.DirEntry) error { return nil })
	if !errors.Is(got, syscall.EIO) {
		t.Error(got)
	}
}
