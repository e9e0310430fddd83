package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version may be set by the linker (-X main.version=v1.2.3), for builds outside
// a repository.
var version string

// A build says which program this is.
type build struct {
	version, revision, goVersion string // revision is "" if it is not known
}

func (b build) String() string {
	if b.revision == "" {
		return fmt.Sprintf("snapshotd %s (%s)", b.version, b.goVersion)
	}
	return fmt.Sprintf("snapshotd %s (revision %s, %s)", b.version, b.revision, b.goVersion)
}

func buildInfo() build {
	b := build{version: version, goVersion: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if main := info.Main.Version; main != "(devel)" {
			b.version = cmp.Or(b.version, main)
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.revision = s.Value
			}
		}
	}
	b.version = cmp.Or(b.version, "devel")
	return b
}
