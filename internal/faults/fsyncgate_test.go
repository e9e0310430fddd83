//go:build faults && linux

package faults

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// After a failed sync the kernel drops what it could not write and reports the
// next sync as good. So the daemon must not sync again.
func TestFailedSyncsDegrade(t *testing.T) {
	flush := func(e event) bool { return e.isFlush() }
	for _, fault := range []struct {
		name   string
		choose func(event) bool
		end    func(*daemon, *volume)
	}{
		{"a flush fails, the machine restarts", flush, restart},
		{"a flush fails, the daemon is killed", flush, killed},
		{"a flush fails, the daemon is stopped", flush, stopped},
		{"a write of the log fails, the machine restarts", isLog, restart},
		{"a write of the log fails, the daemon is killed", isLog, killed},
		{"a write of the log fails, the daemon is stopped", isLog, stopped},
		{"a write of a snapshot fails, the machine restarts", isSnapshot, restart},
		{"a write of a snapshot fails, the daemon is killed", isSnapshot, killed},
		{"a write of a snapshot fails, the daemon is stopped", isSnapshot, stopped},
		{toldFirst, isSnapshot, killed},
	} {
		t.Run(fault.name, func(t *testing.T) {
			row := newTally(t, "failed syncs and writes")
			r, v := newRecorder(t, 48)
			l := newLedger(nil)
			d := launch{dir: v.dir()}.start(t)
			clients := l.run(d, mix{workers: 2})
			time.Sleep(100 * time.Millisecond)

			r.failing(once(fault.choose))
			if fault.name == toldFirst {
				syncUntilTold(t, v)
			}
			deadline := time.Now().Add(patience)
			for a := d.do("GET", "/readyz", nil); a.status == http.StatusOK && time.Now().Before(deadline); a = d.do("GET", "/readyz", nil) {
				time.Sleep(10 * time.Millisecond)
			}
			clients.end()
			if r.failures() != 1 {
				t.Fatalf("%d failures, want 1\n%s", r.failures(), &d.log)
			}
			staysDegraded(t, d, l)
			row.acknowledged += l.count()
			row.cuts++

			fault.end(d, v)
			if !writable(v) {
				t.Log("the filesystem itself takes no changes any more")
				v.replug()
			}
			d = launch{dir: v.dir()}.start(t)
			row.enter(t, l.check(d, never-1))
			saved := newSnapshot(newID(), 1000)
			d.expect(http.StatusCreated, "", "PUT", saved.path(), saved.document())
			d.stop()

			v.replug() // what is only in the page cache is lost now
			d = launch{dir: v.dir()}.start(t)
			d.expect(http.StatusOK, "", "GET", saved.path(), nil)
			d.expect(http.StatusNoContent, "", "DELETE", saved.path(), nil)
			row.enter(t, l.check(d, never-1))
		})
	}
}

// The kernel tells of a failed write everybody who has the filesystem open, and
// whoever opens it later only if nobody has been told.
const toldFirst = "a write of a snapshot fails, somebody else is told first, the daemon is killed"

func syncUntilTold(t *testing.T, v *volume) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		dir, err := os.Open(v.mount)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Syncfs(int(dir.Fd()))
		dir.Close()
		if err != nil {
			return
		}
	}
	t.Fatal("nobody is told of a failed write")
}

// Ways to end a daemon that is degraded. Unless the machine restarts, the next one
// finds the page cache as it was.
func killed(d *daemon, _ *volume)  { d.kill() }
func stopped(d *daemon, _ *volume) { d.stop() }
func restart(d *daemon, v *volume) { d.kill(); v.replug() }

// isSnapshot reports whether a snapshot's file is written.
func isSnapshot(e event) bool { return bytes.HasPrefix(e.data, []byte("{\n  \"snapshot_id\"")) }

// isLog reports whether a record of the log is written: the name of a file and what
// it holds.
func isLog(e event) bool {
	return !isSnapshot(e) && bytes.Contains(e.data, []byte(".json{\n"))
}

func once(choose func(event) bool) func(event) bool {
	failed := false
	return func(e event) bool {
		if failed || !choose(e) {
			return false
		}
		failed = true
		return true
	}
}

// staysDegraded checks that a daemon takes no changes and says why, while the disk
// is well again, and that it can be read.
func staysDegraded(t *testing.T, d *daemon, l *ledger) {
	t.Helper()
	for range 3 {
		x := newSnapshot(newID(), 100)
		d.expect(http.StatusServiceUnavailable, "degraded", "PUT", x.path(), x.document())
		d.expect(http.StatusNotFound, "", "GET", x.path(), nil)
		a := d.expect(http.StatusServiceUnavailable, "degraded", "GET", "/readyz?verbose", nil)
		if !strings.Contains(string(a.body), "until it is restarted") {
			t.Errorf("/readyz says %s", a.body)
		}
	}
	if a := d.do("GET", "/metrics", nil); !strings.Contains(string(a.body), "snapshotd_store_degraded 1") {
		t.Error("/metrics does not say that the daemon is degraded")
	}
	for _, x := range l.items {
		if states := x.allowed(never - 1); len(states) == 1 && states[0] == 1 && x.snapshot {
			d.expect(http.StatusOK, "", "GET", x.path(), nil)
			d.expect(http.StatusServiceUnavailable, "degraded", "DELETE", x.path(), nil)
			return
		}
	}
	t.Error("nothing has been saved")
}

// writable reports whether the filesystem takes changes.
func writable(v *volume) bool {
	probe := filepath.Join(v.mount, "probe")
	return os.WriteFile(probe, nil, 0o600) == nil && os.Remove(probe) == nil
}
