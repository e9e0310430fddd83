package main

import (
	"io"
	"strings"
	"testing"
)

// TestRefuses sees that nothing but this machine is measured, before anything is
// asked. What the peers store is measured, and so tested, by .ci/bench.
func TestRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-postgres=postgres://u@10.0.0.1/db":           "only what runs on this machine",
		"-postgres=postgres://u@127.0.0.1,10.0.0.1/db": "only what runs on this machine",
		"-postgres=::":                  "parse",
		"-redis=example.org:6379":       "only what runs on this machine",
		"-redis=6379":                   "missing port",
		"-snapshotd=/nowhere/snapshotd": "no such file",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
