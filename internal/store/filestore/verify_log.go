package filestore

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"snapshotd/internal/store/filestore/wal"
)

// checkLog compares the files with what the log says of them. When it repairs, the
// log is settled before anything else is: it would be replayed over that.
func (v *verifier) checkLog(context.Context) error {
	found, err := wal.Recover(v.disk.log(), v.journal.id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	v.report.LogRecords = len(found.Records)
	settle := sync.OnceValue(v.settleLog)

	last, damage := lastOf(found.Records)
	v.apart = map[string]wanted{}
	differences := map[string]string{}
	for name, w := range last {
		if why := v.differs(name, w); why != "" {
			v.apart[name], differences[name] = w, why
		}
	}
	for _, damage := range found.Damage {
		detail := strings.ReplaceAll(damage, v.disk.log()+string(filepath.Separator), "")
		v.found(KindLog, v.disk.log(), detail, "replay what can be read, and move the log to quarantine", settle)
	}
	for _, err := range damage {
		v.found(KindLog, v.disk.log(), err.Error(), "replay the rest", settle)
	}
	for name, why := range differences {
		v.found(KindLog, v.disk.path(name), why, "replay the log", settle)
	}
	if len(found.Damage) == 0 {
		for _, path := range found.Unfinished {
			v.found(KindLeftover, path, "a segment of the log that was never begun", "remove it", func() error {
				if err := v.disk.remove(path); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			})
		}
	}
	if !v.repair {
		return nil
	}
	if len(found.Records) > 0 {
		if err := settle(); err != nil {
			return err
		}
	}
	v.apart = nil
	return nil
}

// differs says how a file is not as the log wants it; "" if it is.
func (v *verifier) differs(name string, w wanted) string {
	path := v.disk.path(name)
	switch {
	case w.change == changeWrite && !exists(path):
		return "the log says that it was saved, and it is not there"
	case w.change == changeWrite && !same(path, w.data):
		return "it does not hold the bytes that the log says were saved"
	case w.change == changeRemove && exists(path):
		return "the log says that it was deleted, and it is there"
	default:
		return ""
	}
}

// settleLog does to the log what opening the store does.
func (v *verifier) settleLog() error {
	err := v.recoverLog()
	if v.journal.log != nil {
		err = errors.Join(err, v.journal.log.Close())
	}
	return err
}

// asLogged answers the names in a directory as they are when the log has been
// replayed.
func (v *verifier) asLogged(dir string, names []string) []string {
	if len(v.apart) == 0 {
		return names
	}
	var is []string
	for _, name := range names {
		if w := v.apart[filepath.Join(dir, name)]; w.change != changeRemove {
			is = append(is, name)
		}
	}
	for path, w := range v.apart {
		if filepath.Dir(path) == dir && w.change == changeWrite && !exists(v.disk.path(path)) {
			is = append(is, filepath.Base(path))
		}
	}
	return is
}
