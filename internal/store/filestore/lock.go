package filestore

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockDirectory makes this process the only daemon on the directory, by a lock
// that the kernel drops with the process. The file says who holds it.
func lockDirectory(path string) (*flock.Flock, error) {
	lock := flock.New(path, flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !got {
		holder := "another process"
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			holder = strings.TrimSpace(string(text))
		}
		return nil, fmt.Errorf("the directory is in use by %s (lock %s)", holder, path)
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("snapshotd with pid %d on host %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}
