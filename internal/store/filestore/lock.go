package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse means that another process works on the directory.
var ErrInUse = errors.New("the directory is in use")

// lockMode is that of the lock's file: who runs the daemon is nobody else's business.
const lockMode = 0o600

// A lock makes this process the only one on a directory, until it is closed or the
// process ends.
type lock []*flock.Flock

// Close gives the directory back.
func (l lock) Close() (err error) {
	for _, f := range l {
		err = errors.Join(err, f.Close())
	}
	return err
}

// lockDirectory takes the lock and writes into its file who holds it.
func lockDirectory(path string) (lock, error) {
	held, err := tryLock(path, true)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("snapshotd with pid %d on host %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := os.WriteFile(path, []byte(text), lockMode); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

// tryLock takes the lock without a word about who holds it now. Unless it is to create
// the file, it writes nothing, and what is missing needs no lock.
func tryLock(path string, create bool) (lock, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("lock %s: %w", path, errNotRegular)
	}
	flags := os.O_RDONLY
	if create {
		flags |= os.O_CREATE
	}
	file := flock.New(path, flock.SetPermissions(lockMode), flock.SetFlag(flags))
	// Somebody may remove the file and lock a new one, but not the directory. Where that
	// cannot be locked, the file has to do.
	dir := flock.New(filepath.Dir(path), flock.SetFlag(os.O_RDONLY))
	held := lock{file, dir}
	got, err := file.TryLock()
	if !create && errors.Is(err, fs.ErrNotExist) {
		got, err = true, nil
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), held.Close())
	}
	if got {
		free, err := dir.TryLock()
		got = free || err != nil
	}
	if !got {
		holder := "another process"
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			holder = strings.TrimSpace(string(text))
		}
		return nil, errors.Join(fmt.Errorf("%w by %s (lock %s)", ErrInUse, holder, path), held.Close())
	}
	return held, nil
}
