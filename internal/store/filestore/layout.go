package filestore

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"snapshotd/internal/store/catalog"
)

// A layout knows where things lie below a base directory, and with which modes
// they are made.
//
//	base/
//	  snapshots/<saga_id>/<snapshot_id>.json[.gz]   the truth
//	  indexes/<saga_id>.json                        derived from it, in list order
//	  replays/<replay_id>.json
//	  .snapshotd/lock format log/ tmp/<0..f>/ quarantine/   ours alone
type layout struct {
	base              string
	fileMode, dirMode os.FileMode
}

const (
	plainSuffix = ".json"
	gzipSuffix  = ".json.gz"

	// Temporary files are spread over several directories, because the creation
	// of files in one directory is serialized.
	tmpDirs = 16
)

func (l *layout) snapshots() string { return filepath.Join(l.base, "snapshots") }
func (l *layout) indexes() string   { return filepath.Join(l.base, "indexes") }
func (l *layout) replays() string   { return filepath.Join(l.base, "replays") }
func (l *layout) own() string       { return filepath.Join(l.base, ".snapshotd") }
func (l *layout) lock() string      { return filepath.Join(l.own(), "lock") }
func (l *layout) format() string    { return filepath.Join(l.own(), "format") }

func (l *layout) tmp(i int) string {
	return filepath.Join(l.own(), "tmp", strconv.FormatInt(int64(i), 16))
}

// directories are those that are always there, each behind the one it lies in.
func (l *layout) directories() []string {
	dirs := []string{l.snapshots(), l.indexes(), l.replays(), l.own(), l.log(), filepath.Dir(l.tmp(0))}
	for i := range tmpDirs {
		dirs = append(dirs, l.tmp(i))
	}
	return dirs
}

func (l *layout) log() string        { return filepath.Join(l.own(), "log") }
func (l *layout) quarantine() string { return filepath.Join(l.own(), "quarantine") }

func (l *layout) saga(id uuid.UUID) string { return l.path(sagaDir(id)) }

// snapshot is where a snapshot's file lies.
func (l *layout) snapshot(r *catalog.Record) string {
	return l.path(snapshotFile(r.SagaID, snapshotName(r.ID, r.GzipName)))
}

// path is where a file lies whose name is relative to the base directory.
func (l *layout) path(name string) string { return l.base + separator + name }

// sagaDir, snapshotFile and replayFile are names relative to the base directory.

func sagaDir(id uuid.UUID) string { return "snapshots" + separator + id.String() }

func snapshotFile(sagaID uuid.UUID, name string) string {
	const room = len("snapshots/") + idLength + len("/") + idLength + len(gzipSuffix)
	b := append(make([]byte, 0, room), "snapshots"+separator...)
	b = append(appendID(b, sagaID), separator...)
	return string(append(b, name...))
}

func replayFile(id uuid.UUID) string {
	return filepath.Join("replays", id.String()+plainSuffix)
}

// isOurs reports whether a relative name is that of a snapshot or a replay.
func isOurs(name string) bool {
	dir, file := filepath.Split(name)
	_, gzip, ok := parseName(file)
	if dir == "replays"+separator {
		return ok && !gzip
	}
	root, sagaID := filepath.Split(filepath.Clean(dir))
	_, isID := parseStem(sagaID)
	return ok && isID && root == "snapshots"+separator
}

func (l *layout) index(sagaID uuid.UUID) string {
	return filepath.Join(l.indexes(), sagaID.String()+plainSuffix)
}

func (l *layout) replay(id uuid.UUID) string { return l.path(replayFile(id)) }

func snapshotName(id uuid.UUID, gzip bool) string {
	b := appendID(make([]byte, 0, idLength+len(gzipSuffix)), id)
	if gzip {
		return string(append(b, gzipSuffix...))
	}
	return string(append(b, plainSuffix...))
}

const (
	idLength  = 36
	separator = string(filepath.Separator)
)

// appendID appends an id as names and documents have it.
func appendID(dst []byte, id uuid.UUID) []byte {
	text, _ := id.MarshalText() // it never fails
	return append(dst, text...)
}

// parseName reads the name of a file of ours: a UUID in lower case and a suffix.
func parseName(name string) (id uuid.UUID, gzip, ok bool) {
	stem, gzip := strings.CutSuffix(name, gzipSuffix)
	if !gzip {
		if stem, ok = strings.CutSuffix(name, plainSuffix); !ok {
			return id, false, false
		}
	}
	id, ok = parseStem(stem)
	return id, gzip, ok
}

func parseStem(s string) (uuid.UUID, bool) {
	if len(s) != idLength || strings.ToLower(s) != s {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// modesLike answers the modes of files and directories made below a directory
// of mode m: whoever may read it may read them, and only the owner may write.
func modesLike(m os.FileMode) (file, dir os.FileMode) {
	read := m.Perm() & 0o444
	return 0o600 | read, 0o700 | read | read>>2
}
