//go:build !linux

package bench

// residentMemory is not known.
func residentMemory(int) int64 { return -1 }
