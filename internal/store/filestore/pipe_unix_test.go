//go:build unix

package filestore_test

import "golang.org/x/sys/unix"

// pipe makes a named pipe.
func pipe(path string) error { return unix.Mkfifo(path, 0o600) }
