package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore/vfs"
)

// A Kind is what sort of thing is wrong.
type Kind string

// The kinds of findings.
const (
	KindUnreadable Kind = "unreadable" // it cannot be read as what its name says
	KindShadowed   Kind = "shadowed"   // another file of the same id counts
	KindForeign    Kind = "foreign"    // its name is none of ours
	KindEmpty      Kind = "empty"      // a saga's directory in which nothing lies
	KindIndex      Kind = "index"      // an index that is missing, or says otherwise than the files
	KindLog        Kind = "log"        // the log is damaged, or a file is not as the log says
	KindLeftover   Kind = "leftover"   // what a crash left behind
	KindMode       Kind = "mode"       // not the mode that the base directory's asks for
	KindFormat     Kind = "format"     // the file that says which format the directory has
)

// Kinds are all kinds of findings.
var Kinds = []Kind{
	KindFormat, KindLog, KindUnreadable, KindShadowed, KindForeign, KindEmpty, KindIndex, KindLeftover, KindMode,
}

// A Finding is something that is wrong in a directory.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Path     string `json:"path"`            // relative to the base directory, with slashes
	Detail   string `json:"detail"`          // what is wrong
	Repair   string `json:"repair"`          // what repairing does about it; "" = nothing
	Repaired bool   `json:"repaired"`        // that has been done
	Error    string `json:"error,omitempty"` // why it could not be done
}

// A Report says what Verify has found.
type Report struct {
	BasePath   string    `json:"base_path"`
	Sagas      int       `json:"sagas"`
	Snapshots  int       `json:"snapshots"`   // those that can be read
	Replays    int       `json:"replays"`     // those that can be read
	Bytes      int64     `json:"size_bytes"`  // of the snapshots, as stored
	LogRecords int       `json:"log_records"` // that were not settled
	Quarantine string    `json:"quarantine"`  // where files were moved, relative to BasePath; "" = none was
	Findings   []Finding `json:"findings"`    // by path
}

// Left counts the findings that have not been repaired.
func (r *Report) Left() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Repaired {
			n++
		}
	}
	return n
}

// VerifyConfig says what to verify.
type VerifyConfig struct {
	BasePath string
	// Repair mends what can be mended. What holds data is moved to .snapshotd/quarantine,
	// never deleted. Without it nothing at all is written.
	Repair   bool
	FS       vfs.FS                // nil = the operating system's
	Progress func(done, total int) // told of sagas and replays, by several goroutines at once; nil = nobody is
}

// ErrNoDirectory means that a path is no directory of ours.
var ErrNoDirectory = errors.New("there are no snapshots here: neither snapshots/ nor .snapshotd/ is there")

// Verify compares everything in a directory that no daemon works on: each file is
// read, whatever an index says of it. ErrInUse if a daemon does. With an error
// the report, unless it is nil, tells how far it came.
func Verify(ctx context.Context, cfg VerifyConfig) (*Report, error) {
	s, err := newStore(Config{BasePath: cfg.BasePath, FS: cfg.FS})
	if err != nil {
		return nil, err
	}
	v := &verifier{
		Store: s, repair: cfg.Repair, progress: cfg.Progress,
		report: &Report{BasePath: s.disk.base, Findings: []Finding{}},
		live:   map[uuid.UUID]bool{}, robbed: map[uuid.UUID]bool{},
	}
	if v.progress == nil {
		v.progress = func(int, int) {}
	}
	info, err := os.Stat(s.disk.base)
	switch {
	case err != nil:
	case !info.IsDir():
		err = errors.New("it is not a directory")
	case !exists(s.disk.snapshots()) && !exists(s.disk.own()):
		err = ErrNoDirectory
	}
	if err != nil {
		return nil, fmt.Errorf("base path %s: %w", s.disk.base, err)
	}
	s.disk.fileMode, s.disk.dirMode = modesLike(info.Mode())
	lock, err := v.takeLock()
	if err != nil {
		return nil, fmt.Errorf("base path %s: %w", s.disk.base, err)
	}
	if err := errors.Join(v.run(ctx), lock.Close()); err != nil {
		return v.report, fmt.Errorf("base path %s: %w", s.disk.base, err)
	}
	return v.report, nil
}

// A verifier is a store that is not opened.
type verifier struct {
	*Store
	repair   bool
	progress func(done, total int)
	total    int
	done     atomic.Int64

	// apart are the files that are not as the log wants them; they are judged as if
	// they were.
	apart map[string]wanted

	mu     sync.Mutex
	report *Report
	live   map[uuid.UUID]bool // sagas that have anything in their directories
	robbed map[uuid.UUID]bool // sagas of which something was moved away

	quarantining sync.Mutex
	aside        string // where this run moves files
}

func (v *verifier) run(ctx context.Context) (err error) {
	if known, err := v.checkFormat(); err != nil || !known {
		return err
	}
	if v.repair {
		if err := v.makeDirectories(); err != nil {
			return err
		}
	}
	v.checkOwn()
	for _, check := range []func(context.Context) error{v.checkLog, v.checkSagas, v.checkIndexes, v.checkReplays} {
		if err = check(ctx); err != nil {
			break
		}
	}
	v.finish()
	if v.repair && len(v.report.Findings) > 0 {
		err = errors.Join(err, v.disk.syncAll(v.disk.takeTouched()))
	}
	return err
}

