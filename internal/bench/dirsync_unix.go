//go:build unix

package bench

import "os"

// syncDirectory puts the names in a directory to the disk.
func syncDirectory(d *os.File) error { return d.Sync() }
