//go:build !linux

package bench

import (
	"errors"
	"os"
)

const canSyncFilesystem = false

func syncFilesystem(*os.File) error { return errors.ErrUnsupported }

func syncData(f *os.File) error { return f.Sync() }
