package filestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

var fractions = []float64{0, 0.5, 0.5, 0.5, 1}

// durable are the operations after which something is promised.
func durable() (some []operation) {
	for _, o := range operations {
		w := world{}
		if o.config != nil {
			o.config(&w.cfg)
		}
		if !w.cfg.Relaxed {
			some = append(some, o)
		}
	}
	return some
}

// crashed does an operation and cuts the power after so many steps of it. It reports
// false when the operation was over before; then the cut comes behind it.
func crashed(w *world, o *operation, steps int) (within bool) {
	o.prepare(w)
	if steps >= 0 {
		w.disk.CutAfter(steps)
	}
	if started := o.do(w); started != nil && !w.disk.Cut() {
		w.errorf("open: %v", started)
	}
	within = w.disk.Cut()
	w.disk.CutAfter(0)
	return within
}

// The power is cut after every step of every operation, and none, half or all of
// what was not synced survives.
func TestSweepCrashes(t *testing.T) {
	dir := scratch(t)
	var cases atomic.Int64
	t.Cleanup(func() { t.Logf("%d crash states", cases.Load()) })
	for _, o := range durable() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for n, within := 0, true; within && !t.Failed(); n++ {
				w := newWorld(t, dir, fmt.Sprintf("step %d", n), o.config)
				watchdog := w.watch()
				within = crashed(w, &o, n)
				for _, kept := range fractions {
					w.checkCopy(w.cutCopy(kept), fmt.Sprintf("with %.0f %% kept", 100*kept))
					cases.Add(1)
				}
				w.end(watchdog)
			}
		})
	}
}

// The process is killed after every step and started again, which finds what no sync has
// reached. What it then shows, and says, survives a power cut; where the system cannot
// sync everything at once that is not promised of large documents, see DESIGN.md.
func TestSweepKillsThenCrashes(t *testing.T) {
	dir := scratch(t)
	var cases atomic.Int64
	t.Cleanup(func() { t.Logf("%d kills", cases.Load()) })
	for _, o := range durable() {
		if strings.HasSuffix(o.name, "synced each") {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for n, within := 0, true; within && !t.Failed(); n++ {
				w := newWorld(t, dir, fmt.Sprintf("killed at step %d", n), o.config)
				watchdog := w.watch()
				within = crashed(w, &o, n)
				w.kill()
				if err := w.open(); err != nil {
					w.errorf("open: %v", err)
				} else {
					w.check(w.store, "after the kill", true)
					if !w.cfg.Relaxed {
						w.put(aSnapshot(sagaOf(7), 70))
					}
					w.disk.CutAfter(0)
					w.checkCopy(w.cutCopy(0), "nothing kept")
					w.checkCopy(w.cutCopy(0.5), "half kept")
				}
				cases.Add(1)
				w.end(watchdog)
			}
		})
	}
}

// The power is cut again after every step of the recovery from a cut.
func TestSweepCrashesOfRecovery(t *testing.T) {
	dir := scratch(t)
	var cases atomic.Int64
	t.Cleanup(func() { t.Logf("%d crash states", cases.Load()) })
	for _, o := range durable() {
		for _, first := range fractions[:2] {
			t.Run(fmt.Sprintf("%s/%.0f", o.name, 100*first), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, dir, "", o.config)
				defer w.end(w.watch())
				crashed(w, &o, -1)
				w.copies = 0
				left := w.cutCopy(first)
				for n, within := 0, true; within && !t.Failed(); n++ {
					w.title = fmt.Sprintf("recovery cut after step %d", n)
					again := recovery(w, left, n)
					within = again.disk.Cut()
					again.disk.CutAfter(0)
					for _, kept := range fractions[:2] {
						again.checkCopy(again.cutCopy(kept), fmt.Sprintf("with %.0f %% kept", 100*kept))
						cases.Add(1)
					}
					again.end(w.watch())
				}
			})
		}
	}
}

// recovery is a world in which the store starts on a copy of a directory, and the
// power is cut while it does.
func recovery(w *world, left string, steps int) *world {
	again := newWorld(w.t, w.root, w.title, nil)
	live := filepath.Join(again.root, "live")
	if err := os.Remove(live); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(live, os.DirFS(left)); err != nil {
		w.t.Fatal(err)
	}
	cfg := again.cfg
	again.cfg = w.cfg
	again.cfg.BasePath, again.noisy, again.known = cfg.BasePath, w.noisy, w.known
	var err error
	if again.disk, err = vfstest.NewRecorder(vfstest.Unsynced{FS: vfs.OS{}}, live); err != nil {
		w.t.Fatal(err)
	}
	again.cfg.FS = again.disk
	again.disk.CutAfter(steps)
	if err := again.open(); err != nil && !again.disk.Cut() {
		again.errorf("open: %v", err)
	}
	return again
}
