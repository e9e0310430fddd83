package filestore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore/vfs/vfstest"
)

var errnos = []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EMFILE}

// Every call of every operation fails, once and for ever, until one goes through
// untouched. Then the next request, a power cut, and a restart.
func TestSweepFaults(t *testing.T) {
	dir := scratch(t)
	var cases atomic.Int64
	t.Cleanup(func() { t.Logf("%d faults in %d operations", cases.Load(), len(operations)) })
	for _, o := range operations {
		for _, errno := range errnos {
			for _, forever := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/forever=%v", o.name, errno, forever), func(t *testing.T) {
					t.Parallel()
					for n := 1; !t.Failed(); n++ {
						if !fault(t, dir, &o, vfstest.Fault{N: n, Err: errno, Forever: forever}) {
							break
						}
						cases.Add(1)
					}
				})
			}
		}
	}
}

// A write that takes only a part of what it is given leaves nothing behind.
func TestSweepShortWrites(t *testing.T) {
	dir := scratch(t)
	for _, o := range operations {
		for _, op := range []vfstest.Op{vfstest.Write, vfstest.WriteAt} {
			t.Run(o.name+"/"+string(op), func(t *testing.T) {
				t.Parallel()
				for n := 1; !t.Failed(); n++ {
					if !fault(t, dir, &o, vfstest.Fault{Op: op, N: n, Err: syscall.ENOSPC, Short: 40 * n % 700}) {
						break
					}
				}
			})
		}
	}
}

// Where there are no descriptors to be had, what needs one is refused, and nothing is given up.
func TestSweepDescriptors(t *testing.T) {
	dir := scratch(t)
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for _, op := range []vfstest.Op{vfstest.Create, vfstest.Open, vfstest.SyncAll} {
				for n := 1; !t.Failed(); n++ {
					if !fault(t, dir, &o, vfstest.Fault{Op: op, N: n, Err: syscall.EMFILE, Forever: true}) {
						break
					}
				}
			}
		})
	}
}

// fault does an operation with a fault, and reports whether that hit anything.
func fault(t *testing.T, dir string, o *operation, f vfstest.Fault) bool {
	t.Helper()
	w := newWorld(t, dir, fmt.Sprintf("call %s %d", f.Op, f.N), o.config)
	defer w.end(w.watch())
	o.prepare(w)
	errors.As(f.Err, &w.errno)
	w.faulty.Arm(f)
	if started := o.do(w); started != nil && len(w.faulty.Hits()) == 0 {
		w.errorf("open: %v", started)
	}
	hits := w.faulty.Hits()
	w.title += fmt.Sprintf(" hit %.300v", hits)
	if !f.Forever {
		hits = w.faulty.Disarm()
	}
	w.afterFault(hits, f.Forever, f.Op == "")
	w.faulty.Disarm()
	w.errno = 0

	cut := func(when string) {
		if !w.cfg.Relaxed {
			kept := []float64{0, 0.5}[f.N/2%2]
			w.checkCopy(w.cutCopy(kept), fmt.Sprintf("after a power cut %s with %.0f %% kept", when, 100*kept))
		}
	}
	if f.N%2 == 0 {
		cut("")
	}
	if err := w.close(); err != nil && !w.degraded && len(hits) == 0 {
		w.errorf("close: %v", err)
	}
	if f.N%2 == 1 {
		cut("behind the end")
	}
	w.degraded = false
	w.checkCopy(filepath.Dir(filepath.Dir(w.cfg.BasePath)), "after a restart")
	return len(hits) > 0 && !w.failed
}

// afterFault reads, and changes something, in a store that a fault has hit.
func (w *world) afterFault(hits []vfstest.Call, goesOn, all bool) {
	w.t.Helper()
	if w.store == nil {
		return
	}
	w.check(w.store, "in the running store", false)
	if w.mustBeDegraded(hits) && !w.degraded {
		if !errors.Is(w.store.Ping(w.t.Context()), saga.ErrDegraded) {
			w.errorf("a sync has failed, and the store is not degraded: %s", w.errs.take())
		}
		w.degraded = true
	}
	if !w.degraded && errors.Is(w.store.Ping(w.t.Context()), saga.ErrDegraded) {
		w.degraded = true // in the background, since
	}
	if w.degraded && (!goesOn || !all) && w.mayNotBeDegraded(w.faulty.Hits(), hits) {
		w.errorf("the store is degraded, though every sync has succeeded: %s", w.errs.take())
	}
	if goesOn {
		err := w.put(aSnapshot(sagaOf(8), 80))
		if err == nil && hits != nil && all {
			w.errorf("a change succeeds while everything fails")
		}
		w.faulty.Disarm()
	}
	w.errno = 0
	if !w.degraded {
		if err := w.put(aSnapshot(sagaOf(8), 81)); err != nil {
			w.errorf("the next put: %v", err)
		}
		if err := w.delete(snapshotID(81)); err != nil {
			w.errorf("the next delete: %v", err)
		}
		return
	}
	w.errno = syscall.EIO // degraded is for ever
	if err := w.put(aSnapshot(sagaOf(8), 82)); !errors.Is(err, saga.ErrDegraded) {
		w.errorf("a put in a degraded store: %v", err)
	}
	for key, may := range w.known {
		if !slices.Contains(may, "") && key[0] == 0xd0 {
			if err := w.delete(key); !errors.Is(err, saga.ErrDegraded) {
				w.errorf("a delete in a degraded store: %v", err)
			}
			break
		}
	}
	if err := w.store.Ping(w.t.Context()); !errors.Is(err, saga.ErrDegraded) {
		w.errorf("ping of a degraded store: %v", err)
	}
}

// mustBeDegraded reports whether a sync has failed. One for want of descriptors has not
// been tried; and a file that was being made may lack space, because it is given up.
func (w *world) mustBeDegraded(hits []vfstest.Call) bool {
	return w.errno != syscall.EMFILE && slices.ContainsFunc(hits, func(c vfstest.Call) bool {
		made := strings.Contains(c.Path, "/tmp/") || strings.HasSuffix(c.Path, ".log")
		return c.Op == vfstest.SyncDir || c.Op == vfstest.SyncAll || c.Op == vfstest.Sync && (!made || w.errno != syscall.ENOSPC)
	})
}

// mayNotBeDegraded reports whether nothing has failed that can leave the disk in an unknown
// state: neither a sync, nor a write of the log, nor the checkpoint that a change needs which
// is in the log and could not be made.
func (w *world) mayNotBeDegraded(now, before []vfstest.Call) bool {
	hits := slices.Concat(now, before)
	return !slices.ContainsFunc(hits, func(c vfstest.Call) bool {
		switch c.Op {
		case vfstest.Sync, vfstest.SyncDir, vfstest.WriteAt:
			return true
		case vfstest.SyncAll:
			return w.errno != syscall.EMFILE || slices.ContainsFunc(hits, func(c vfstest.Call) bool {
				return c.Op == vfstest.Rename || c.Op == vfstest.RenameNew || c.Op == vfstest.Remove
			})
		}
		return false
	})
}
