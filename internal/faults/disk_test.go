//go:build faults && linux

package faults

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stocked is a daemon on a volume that holds some snapshots.
func stocked(t *testing.T, part string) (*tally, *volume, *ledger, *daemon) {
	t.Helper()
	row := newTally(t, part)
	v := newSmallVolume(t, "ext4", 32)
	l := newLedger(nil)
	d := launch{dir: v.dir()}.start(t)
	for range 20 {
		l.saves(t, d, 2000)
	}
	return row, v, l, d
}

// refuses checks that a daemon takes no change, and reads nevertheless.
func refuses(t *testing.T, l *ledger, d *daemon) {
	t.Helper()
	for _, x := range l.items[:5] {
		d.expect(http.StatusOK, "", "GET", x.path(), nil)
	}
	for range 3 {
		x := l.add(newSnapshot(newID(), 2000))
		_, _ = l.asking(x, 1)
		a := d.expect(http.StatusServiceUnavailable, "", "PUT", x.path(), x.document())
		d.expect(http.StatusNotFound, "", "GET", x.path(), nil)
		if a.code() != "outcome_unknown" {
			l.withdraw(x)
		}
	}
	x := l.items[0]
	_, _ = l.asking(x, 0)
	if a := d.expect(http.StatusServiceUnavailable, "", "DELETE", x.path(), nil); a.code() != "outcome_unknown" {
		l.withdraw(x)
	}
	d.expect(http.StatusServiceUnavailable, "degraded", "GET", "/readyz", nil)
}

// After an error in its structures a filesystem makes itself read-only.
func TestReadOnlyWhileRunning(t *testing.T) {
	row, v, l, d := stocked(t, "read-only while it runs")
	device := filepath.Base(strings.Fields(command(t, "losetup", "--noheadings", "--output=NAME", "--associated", v.image))[0])
	trigger := filepath.Join("/sys/fs/ext4", device, "trigger_fs_error")
	_, err := os.Stat(trigger)
	need(t, err == nil, "a kernel that lets ext4 be told of an error, "+trigger)
	command(t, "mount", "-o", "remount,errors=remount-ro", v.mount)
	if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	refuses(t, l, d)
	d.kill()
	v.detach()
	if out, err := exec.Command("e2fsck", "-p", v.image).CombinedOutput(); err != nil {
		t.Logf("e2fsck: %v: %s", err, out) // exit code 1 says that it has mended something
	}
	v.attach()
	endsWell(t, row, l, launch{dir: v.dir()}.start(t), launch{dir: v.dir()})
}

// A disk that is gone fails everything; what was read before may still be there.
func TestDiskGone(t *testing.T) {
	row, v, l, d := stocked(t, "disk gone")
	v.unplug()
	for range 3 {
		x := newSnapshot(newID(), 2000)
		d.expect(http.StatusServiceUnavailable, "", "PUT", x.path(), x.document())
	}
	d.expect(http.StatusServiceUnavailable, "degraded", "GET", "/readyz", nil)
	if !d.running() {
		t.Fatalf("it has ended\n%s", &d.log)
	}
	d.expect(http.StatusOK, "", "GET", "/healthz", nil)
	d.kill()
	v.replug()
	endsWell(t, row, l, launch{dir: v.dir()}.start(t), launch{dir: v.dir()})
}

// A disk that stalls has changes wait, while reads go on; when it moves again, all
// of them are answered.
func TestDiskStalled(t *testing.T) {
	row, v, l, d := stocked(t, "disk stalled")
	watchdog := time.AfterFunc(patience, func() { _ = exec.Command("fsfreeze", "-u", v.mount).Run() })
	t.Cleanup(func() { // a frozen writer cannot even be killed
		watchdog.Stop()
		_ = exec.Command("fsfreeze", "-u", v.mount).Run()
	})
	command(t, "fsfreeze", "-f", v.mount)
	clients := l.run(d, mix{workers: 4})
	time.Sleep(200 * time.Millisecond)
	before := l.count()
	for _, x := range l.items[:5] {
		if a := d.do("GET", x.path(), nil); a.err != nil || a.status >= 500 {
			t.Errorf("reading from a disk that stalls: %d %v", a.status, a.err)
		}
	}
	d.expect(http.StatusOK, "", "GET", "/healthz", nil)
	command(t, "fsfreeze", "-u", v.mount)
	time.Sleep(200 * time.Millisecond)
	clients.end()
	if len(clients.refused) > 0 {
		t.Errorf("refused: %s", clients.refused[0])
	}
	if l.count() == before {
		t.Error("nothing was acknowledged when the disk moved again")
	}
	endsWell(t, row, l, d, launch{dir: v.dir()})
}

// Where files may not grow any more, what cannot be written leaves nothing behind.
func TestFileSizeLimit(t *testing.T) {
	row, v, l, d := stocked(t, "file size limit")
	limit(t, d, "--fsize=1000000:unlimited")
	large := newSnapshot(newID(), 2_000_000)
	d.expect(http.StatusInsufficientStorage, "no_space", "PUT", large.path(), large.document())
	d.expect(http.StatusNotFound, "", "GET", large.path(), nil)
	l.saves(t, d, 2000)

	limit(t, d, "--fsize=4096:unlimited") // the log itself cannot be written
	refuses(t, l, d)
	limit(t, d, "--fsize=unlimited")
	staysDegraded(t, d, l)
	d.stop()
	endsWell(t, row, l, launch{dir: v.dir()}.start(t), launch{dir: v.dir()})
}

func TestNoDescriptors(t *testing.T) {
	row, v, l, d := stocked(t, "no descriptors")
	d.expect(http.StatusOK, "", "GET", "/healthz", nil) // over a connection that stays
	limit(t, d, fmt.Sprintf("--nofile=%d:4096", firstFree(t, d)))
	for range 3 {
		x := newSnapshot(newID(), 2000)
		d.expect(http.StatusServiceUnavailable, "", "PUT", x.path(), x.document())
		d.expect(http.StatusNotFound, "", "GET", x.path(), nil)
	}
	limit(t, d, "--nofile=4096:4096")
	l.saves(t, d, 2000) // at once, for nothing has been lost
	d.expect(http.StatusOK, "", "GET", "/readyz", nil)
	endsWell(t, row, l, d, launch{dir: v.dir()})
}

// firstFree is the lowest descriptor that the daemon does not use.
func firstFree(t *testing.T, d *daemon) int {
	t.Helper()
	for n := 0; ; n++ {
		_, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", d.cmd.Process.Pid, n))
		if errors.Is(err, os.ErrNotExist) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// limit changes a limit of the live daemon.
func limit(t *testing.T, d *daemon, what string) {
	t.Helper()
	command(t, "prlimit", "--pid", strconv.Itoa(d.cmd.Process.Pid), what)
}
