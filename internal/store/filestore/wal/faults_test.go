package wal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/vfs/vfstest"
	"snapshotd/internal/store/filestore/wal"
)

func faulty(t *testing.T, dir string, size int64) (*wal.Log, *vfstest.Faulty) {
	t.Helper()
	fs := vfstest.NewFaulty(vfs.OS{})
	cfg := config(dir, size)
	cfg.FS = fs
	return wal.New(cfg, recovered(t, dir)), fs
}

func appended(l *wal.Log, record string) error {
	ticket, err := l.Append([]byte(record))
	if err != nil {
		return err
	}
	return ticket.Wait()
}

func closed(t *testing.T, l *wal.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// The first commit after a start lies behind the last one before, so that when it is
// torn, what says that the others are settled is still there.
func TestATornFirstCommitRevivesNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4096)
	entry := func(n int) string { return fmt.Sprintf("entry %06d", n) }
	release := func() {
		if err := l.Release(l.Next()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 200 {
		write(t, l, entry(n))
	}
	release()
	for n := 200; ; n++ { // until the segment that is read first is the last
		write(t, l, entry(n))
		if path, _, _ := segment(t, dir, entry(n)); filepath.Base(path) == "00000001.log" {
			break
		}
	}
	release()
	closed(t, l)
	l = open(t, dir, 4096)
	write(t, l, "first "+strings.Repeat("x", 1000))
	closed(t, l)
	damage(t, dir, "first ", func(data []byte, at int) []byte { clear(data[at+500 : at+1000]); return data })
	found := recovered(t, dir)
	expect(t, found)
	if len(found.Damage) > 0 {
		t.Errorf("damage %q", found.Damage)
	}
}

// A segment that cannot be opened for want of descriptors is used when it can.
func TestASegmentThatCannotBeOpenedIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4096)
	write(t, l, numbered(0, 100)...) // some segments
	if err := l.Release(l.Next()); err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	before, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	l, fs := faulty(t, dir, 4096)
	for range 10 {
		fs.Arm(vfstest.Fault{Op: vfstest.Open, N: 1, Err: syscall.EMFILE, Forever: true})
		var full *wal.FullError
		if err := appended(l, strings.Repeat("x", l.MaxRecord())); !errors.As(err, &full) {
			t.Fatal(err)
		}
		fs.Disarm()
	}
	write(t, l, "after")
	closed(t, l)
	expect(t, recovered(t, dir), "after")
	if after, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(after) > len(before)+1 {
		t.Errorf("%d segments, before %d", len(after), len(before))
	}
}

// Those who wait because the log is far ahead are let go when it fails.
func TestAFailureWakesWhoWaits(t *testing.T) {
	for name, fail := range map[string]func(l *wal.Log, fs *vfstest.Faulty){
		"of the log": func(l *wal.Log, fs *vfstest.Faulty) {
			fs.Arm(vfstest.Fault{Op: vfstest.Sync, N: 1, Err: syscall.EIO, Forever: true})
			if err := appended(l, "x"); err == nil {
				t.Error("a commit that is not synced succeeds")
			}
		},
		"of something else": func(l *wal.Log, _ *vfstest.Faulty) { l.Fail(syscall.EIO) },
	} {
		t.Run(name, func(t *testing.T) {
			l, fs := faulty(t, t.TempDir(), 4096)
			for n := range 300 {
				write(t, l, numbered(n, n+1)...)
			}
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { l.Admit(nil) })
			}
			fail(l, fs)
			wg.Wait()
			var failed *wal.FailedError
			if err := appended(l, "x"); !errors.As(err, &failed) || !errors.As(l.Release(1), &failed) || !errors.Is(l.Err(), syscall.EIO) {
				t.Errorf("after the failure: %v, %v", err, l.Err())
			}
			l.Close()
		})
	}
}

// A log without room for records has room to say that they are settled, also when
// records that find none are waiting.
func TestAFullLogCanBeReleased(t *testing.T) {
	l, fs := faulty(t, t.TempDir(), 4096)
	write(t, l, numbered(0, 10)...)
	tried, goOn := make(chan struct{}, 1), make(chan struct{})
	var tries atomic.Int64
	fs.Arm(vfstest.Fault{Op: vfstest.Create, N: 1, Err: syscall.ENOSPC, Forever: true, Wait: func() {
		if tries.Add(1) == 3 { // behind that of the spare segment
			tried <- struct{}{}
			<-goOn
		}
	}})
	largest := []byte(strings.Repeat("x", l.MaxRecord()))
	appending := func() chan error {
		done := make(chan error, 1)
		ticket, err := l.Append(largest)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- ticket.Wait() }()
		return done
	}
	for full := false; !full; {
		select {
		case <-tried:
			full = true
		case <-appending():
		}
	}
	waiting := appending()
	released := make(chan error)
	go func() { released <- l.Release(l.Next()) }()
	for range 1000 {
		runtime.Gosched()
	}
	close(goOn)
	if err := <-released; err != nil {
		t.Error(err)
	}
	var full *wal.FullError
	if err := <-waiting; !errors.As(err, &full) {
		t.Errorf("a record without room: %v", err)
	}
	closed(t, l)
}

// The name of a segment that was not synced may be gone after a crash; the next one
// lies in the same directory.
func TestAFailedSyncOfTheDirectoryFailsTheLog(t *testing.T) {
	dir := t.TempDir()
	fs := vfstest.NewFaulty(vfs.OS{})
	fs.Arm(vfstest.Fault{Op: vfstest.SyncDir, N: 1, Err: syscall.EIO})
	cfg := config(dir, 4096)
	cfg.FS = fs
	told := make(chan error, 1)
	cfg.Failed = func(err error) { told <- err }
	l := wal.New(cfg, recovered(t, dir))
	if err := <-told; !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	var failed *wal.FailedError
	if err := appended(l, "x"); !errors.As(err, &failed) {
		t.Error(err)
	}
	closed(t, l)
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
