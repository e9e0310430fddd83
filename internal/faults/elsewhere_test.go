//go:build faults && !linux

package faults

import "testing"

func TestFaults(t *testing.T) {
	t.Skip("the fault suite needs Linux: it mounts filesystems and pulls their plug")
}
