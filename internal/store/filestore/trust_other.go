//go:build !linux

package filestore

import (
	"io/fs"

	"github.com/google/uuid"
)

// metadataTime is not known: directories are read at every start.
func metadataTime(fs.FileInfo) int64 { return 0 }

type trusting struct{}

func openTrusting(*layout) (*trusting, error) { return &trusting{}, nil }

func (*trusting) close() error { return nil }

func (*trusting) read(uuid.UUID, *[]byte) (int64, bool) { return 0, false }
