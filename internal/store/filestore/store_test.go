package filestore_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
	"snapshotd/internal/store/storetest"
)

func TestMain(m *testing.M) {
	// go test would look for each of the files that were opened, a million or so, to know
	// whether it may keep the result: that takes longer than the tests.
	flag.Parse()
	_ = flag.Set("test.testlogfile", "")
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	t.Run("plain", func(t *testing.T) { storetest.Run(t, newHarness(t.TempDir(), vfs.OS{}, false)) })
	t.Run("gzip", func(t *testing.T) { storetest.Run(t, newHarness(scratch(t), memory, true)) })
}

func TestModel(t *testing.T) {
	t.Run("plain", func(t *testing.T) { storetest.RunModel(t, newHarness(scratch(t), memory, false)) })
	t.Run("gzip", func(t *testing.T) { storetest.RunModel(t, newHarness(scratch(t), memory, true)) })
}

// newHarness makes stores on disks that can be cut off the power.
func newHarness(dir string, below vfs.FS, compress bool) storetest.Harness {
	disks := map[store.Store]*vfstest.Recorder{}
	open := func(t *testing.T, base string, disk *vfstest.Recorder) store.Store {
		s, err := filestore.Open(t.Context(), filestore.Config{BasePath: base, Compress: compress, Indent: true, Cache: 64 << 10, FS: disk}.WithSegments(64<<10))
		if err != nil {
			t.Fatal(err)
		}
		disks[s] = disk
		return s
	}
	fresh := func(t *testing.T) string {
		path, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	recorded := func(t *testing.T, path string) *vfstest.Recorder {
		disk, err := vfstest.NewRecorder(below, path)
		if err != nil {
			t.Fatal(err)
		}
		return disk
	}
	return storetest.Harness{
		Open: func(t *testing.T) store.Store {
			path := fresh(t)
			base := filepath.Join(path, "data")
			verifyAtCleanup(t, base)
			return open(t, base, recorded(t, path))
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			base := basePath(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			verifyAtCleanup(t, base).verify(t)
			return open(t, base, disks[s])
		},
		Crash: func(t *testing.T, s store.Store, kept float64, seed uint64) store.Store {
			base, disk := basePath(t, s), disks[s]
			disk.CutAfter(0)
			s.Close()
			if kept == 1 { // only the process was killed
				disk.Revive()
				return open(t, base, disk)
			}
			path := filepath.Join(fresh(t), "left")
			if err := disk.Materialize(path, kept, seed); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(base); err != nil {
				t.Fatal(err)
			}
			return open(t, filepath.Join(path, "data"), recorded(t, path))
		},
		Corrupt: func(t *testing.T, s store.Store, id uuid.UUID) {
			files, _ := filepath.Glob(filepath.Join(basePath(t, s), "snapshots", "*", id.String()+".json*"))
			if len(files) != 1 {
				t.Fatalf("%d files of %s", len(files), id)
			}
			if err := os.WriteFile(files[0], []byte(`{"torn`), 0o600); err != nil {
				t.Fatal(err)
			}
			v := verifyAtCleanup(t, basePath(t, s))
			v.excuse(filestore.KindUnreadable, files[0])
			v.excuse(filestore.KindIndex, "indexes/"+filepath.Base(filepath.Dir(files[0]))+".json")
		},
	}
}

// open opens a store that the test closes. At the end of the test nothing may be
// wrong in its directory but what was before.
func open(t *testing.T, cfg filestore.Config) *filestore.Store {
	t.Helper()
	verifyAtCleanup(t, cfg.BasePath).excuseAll(t)
	s, err := filestore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func basePath(t *testing.T, s store.Store) string {
	t.Helper()
	stats, err := s.Stats(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return stats.BasePath
}

func put(t *testing.T, s store.Store, sn *saga.Snapshot) {
	t.Helper()
	if _, err := s.Put(context.Background(), &sn.Summary, sn.AppendJSON(nil, true)); err != nil {
		t.Fatal(err)
	}
}

func snapshot(sagaID uuid.UUID, step int32, at string) *saga.Snapshot {
	created, err := saga.ParseTime(at)
	if err != nil {
		panic(err)
	}
	return &saga.Snapshot{
		Summary: saga.Summary{
			ID: uuid.New(), SagaID: sagaID, SagaName: "order", StepName: "step", StepIndex: step,
			Status: "executing", CreatedAt: created, RetentionUntil: saga.Never,
		},
		Context: []byte(`{"amount":1.0}`), CompletedSteps: []byte(`[]`), ExternalRefs: []byte(`{}`),
	}
}