// takeLock writes nothing unless that is asked for: not even who holds it. A
// directory without a lock was never opened by a daemon.
func (v *verifier) takeLock() (lock, error) {
	if v.repair {
		if err := checkOwner(v.disk.own(), v.disk.base); err != nil {
			return nil, err
		}
		if err := v.disk.mkdir(v.disk.own()); err != nil {
			return nil, err
		}
		return lockDirectory(v.disk.lock())
	}
	return tryLock(v.disk.lock(), false)
}

// checkOwner fails if root is about to leave files that the user whose daemon works
// here, which the first of the paths that is there tells, could not read.
func checkOwner(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if owner := ownerOf(info); os.Geteuid() == 0 && owner != 0 {
			return fmt.Errorf("%s belongs to the user with the id %d, whose daemon could not read what root repairs: do it as that user", path, owner)
		}
		return nil
	}
	return nil
}

// finish counts what there is and puts the findings in order.
func (v *verifier) finish() {
	var stats store.Stats
	v.catalog.Fill(&stats, 0)
	r := v.report
	r.Sagas, r.Snapshots, r.Bytes = stats.Sagas, stats.Snapshots, stats.SnapshotBytes
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail))
	})
}

// found notes a finding, and mends it where that is asked for. A remedy of ""
// goes with a nil mend.
func (v *verifier) found(kind Kind, path, detail, remedy string, mend func() error) {
	rel, err := filepath.Rel(v.disk.base, path)
	if err != nil {
		rel = path
	}
	f := Finding{Kind: kind, Path: filepath.ToSlash(rel), Detail: detail, Repair: remedy}
	if v.repair && mend != nil {
		if err := mend(); err != nil {
			f.Error = err.Error()
		} else {
			f.Repaired = true
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Findings = append(v.report.Findings, f)
}

func (v *verifier) foundForeign(path string) {
	v.found(KindForeign, path, "a name that is not ours", "", nil)
}

const toQuarantine = "move it to quarantine"

// foundBad is for a file whose place is in quarantine.
func (v *verifier) foundBad(kind Kind, path string, why error) {
	if isIOError(why) {
		v.found(kind, path, why.Error(), "", nil) // it may be whole
		return
	}
	v.found(kind, path, why.Error(), toQuarantine, func() error { return v.quarantine(path) })
}

// checkFormat reports whether the directory is one that we know.
func (v *verifier) checkFormat() (known bool, err error) {
	_, err = v.readFormat()
	switch {
	case errors.Is(err, errOtherFormat):
		v.found(KindFormat, v.disk.format(), err.Error(), "", nil)
		return false, nil
	case errors.Is(err, errBadFormat):
		v.found(KindFormat, v.disk.format(), err.Error(), toQuarantine+" and write it again", func() error {
			if err := v.makeDirectories(); err != nil {
				return err
			}
			if err := v.quarantine(v.disk.format()); err != nil {
				return err
			}
			return v.writeFormat()
		})
		return true, nil
	default:
		return err == nil, err
	}
}

// checkOwn looks at the directories that are always there, and at ours.
func (v *verifier) checkOwn() {
	for _, dir := range v.disk.directories() {
		v.checkMode(dir, v.disk.dirMode)
	}
	v.checkMode(v.disk.quarantine(), v.disk.dirMode)
	v.checkMode(v.disk.lock(), lockMode)
	v.checkMode(v.disk.format(), v.disk.fileMode)
	tmp := filepath.Dir(v.disk.tmp(0))
	ours := append(v.disk.directories(), v.disk.quarantine(), v.disk.lock(), v.disk.format())
	for _, dir := range []string{v.disk.own(), tmp} {
		names, _ := readNames(dir)
		for _, name := range names {
			if path := filepath.Join(dir, name); !slices.Contains(ours, path) {
				v.foundForeign(path)
			}
		}
	}
	for i := range tmpDirs {
		left, _ := os.ReadDir(v.disk.tmp(i))
		for _, e := range left {
			path := filepath.Join(v.disk.tmp(i), e.Name())
			if e.IsDir() {
				v.found(KindLeftover, path, "a directory among temporary files", toQuarantine, func() error { return v.quarantine(path) })
			} else {
				v.found(KindLeftover, path, "a temporary file", "remove it", func() error { return v.disk.remove(path) })
			}
		}
	}
	segments, _ := os.ReadDir(v.disk.log())
	for _, e := range segments {
		v.checkMode(filepath.Join(v.disk.log(), e.Name()), v.disk.fileMode)
	}
}

// checkMode looks at a file or a directory, if it is there.
func (v *verifier) checkMode(path string, want fs.FileMode) {
	info, err := os.Lstat(path)
	if err != nil || runtime.GOOS == "windows" || !info.IsDir() && !info.Mode().IsRegular() || info.Mode().Perm() == want {
		return
	}
	v.found(KindMode, path, fmt.Sprintf("its mode is %04o, and the base directory's asks for %04o", info.Mode().Perm(), want),
		fmt.Sprintf("set it to %04o", want), func() error { return os.Chmod(path, want) })
}

// count notes progress.
func (v *verifier) count() { v.progress(int(v.done.Add(1)), v.total) }
