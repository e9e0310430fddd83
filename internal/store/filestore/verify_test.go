package filestore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/filestore/wal"
)

const replayA = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"

// written is a directory with two snapshots and a replay of one saga, in which
// nothing is wrong. log is what its log held before it was settled.
func written(t *testing.T) (dir string, log map[string]string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	s := open(t, filestore.Config{BasePath: dir, Indent: true})
	logDir := filepath.Join(dir, ".snapshotd", "log")
	warm := snapshot(uuid.MustParse(sagaA), 9, "2026-01-02T03:04:06Z")
	put(t, s, warm)
	if _, err := s.Delete(t.Context(), warm.ID); err != nil {
		t.Fatal(err)
	}
	for unsettled(t, logDir) > 0 { // the first segment brings a checkpoint; the next one is seconds away
		runtime.Gosched()
	}
	for i, id := range []string{idA, idB} {
		sn := snapshot(uuid.MustParse(sagaA), int32(i), "2026-01-02T03:04:05Z")
		sn.ID = uuid.MustParse(id)
		put(t, s, sn)
	}
	r := &saga.Replay{
		ID: uuid.MustParse(replayA), OriginalSagaID: uuid.MustParse(sagaA), NewSagaID: uuid.MustParse(sagaB),
		CheckpointStep: "step", Status: saga.ReplayPending, InitiatedBy: "system", CompletedAt: saga.Never,
	}
	if err := s.PutReplay(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	gone := snapshot(uuid.MustParse(sagaA), 9, "2026-01-02T03:04:06Z")
	gone.ID = uuid.MustParse(sagaB)
	put(t, s, gone)
	if _, err := s.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if n := unsettled(t, logDir); n != 5 {
		t.Fatalf("the log holds %d records", n)
	}
	log = tree(t, logDir)
	for name, text := range log {
		log[name] = strings.TrimRight(text, "\x00") + strings.Repeat("\x00", 4096)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range log { // settled, and large
		if err := os.Remove(filepath.Join(logDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, log
}

// clone copies a directory with its modes and times.
func clone(t *testing.T, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		copied := filepath.Join(to, strings.TrimPrefix(path, from))
		return errors.Join(os.Chmod(copied, info.Mode().Perm()), os.Chtimes(copied, info.ModTime(), info.ModTime()))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func unsettled(t *testing.T, logDir string) int {
	t.Helper()
	found, err := wal.Recover(logDir, wal.ID{})
	if err != nil {
		t.Fatal(err)
	}
	return len(found.Records)
}

func verify(t *testing.T, dir string, repair bool) *filestore.Report {
	t.Helper()
	r, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: dir, Repair: repair})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// states are the bytes, modes and times of everything in a directory.
func states(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		state := fmt.Sprint(info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			text, _ := os.ReadFile(path)
			state += string(text)
		}
		all[path] = state
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	fileA   = "snapshots/" + sagaA + "/" + idA + ".json"
	fileB   = "snapshots/" + sagaA + "/" + idB + ".json"
	indexA  = "indexes/" + sagaA + ".json"
	replayF = "replays/" + replayA + ".json"
)

// A plant is something wrong that is put into a directory.
type plant struct {
	name   string
	files  map[string]string // to lay
	modes  map[string]fs.FileMode
	remove []string
	edit   func(t *testing.T, dir string)
	logged bool // the log is as it was before it was settled

	want  []string // findings: kind path
	left  []string // those that repairing leaves
	aside []string // files that go to quarantine, as they are
}

func changed(path string, changes ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, path)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(path)
		now := strings.NewReplacer(changes...).Replace(string(text))
		if now == string(text) {
			t.Fatalf("nothing to change in\n%s", text)
		}
		if err := os.WriteFile(path, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

func cut(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Truncate(filepath.Join(dir, path), 20); err != nil {
			t.Fatal(err)
		}
	}
}

var plants = []plant{
	{name: "a torn snapshot", edit: cut(fileA), want: []string{"index " + indexA, "unreadable " + fileA}, aside: []string{fileA}},
	{name: "a snapshot that was never whole", files: map[string]string{"snapshots/" + sagaB + "/" + idA + "0.json": "x", "snapshots/" + sagaB + "/" + idA + ".json": document(idB, sagaB)},
		want:  []string{"foreign snapshots/" + sagaB + "/" + idA + "0.json", "unreadable snapshots/" + sagaB + "/" + idA + ".json"},
		left:  []string{"foreign snapshots/" + sagaB + "/" + idA + "0.json"},
		aside: []string{"snapshots/" + sagaB + "/" + idA + ".json"}},
	{name: "a saga with nothing but a torn snapshot", files: map[string]string{"snapshots/" + sagaB + "/" + replayA + ".json": "{", "indexes/" + sagaB + ".json": `{"snapshots":[]}`},
		want: []string{"unreadable snapshots/" + sagaB + "/" + replayA + ".json"}, aside: []string{"snapshots/" + sagaB + "/" + replayA + ".json", "indexes/" + sagaB + ".json"}},
	{name: "a torn replay", edit: cut(replayF), want: []string{"unreadable " + replayF}, aside: []string{replayF}},
	{name: "a snapshot of both suffixes", files: map[string]string{fileA + ".gz": zip(document(idA, sagaA))},
		want: []string{"index " + indexA, "shadowed " + fileA}, aside: []string{fileA}},
	{name: "a snapshot beside a torn compressed one", files: map[string]string{fileA + ".gz": zip(document(idA, sagaA))[:40]},
		want: []string{"unreadable " + fileA + ".gz"}, aside: []string{fileA + ".gz"}},
	{name: "a snapshot of two sagas", files: map[string]string{"snapshots/" + sagaB + "/" + idA + ".json": document(idA, sagaB, "2026-01-02", "2026-01-01")},
		want: []string{"shadowed snapshots/" + sagaB + "/" + idA + ".json"}, aside: []string{"snapshots/" + sagaB + "/" + idA + ".json"}},
	{name: "names that are not ours", files: map[string]string{
		"snapshots/README": "", "snapshots/" + sagaA + "/notes": "", "indexes/x.json": "", "replays/" + idB + ".json.gz": "", ".snapshotd/x": "", ".snapshotd/tmp/g": ""},
		want: []string{"foreign .snapshotd/tmp/g", "foreign .snapshotd/x", "foreign indexes/x.json", "foreign replays/" + idB + ".json.gz", "foreign snapshots/README", "foreign snapshots/" + sagaA + "/notes"},
		left: []string{"foreign .snapshotd/tmp/g", "foreign .snapshotd/x", "foreign indexes/x.json", "foreign replays/" + idB + ".json.gz", "foreign snapshots/README", "foreign snapshots/" + sagaA + "/notes"}},
	{name: "no index", remove: []string{indexA}, want: []string{"index " + indexA}},
	{name: "a torn index", edit: cut(indexA), want: []string{"index " + indexA}},
	{name: "an index with a ghost", remove: []string{fileA}, want: []string{"index " + indexA}},
	{name: "an index that misses one", files: map[string]string{"snapshots/" + sagaA + "/" + replayA + ".json": document(replayA, sagaA)}, want: []string{"index " + indexA}},
	{name: "an index that has one twice", edit: changed(indexA, idA, idB), want: []string{"index " + indexA}},
	{name: "an index with another time", edit: changed(indexA, "03:04:05+", "03:04:06+"), want: []string{"index " + indexA}},
	{name: "an index of another saga", edit: changed(indexA, `"saga_id": "`+sagaA, `"saga_id": "`+sagaB), want: []string{"index " + indexA}},
	{name: "an index that lies about a status", edit: changed(indexA, "executing", "completed"), want: []string{"index " + indexA}},
	{name: "an index without its saga", files: map[string]string{"indexes/" + sagaB + ".json": "{}"}, want: []string{"index indexes/" + sagaB + ".json"}, aside: []string{"indexes/" + sagaB + ".json"}},
	{name: "an index that is a link", remove: []string{indexA}, edit: func(t *testing.T, dir string) {
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, indexA)); err != nil {
			t.Fatal(err)
		}
	}, want: []string{"index " + indexA}},
	{name: "an empty directory", edit: func(t *testing.T, dir string) {
		if err := os.Mkdir(filepath.Join(dir, "snapshots", sagaB), 0o700); err != nil {
			t.Fatal(err)
		}
	}, want: []string{"empty snapshots/" + sagaB}},
	{name: "temporary files", files: map[string]string{".snapshotd/tmp/3/77": "half", ".snapshotd/tmp/f/dir/x": "y"},
		want: []string{"leftover .snapshotd/tmp/3/77", "leftover .snapshotd/tmp/f/dir"}, aside: []string{".snapshotd/tmp/f/dir/x"}},
	{name: "a segment that was never begun", files: map[string]string{".snapshotd/log/00000099.log": strings.Repeat("\x00", 4096)}, want: []string{"leftover .snapshotd/log/00000099.log"}},
	{name: "a log that agrees", logged: true},
	{name: "a file that the log has", logged: true, remove: []string{fileA}, want: []string{"log " + fileA}},
	{name: "a file that the log has otherwise", logged: true, edit: changed(fileA, "executing", "completed"), want: []string{"log " + fileA}},
	{name: "a torn file that the log has", logged: true, edit: cut(fileB), want: []string{"log " + fileB}},
	{name: "a saga that the log has", logged: true, remove: []string{"snapshots/" + sagaA}, want: []string{"log " + fileA, "log " + fileB}},
	{name: "a replay that the log has", logged: true, edit: cut(replayF), want: []string{"log " + replayF}},
	{name: "a file that the log has deleted", logged: true, files: map[string]string{"snapshots/" + sagaA + "/" + sagaB + ".json": document(sagaB, sagaA)},
		want: []string{"log snapshots/" + sagaA + "/" + sagaB + ".json"}},
	{name: "a damaged log", logged: true, remove: []string{fileA}, files: map[string]string{".snapshotd/log/00000007.log": "nonsense"},
		want: []string{"log .snapshotd/log", "log " + fileA}},
	{name: "modes", modes: map[string]fs.FileMode{fileA: 0o644, "snapshots/" + sagaA: 0o755, "snapshots": 0o777, indexA: 0o640, replayF: 0o444, ".snapshotd/format": 0o666, ".snapshotd/lock": 0o644, ".snapshotd/tmp/a": 0o755},
		want: []string{"mode .snapshotd/format", "mode .snapshotd/lock", "mode .snapshotd/tmp/a", "mode " + indexA, "mode " + replayF, "mode snapshots", "mode snapshots/" + sagaA, "mode " + fileA}},
	{name: "a format that is none", files: map[string]string{".snapshotd/format": "{"}, want: []string{"format .snapshotd/format"}, aside: []string{".snapshotd/format"}},
	{name: "another format", files: map[string]string{".snapshotd/format": `{"format":2}`}, want: []string{"format .snapshotd/format"}, left: []string{"format .snapshotd/format"}},
}

func TestVerify(t *testing.T) {
	whole, log := written(t)
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			dir := clone(t, whole)
			p.plant(t, dir, log)
			v := verifyAtCleanup(t, dir)
			for _, f := range p.left {
				kind, path, _ := strings.Cut(f, " ")
				v.excuse(filestore.Kind(kind), path)
			}
			before := states(t, dir)
			r := verify(t, dir, false)
			sameFindings(t, "found", r.Findings, p.want)
			if r.Left() != len(p.want) || r.Quarantine != "" {
				t.Errorf("%d are left, quarantine %q", r.Left(), r.Quarantine)
			}
			sameStates(t, before, states(t, dir))

			bytes := tree(t, dir)
			r = verify(t, dir, true)
			sameFindings(t, "found while repairing", r.Findings, p.want)
			left := slices.DeleteFunc(slices.Clone(r.Findings), func(f filestore.Finding) bool { return f.Repaired })
			sameFindings(t, "left by repairing", left, p.left)
			for _, path := range p.aside {
				text, err := os.ReadFile(filepath.Join(dir, r.Quarantine, path))
				if err != nil || string(text) != bytes[filepath.FromSlash(path)] || r.Quarantine == "" {
					t.Errorf("%s is in quarantine %q as %q, %v", path, r.Quarantine, text, err)
				}
			}
			if r = verify(t, dir, false); r.LogRecords != 0 {
				t.Errorf("%d records of the log are left", r.LogRecords)
			}
			sameFindings(t, "found afterwards", r.Findings, p.left)
		})
	}
}

