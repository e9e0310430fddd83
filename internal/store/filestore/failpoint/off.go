//go:build !(failpoint && unix)

package failpoint

// Here is a step of the write path.
func Here(string) {}

// Omitted reports whether a step is to be left out.
func Omitted(string) bool { return false }
