//go:build failpoint && unix

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	// SNAPSHOTD_FAILPOINT is step:n; the process is killed at the nth time.
	step, number, _ = strings.Cut(os.Getenv("SNAPSHOTD_FAILPOINT"), ":")
	omission        = os.Getenv("SNAPSHOTD_OMIT")
	passed          atomic.Int64
)

// Here kills the process, as SIGKILL does, if it is to end at this step.
func Here(name string) {
	if name != step {
		return
	}
	if n, _ := strconv.ParseInt(number, 10, 64); passed.Add(1) == max(n, 1) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Omitted reports whether a step is to be left out.
func Omitted(name string) bool { return name == omission }
