package filestore_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"snapshotd/internal/store/filestore"
)

// A verified directory is that of a test, in which nothing may be wrong at the
// end but what is excused.
type verified struct {
	dir string

	mu      sync.Mutex
	excused map[[2]string]bool // kind and path
}

var verifiedDirs sync.Map // of *verified

// verifyAtCleanup has a directory verified when the test has ended and its stores
// are closed.
func verifyAtCleanup(t *testing.T, dir string) *verified {
	known, found := verifiedDirs.LoadOrStore(dir, &verified{dir: dir, excused: map[[2]string]bool{}})
	v := known.(*verified)
	if !found {
		t.Cleanup(func() {
			verifiedDirs.Delete(dir)
			if !t.Failed() {
				v.verify(t)
			}
		})
	}
	return v
}

func (v *verified) findings(t *testing.T) []filestore.Finding {
	t.Helper()
	r, err := filestore.Verify(context.Background(), filestore.VerifyConfig{BasePath: v.dir})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, filestore.ErrNoDirectory) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Findings
}

func (v *verified) verify(t *testing.T) {
	t.Helper()
	for _, f := range v.findings(t) {
		if !v.excused[[2]string{string(f.Kind), f.Path}] {
			t.Errorf("the store has left behind %s %s: %s", f.Kind, f.Path, f.Detail)
		}
	}
}

// excuse excuses something that the test has done behind the store.
func (v *verified) excuse(kind filestore.Kind, path string) {
	if rel, err := filepath.Rel(v.dir, path); err == nil && filepath.IsAbs(path) {
		path = rel
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.excused[[2]string{string(kind), filepath.ToSlash(path)}] = true
}

// excuseAll excuses what is wrong already.
func (v *verified) excuseAll(t *testing.T) {
	t.Helper()
	for _, f := range v.findings(t) {
		v.excuse(f.Kind, f.Path)
	}
}