func (p *plant) plant(t *testing.T, dir string, log map[string]string) {
	t.Helper()
	if p.logged {
		for name, text := range log {
			if err := os.WriteFile(filepath.Join(dir, ".snapshotd", "log", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, path := range p.remove {
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range p.files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if p.edit != nil {
		p.edit(t, dir)
	}
	for path, mode := range p.modes {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func sameFindings(t *testing.T, what string, got []filestore.Finding, want []string) {
	t.Helper()
	var names []string
	for _, f := range got {
		names = append(names, string(f.Kind)+" "+f.Path)
		if f.Detail == "" || f.Repaired && f.Repair == "" || f.Error != "" {
			t.Errorf("a finding %+v", f)
		}
	}
	want = slices.Sorted(slices.Values(want))
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("%s: %+v\nwant %q", what, got, want)
	}
}

func sameStates(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path := range after {
		if before[path] != after[path] {
			t.Errorf("%s has changed or is new", path)
		}
		delete(before, path)
	}
	for path := range before {
		t.Errorf("%s is gone", path)
	}
}

func TestVerifyFixtures(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			dir, facts := fixture(t, mode)
			before := states(t, dir)
			r := verify(t, dir, false)
			sameFindings(t, "found", r.Findings, nil)
			if r.Snapshots != facts.Info.Snapshots || r.Sagas != facts.Info.Sagas || r.Replays != facts.Info.Replays || r.Bytes != facts.Info.Bytes {
				t.Errorf("%+v, want %+v", r, facts.Info)
			}
			sameStates(t, before, states(t, dir))
			sameFindings(t, "found while repairing", verify(t, dir, true).Findings, nil)
			sameFindings(t, "found afterwards", verify(t, dir, false).Findings, nil)
		})
	}
}

func TestVerifyBesideADaemon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, filestore.Config{BasePath: dir})
	defer s.Close()
	for _, repair := range []bool{false, true} {
		r, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: dir, Repair: repair})
		if r != nil || !errors.Is(err, filestore.ErrInUse) || !strings.Contains(err.Error(), "snapshotd with pid") {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestVerifyNothing(t *testing.T) {
	empty := t.TempDir()
	if _, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: empty, Repair: true}); !errors.Is(err, filestore.ErrNoDirectory) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := filestore.Verify(t.Context(), filestore.VerifyConfig{BasePath: filepath.Join(empty, "x"), Repair: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if left, _ := os.ReadDir(empty); len(left) > 0 {
		t.Errorf("%v has been made", left)
	}
}
