package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// flushColumn is where /proc/diskstats has the flush requests completed; see
// Documentation/admin-guide/iostats.rst of the kernel, since 5.5.
const flushColumn = 3 + 15

// flushesBelow answers a counter of the flushes of the disk below a file, which
// answers -1 where the system does not tell.
func flushesBelow(path string) func() int64 {
	unknown := func() int64 { return -1 }
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return unknown
	}
	dev := uint64(st.Dev) //nolint:unconvert // it has 32 bits on some machines
	number, ok := disk(fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)), 8)
	if !ok {
		return unknown
	}
	return func() int64 {
		table, err := os.ReadFile("/proc/diskstats")
		if err != nil {
			return -1
		}
		return flushesOf(string(table), number)
	}
}

// disk finds the disk whose flushes the kernel counts: a partition's are counted
// for the whole, those of a mapped device for the only one below it.
func disk(number string, depth int) (string, bool) {
	dir, err := filepath.EvalSymlinks("/sys/dev/block/" + number)
	if err != nil || depth == 0 {
		return "", false
	}
	below := filepath.Dir(dir)
	if _, err := os.Stat(filepath.Join(dir, "partition")); err != nil {
		slaves, _ := filepath.Glob(filepath.Join(dir, "slaves", "*")) // none is fine
		switch len(slaves) {
		case 0:
			return number, true
		case 1:
			below = slaves[0]
		default:
			return "", false
		}
	}
	text, err := os.ReadFile(filepath.Join(below, "dev"))
	if err != nil {
		return "", false
	}
	return disk(strings.TrimSpace(string(text)), depth-1)
}

// flushesOf reads the flushes of a disk from the table of /proc/diskstats; -1 if
// it has none.
func flushesOf(table, number string) int64 {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) <= flushColumn || fields[0]+":"+fields[1] != number {
			continue
		}
		n, err := strconv.ParseInt(fields[flushColumn], 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	return -1
}
