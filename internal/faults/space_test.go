//go:build faults && linux

package faults

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A full disk refuses saves and nothing else; deleting makes room again.
func TestFullDisk(t *testing.T) {
	row := newTally(t, "no space")
	v := newSmallVolume(t, "ext4", 16)
	l := newLedger(nil)
	d := launch{dir: v.dir()}.start(t)
	kept := l.fill(t, d, 60_000)
	serveWhileFull(t, l, d, kept, 60_000)
	endsWell(t, row, l, d, launch{dir: v.dir()})
}

// With a low-water mark of one byte the disk fills up to its last block, under everything the
// daemon itself writes.
func TestDiskFullToTheLastBlock(t *testing.T) {
	row := newTally(t, "no space at all")
	v := newSmallVolume(t, "ext4", 8)
	l := newLedger(nil)
	start := launch{dir: v.dir(), args: []string{"--min-free=1"}}
	d := start.start(t)
	kept := l.fill(t, d, 60_000)
	l.fill(t, d, 3000)
	v.fillBlocks()
	serveWhileFull(t, l, d, kept, 3000)
	endsWell(t, row, l, d, start)
}

// A daemon can also be started on a full disk, and emptied then.
func TestStartOnAFullDisk(t *testing.T) {
	row := newTally(t, "start on a full disk")
	v := newSmallVolume(t, "ext4", 8)
	l := newLedger(nil)
	start := launch{dir: v.dir(), args: []string{"--min-free=1"}}
	d := start.start(t)
	kept := l.fill(t, d, 60_000)
	d.kill()
	d = start.start(t)
	d.expect(http.StatusOK, "", "GET", kept[0].path(), nil)
	serveWhileFull(t, l, d, kept, 60_000)
	endsWell(t, row, l, d, start)
}

func TestNoInodes(t *testing.T) {
	row := newTally(t, "no inodes")
	v := newVolume(t, "ext4", 48, "-N", "128")
	l := newLedger(nil)
	d := launch{dir: v.dir()}.start(t)
	kept := l.fill(t, d, 100)
	serveWhileFull(t, l, d, kept, 100)
	endsWell(t, row, l, d, launch{dir: v.dir()})
}

// What was killed on a full disk starts again: for the files that are there, its log needs
// no room. It is killed with deletions and a save in its log, unless a checkpoint came
// between; then once more.
func TestKilledOnAFullDisk(t *testing.T) {
	const some = 12 // more than what ext4 keeps for root
	for _, full := range []struct {
		name   string
		volume func(*testing.T) *volume
		size   int // of the documents that fill it
		last   int // of one more that is saved in the place of another
		fill   func(*volume)
	}{
		{"no inodes, killed, started again", func(t *testing.T) *volume { return newVolume(t, "ext4", 48, "-N", "192") },
			100, 100, (*volume).fillInodes},
		{"full to the last block, killed, started again", func(t *testing.T) *volume { return newSmallVolume(t, "ext4", 8) },
			60_000, 3000, (*volume).fillBlocks},
	} {
		t.Run(full.name, func(t *testing.T) {
			row := newTally(t, full.name)
			v := full.volume(t)
			for range 40 { // inodes for makeRoom
				v.filling().Close()
			}
			l := newLedger(nil)
			start := launch{dir: v.dir(), args: []string{"--min-free=1"}}
			d := start.start(t)
			kept := l.fill(t, d, full.size)
			for replayed := false; !replayed && len(kept) > 2*some; kept = kept[some:] {
				for _, x := range kept[:some] {
					c, _ := l.asking(x, 0)
					d.expect(http.StatusNoContent, "", "DELETE", x.path(), nil)
					l.acknowledge(c)
				}
				l.saves(t, d, full.last)
				full.fill(v)
				d.kill()
				d = start.start(t)
				row.cuts++
				f := l.check(d, never-1)
				f.wrong = nil // indexes that find no room are tried again and again
				row.enter(t, f)
				replayed = strings.Contains(d.log.String(), "the log has been replayed")
			}
			refused := newSnapshot(newID(), full.size)
			d.expect(http.StatusInsufficientStorage, "no_space", "PUT", refused.path(), refused.document())
			d.kill()
			v.makeRoom()
			endsWell(t, row, l, start.start(t), start)
		})
	}
}

// fillBlocks leaves no block free.
func (v *volume) fillBlocks() {
	v.t.Helper()
	file := v.filling()
	defer file.Close()
	var err error
	for block := make([]byte, 4096); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		v.t.Fatal(err)
	}
}

// fillInodes leaves no room for another file.
func (v *volume) fillInodes() {
	v.t.Helper()
	for {
		file, err := os.CreateTemp(v.mount, "filling-")
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		if err != nil {
			v.t.Fatal(err)
		}
		file.Close()
	}
}

// filling makes a file that is there until makeRoom.
func (v *volume) filling() *os.File {
	v.t.Helper()
	file, err := os.CreateTemp(v.mount, "filling-")
	if err != nil {
		v.t.Fatal(err)
	}
	return file
}

