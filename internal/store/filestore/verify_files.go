package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/store/catalog"
)

// checkSagas reads every snapshot into the catalogue.
func (v *verifier) checkSagas(ctx context.Context) error {
	for _, dir := range []string{v.disk.snapshots(), v.disk.replays()} {
		names, _ := readNames(dir)
		v.total += len(names)
	}
	err := v.eachEntry(ctx, v.disk.snapshots(), func(e fs.DirEntry) error {
		defer v.count()
		id, ok := sagaOf(e)
		if !ok {
			v.foundForeign(filepath.Join(v.disk.snapshots(), e.Name()))
			return nil
		}
		return v.checkSaga(id)
	})
	if err != nil {
		return err
	}
	for name, w := range v.apart { // of sagas whose directories are gone
		sagaID, ok := parseStem(filepath.Base(filepath.Dir(name)))
		if ok && w.change == changeWrite && !exists(v.disk.saga(sagaID)) && !v.live[sagaID] {
			if err := v.checkSaga(sagaID); err != nil {
				return err
			}
		}
	}
	for id := range v.robbed {
		if v.disk.remove(v.disk.saga(id)) == nil { // only an empty one goes
			delete(v.live, id)
		}
	}
	return nil
}

// eachEntry is each of a directory that may be missing.
func (v *verifier) eachEntry(ctx context.Context, dir string, work func(fs.DirEntry) error) error {
	if err := each(ctx, dir, work); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (v *verifier) checkSaga(id uuid.UUID) error {
	dir := v.disk.saga(id)
	v.checkMode(dir, v.disk.dirMode)
	there, err := readNames(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		v.found(KindUnreadable, dir, err.Error(), "", nil)
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && len(there) == 0:
		v.found(KindEmpty, dir, "the directory of a saga in which nothing lies", "remove it", func() error { return v.disk.remove(dir) })
		return nil
	}
	names := v.asLogged(sagaDir(id), there)
	if len(names) == 0 {
		return nil // the log's replay removes it
	}
	v.mu.Lock()
	v.live[id] = true
	v.mu.Unlock()
	for _, name := range names {
		if _, _, ok := parseName(name); ok && !isDirectory(filepath.Join(dir, name)) {
			v.checkMode(filepath.Join(dir, name), v.disk.fileMode)
		}
	}
	for f := range v.survey(id, v.checkTwins(id, names), nil) {
		path := filepath.Join(dir, f.unreadable.Name)
		if w, ok := v.apart[snapshotFile(id, f.unreadable.Name)]; ok {
			f = judged(f, w.data)
		}
		switch {
		case f.foreign:
			v.foundForeign(path)
		case f.gone:
		case errors.Is(f.err, errShadowed):
			v.foundBadOf(id, KindShadowed, path, f.err)
		case f.record == nil:
			v.foundBadOf(id, KindUnreadable, path, f.err)
		default:
			if loser := v.admit(f); loser != nil {
				v.foundBadOf(loser.SagaID, KindShadowed, v.disk.snapshot(loser), errOtherSaga)
			}
		}
	}
	return nil
}

// checkTwins looks at the files that are there with both suffixes. It answers the
// names without compressed files that cannot be read, so that the ones beside them count:
// else both would end up in quarantine.
func (v *verifier) checkTwins(sagaID uuid.UUID, names []string) []string {
	uncompressed := map[uuid.UUID]bool{}
	for _, name := range names {
		if id, gzip, ok := parseName(name); ok && !gzip {
			uncompressed[id] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		id, gzip, ok := parseName(name)
		if !ok || !gzip || !uncompressed[id] {
			return false
		}
		f := v.examine(sagaID, name, nil)
		if f.err != nil {
			v.foundBadOf(sagaID, KindUnreadable, filepath.Join(v.disk.saga(sagaID), name), f.err)
		}
		return f.err != nil
	})
}

// judged is what a file will be when it holds the data.
func judged(f finding, data []byte) finding {
	_, gzipName, _ := parseName(f.unreadable.Name)
	j := finding{unreadable: f.unreadable}
	text, gzipped, err := plain(data)
	if err != nil {
		j.err = err
		return j
	}
	j.understand(text, int64(len(data)), catalog.Location{Gzip: gzipped, GzipName: gzipName})
	return j
}

// foundBadOf is foundBad for a file of a saga, in whose directory it may have been
// the last.
func (v *verifier) foundBadOf(sagaID uuid.UUID, kind Kind, path string, why error) {
	v.foundBad(kind, path, why)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.repair {
		v.robbed[sagaID] = true
	}
}

// checkReplays reads every replay record.
func (v *verifier) checkReplays(ctx context.Context) error {
	err := v.eachEntry(ctx, v.disk.replays(), func(e fs.DirEntry) error {
		defer v.count()
		path := filepath.Join(v.disk.replays(), e.Name())
		id, gzip, ok := parseName(e.Name())
		if !ok || gzip || e.IsDir() {
			v.foundForeign(path)
			return nil
		}
		v.checkMode(path, v.disk.fileMode)
		if _, ok := v.apart[replayFile(id)]; ok {
			return nil
		}
		_, _, err := v.examineReplay(id)
		v.noteReplay(path, err)
		return nil
	})
	if err != nil {
		return err
	}
	for name, w := range v.apart {
		if id, _, ok := parseName(filepath.Base(name)); ok && name == replayFile(id) && w.change == changeWrite {
			_, err := readReplay(id, w.data)
			v.noteReplay(v.disk.path(name), err)
		}
	}
	return nil
}

func (v *verifier) noteReplay(path string, err error) {
	switch {
	case err == nil:
		v.mu.Lock()
		v.report.Replays++
		v.mu.Unlock()
	case !errors.Is(err, fs.ErrNotExist):
		v.foundBad(KindUnreadable, path, err)
	}
}

func isDirectory(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// quarantine moves a file to where it is in nobody's way, under the name that it
// has now.
func (v *verifier) quarantine(path string) error {
	v.quarantining.Lock()
	defer v.quarantining.Unlock()
	name, err := filepath.Rel(v.disk.base, path)
	if err != nil {
		return err
	}
	if err := v.makeAside(); err != nil {
		return err
	}
	dir := v.aside
	for part := range strings.SplitSeq(filepath.Dir(name), string(filepath.Separator)) {
		if err := v.makeDirectory(dir, part); err != nil {
			return err
		}
		dir = filepath.Join(dir, part)
	}
	to := filepath.Join(v.aside, name)
	if exists(to) {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	if err := v.disk.fs.Rename(path, to); err != nil {
		return err
	}
	v.disk.touch(name)
	v.disk.touch(strings.TrimPrefix(to, v.disk.base))
	return nil
}

// makeAside makes this run's own directory in the quarantine, named after the
// time.
func (v *verifier) makeAside() error {
	if v.aside != "" {
		return nil
	}
	if err := v.makeDirectory(v.disk.own(), filepath.Base(v.disk.quarantine())); err != nil {
		return err
	}
	now := time.Now().UTC().Format("2006-01-02T150405Z")
	name := now
	for n := 2; exists(filepath.Join(v.disk.quarantine(), name)); n++ {
		name = fmt.Sprintf("%s-%d", now, n)
	}
	if err := v.makeDirectory(v.disk.quarantine(), name); err != nil {
		return err
	}
	v.aside = filepath.Join(v.disk.quarantine(), name)
	v.report.Quarantine = ".snapshotd/quarantine/" + name
	return nil
}

// makeDirectory makes a directory, unless it is there, and its name durable.
func (v *verifier) makeDirectory(dir, name string) error {
	path := filepath.Join(dir, name)
	if exists(path) {
		return nil
	}
	return errors.Join(v.disk.mkdir(path), v.disk.syncDir(dir))
}
