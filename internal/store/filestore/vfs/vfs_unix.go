//go:build unix

package vfs

import "os"

func syncDir(f *os.File) error { return f.Sync() }

// linkNew gives a file a name that must be free; link(2) promises that.
func linkNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	// The name stands; the temporary one goes at the next start at the latest.
	_ = os.Remove(from)
	return nil
}
