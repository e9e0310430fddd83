//go:build !linux

package vfs

import (
	"errors"
	"os"
)

func datasync(f *os.File) error { return f.Sync() }

func syncAll(*os.File) error { return errors.ErrUnsupported }