// makeRoom undoes fillBlocks and fillInodes.
func (v *volume) makeRoom() {
	v.t.Helper()
	paths, err := filepath.Glob(filepath.Join(v.mount, "filling-*"))
	for _, path := range paths {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// A filesystem in a sparse file on a full disk takes writes and finds out later
// that it has no room for them.
func TestNoSpaceOnlyAtSync(t *testing.T) {
	row := newTally(t, "no space only at the sync")
	below := t.TempDir()
	if err := unix.Mount("tmpfs", below, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(below, 0) })
	v := formatVolume(t, "ext4", filepath.Join(below, "disk.img"), 96, "-J", "size=4")
	l := newLedger(nil)
	d := launch{dir: v.dir()}.start(t)
	for n := 0; ; n++ {
		x := l.add(newSnapshot(newID(), 100_000))
		c, _ := l.asking(x, 1)
		a := d.do("PUT", x.path(), x.document())
		if a.status == http.StatusServiceUnavailable || a.status == http.StatusInsufficientStorage {
			break
		}
		if a.status != http.StatusCreated || n > 1000 {
			t.Fatalf("save %d: %d %s %v", n, a.status, a.body, a.err)
		}
		l.acknowledge(c)
	}
	d.expect(http.StatusServiceUnavailable, "degraded", "GET", "/readyz", nil)
	d.kill()

	v.detach()
	if err := unix.Mount("tmpfs", below, "tmpfs", unix.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	v.attach()
	d = launch{dir: v.dir()}.start(t)
	row.enter(t, l.check(d, never-1))
	endsWell(t, row, l, d, launch{dir: v.dir()})
}

// fill saves documents until one is refused for want of space, and answers those
// that were not.
func (l *ledger) fill(t *testing.T, d *daemon, size int) (saved []*item) {
	t.Helper()
	for range 20_000 {
		x := l.add(newSnapshot(newID(), size))
		c, _ := l.asking(x, 1)
		a := d.do("PUT", x.path(), x.document())
		switch a.status {
		case http.StatusCreated:
			l.acknowledge(c)
			saved = append(saved, x)
		case http.StatusInsufficientStorage:
			l.withdraw(x)
			d.expect(http.StatusNotFound, "", "GET", x.path(), nil)
			return saved
		default:
			t.Fatalf("after %d saves: %d %s %v\n%s", len(saved), a.status, a.body, a.err, &d.log)
		}
	}
	t.Fatal("it does not get full")
	return nil
}

// withdraw notes that a change was refused: nothing of it may be found.
func (l *ledger) withdraw(x *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.changes = x.changes[:len(x.changes)-1]
}

// serveWhileFull checks that a full store can be read, says that it is full, and
// saves again when enough has been deleted.
func serveWhileFull(t *testing.T, l *ledger, d *daemon, kept []*item, size int) {
	t.Helper()
	refused := newSnapshot(newID(), size)
	d.expect(http.StatusInsufficientStorage, "no_space", "PUT", refused.path(), refused.document())
	d.expect(http.StatusServiceUnavailable, "", "GET", "/readyz", nil)
	for _, x := range kept[:10] {
		d.expect(http.StatusOK, "", "GET", x.path(), nil)
	}
	for n, x := range kept[:len(kept)/2] {
		c, _ := l.asking(x, 0)
		if a := d.expect(http.StatusNoContent, "", "DELETE", x.path(), nil); !a.acknowledged() {
			t.Fatalf("delete %d on a full disk\n%s", n, &d.log)
		}
		l.acknowledge(c)
	}
	d.expect(http.StatusOK, "", "GET", "/readyz", nil)
	for range min(5, len(kept)/4) {
		l.saves(t, d, size)
	}
}

// saves checks that a save is acknowledged.
func (l *ledger) saves(t *testing.T, d *daemon, size int) {
	t.Helper()
	x := l.add(newSnapshot(newID(), size))
	c, _ := l.asking(x, 1)
	if a := d.expect(http.StatusCreated, "", "PUT", x.path(), x.document()); !a.acknowledged() {
		t.Fatalf("%s", &d.log)
	}
	l.acknowledge(c)
}

// endsWell checks what a daemon serves after a fault, that it saves and stops, and
// that the next one serves the same.
func endsWell(t *testing.T, row *tally, l *ledger, d *daemon, again launch) {
	t.Helper()
	row.cuts++
	row.enter(t, l.check(d, never-1))
	l.saves(t, d, 1000)
	if code := d.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, &d.log)
	}
	d = again.start(t)
	row.enter(t, l.check(d, never-1))
	l.saves(t, d, 1000)
	d.kill()
	d = again.start(t)
	row.enter(t, l.check(d, never-1))
	row.acknowledged += l.count()
	if code := d.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, &d.log)
	}
	verified(t, again.dir)
}
