package filestore

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse means that another process works on the directory.
var ErrInUse = errors.New("the directory is in use")

// lockMode is that of the lock's file: who runs the daemon is nobody else's business.
const lockMode = 0o600

// lockDirectory makes this process the only one on the directory, by a lock that
// the kernel drops with the process. The file says who holds it.
func lockDirectory(path string) (*flock.Flock, error) {
	lock, err := tryLock(path)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("snapshotd with pid %d on host %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := os.WriteFile(path, []byte(text), lockMode); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// tryLock takes the lock without a word about who holds it now.
func tryLock(path string, options ...flock.Option) (*flock.Flock, error) {
	lock := flock.New(path, append([]flock.Option{flock.SetPermissions(lockMode)}, options...)...)
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !got {
		holder := "another process"
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			holder = strings.TrimSpace(string(text))
		}
		return nil, fmt.Errorf("%w by %s (lock %s)", ErrInUse, holder, path)
	}
	return lock, nil
}
