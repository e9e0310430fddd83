package filestore_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// watching opens a store with a snapshot in each of three sagas that are watched, as far as limit allows.
func watching(t *testing.T, limit int) (s *filestore.Store, paths map[string]string) {
	const idC, sagaC = "cccccccc-cccc-4ccc-8ccc-cccccccccccc", "33333333-3333-4333-8333-333333333333"
	dir := t.TempDir()
	paths = map[string]string{}
	files := map[string]string{}
	for id, sagaID := range map[string]string{idA: sagaA, idB: sagaB, idC: sagaC} {
		name := filepath.Join("snapshots", sagaID, id+".json")
		files[name] = document(id, sagaID)
		paths[id] = filepath.Join(dir, name)
	}
	s = caching(t, lay(t, dir, files))
	if _, ok := s.Watched(); !ok {
		t.Skip("directories on this filesystem cannot be watched")
	}
	s.WatchAtMost(limit)
	for range 2 {
		for id := range paths {
			if _, err := text(t, s, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, _ := s.Watched(); n != min(limit, 3) {
		t.Fatalf("%d directories are watched", n)
	}
	return s, paths
}

// When more happens than the kernel keeps in mind, everything is looked at again.
func TestMoreChangesThanTheKernelTellsOf(t *testing.T) {
	s, paths := watching(t, 3)
	storm(t, paths[idA])
	if err := os.RemoveAll(filepath.Dir(paths[idB])); err != nil {
		t.Fatal(err)
	}
	if got, err := text(t, s, idB); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Error(got, err)
	}
}

// storm moves a file to and fro until the kernel has forgotten the first of that.
func storm(t *testing.T, path string) {
	for range 9000 {
		if err := errors.Join(os.Rename(path, path+"~"), os.Rename(path+"~", path)); err != nil {
			t.Fatal(err)
		}
	}
}

// When the kernel could not tell that all sagas lie in another directory now, that one's
// being exchanged is noticed all the same.
func TestATreeExchangedUnseen(t *testing.T) {
	s, paths := watching(t, 3)
	exchange := func(aside string) {
		tree := filepath.Dir(filepath.Dir(paths[idB]))
		if err := errors.Join(os.Rename(tree, tree+aside), exec.Command("cp", "-a", tree+aside, tree).Run()); err != nil {
			t.Fatal(err)
		}
	}
	storm(t, paths[idA])
	exchange("~")
	for range 3 {
		if _, err := text(t, s, idB); err != nil {
			t.Fatal(err)
		}
	}
	exchange("~~")
	if err := os.RemoveAll(filepath.Dir(paths[idB])); err != nil {
		t.Fatal(err)
	}
	if got, err := text(t, s, idB); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Error(got, err)
	}
}

// What is not watched, for there are too many, is looked at.
func TestMoreSagasThanAreWatched(t *testing.T) {
	s, paths := watching(t, 2)
	for id, path := range paths {
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if got, err := text(t, s, id); !errors.Is(err, saga.ErrSnapshotNotFound) {
			t.Error(got, err)
		}
	}
}

// A saga that has gone is not watched any more.
func TestSagasThatAreDeletedAreNotWatched(t *testing.T) {
	s, paths := watching(t, 3)
	for id := range paths {
		if _, err := s.Delete(t.Context(), uuid.MustParse(id)); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := s.Watched(); n != 0 {
		t.Errorf("%d directories are watched", n)
	}
}

// All sagas lie behind a symbolic link, which is turned to another directory.
func TestALinkIsTurned(t *testing.T) {
	dir := lay(t, t.TempDir(), map[string]string{
		filepath.Join("one", sagaA, idA+".json"): document(idA, sagaA),
		filepath.Join("two", sagaA, idB+".json"): document(idB, sagaA),
	})
	link := filepath.Join(dir, "snapshots")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	s := caching(t, dir)
	for range 3 {
		if _, err := text(t, s, idA); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("two", link+"~"), os.Rename(link+"~", link)); err != nil {
		t.Fatal(err)
	}
	if got, err := text(t, s, idA); !errors.Is(err, saga.ErrSnapshotNotFound) {
		t.Error(got, err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink("one", link)); err != nil {
		t.Fatal(err)
	}
}
