//go:build faults && linux

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// command runs a program and fails the test if that fails.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// A volume is a filesystem in a file, mounted through a loop device.
type volume struct {
	t       *testing.T
	kind    string // "ext4" or "xfs"
	image   string
	mount   string
	mounted bool
}

// newVolume makes a filesystem of so many MiB and mounts it.
func newVolume(t *testing.T, kind string, mib int, mkfs ...string) *volume {
	t.Helper()
	return formatVolume(t, kind, filepath.Join(t.TempDir(), "disk.img"), mib, mkfs...)
}

// formatVolume is newVolume in a file of this name.
func formatVolume(t *testing.T, kind, image string, mib int, mkfs ...string) *volume {
	t.Helper()
	v := &volume{t: t, kind: kind, image: image, mount: t.TempDir()}
	file, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(int64(mib) << 20); err != nil {
		t.Fatal(err)
	}
	file.Close()
	program := map[string][]string{
		"ext4": {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard"},
		"xfs":  {"mkfs.xfs", "-q", "-f", "-K"},
	}[kind]
	command(t, program[0], append(append(program[1:], mkfs...), image)...)
	v.attach()
	return v
}

// smallest is the size in MiB that a filesystem of a kind can have.
var smallest = map[string]int{"ext4": 0, "xfs": 320}

// newSmallVolume makes a filesystem with so many MiB free, where segments of the log
// are small and checkpoints frequent.
func newSmallVolume(t *testing.T, kind string, free int) *volume {
	t.Helper()
	v := newVolume(t, kind, max(free*5/4, smallest[kind]))
	var s unix.Statfs_t
	if err := unix.Statfs(v.mount, &s); err != nil {
		t.Fatal(err)
	}
	if surplus := int64(s.Bavail)*s.Bsize - int64(free)<<20; surplus > 0 {
		file, err := os.Create(filepath.Join(v.mount, "ballast"))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fallocate(int(file.Fd()), 0, 0, surplus); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	return v
}

// dir is where a daemon may keep its files.
func (v *volume) dir() string { return filepath.Join(v.mount, "base") }

func (v *volume) attach() {
	v.t.Helper()
	command(v.t, "mount", "-t", v.kind, "-o", "loop", v.image, v.mount)
	v.mounted = true
	v.t.Cleanup(v.detach)
}

// detach unmounts; whoever uses the filesystem must have ended.
func (v *volume) detach() {
	if !v.mounted {
		return
	}
	v.mounted = false
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Unmount(v.mount, 0)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			v.t.Errorf("unmounting %s: %v", v.mount, err)
			_ = unix.Unmount(v.mount, unix.MNT_DETACH)
			return
		}
	}
}

// From the kernel's include/uapi/linux/fs.h and its ancestors in ext4 and XFS.
const (
	ioctlShutdown = 0x8004587d // FS_IOC_SHUTDOWN
	noLogFlush    = 2          // neither data nor the filesystem's log is written: the plug is pulled
)

// unplug has the filesystem fail everything from now on, and write nothing more.
func (v *volume) unplug() {
	v.t.Helper()
	dir, err := os.Open(v.mount)
	if err != nil {
		v.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), ioctlShutdown, noLogFlush); err != nil {
		v.t.Fatal(fmt.Errorf("FS_IOC_SHUTDOWN: %w", err))
	}
}

// replug mounts again what has been unplugged; the filesystem recovers.
func (v *volume) replug() {
	v.t.Helper()
	v.detach()
	v.attach()
}
