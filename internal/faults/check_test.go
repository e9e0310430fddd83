//go:build faults && linux

package faults

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A finding is what a check has seen.
type finding struct {
	lost, partial []string // in words
	broken        int      // items that are not whole
	wrong         []string // what else should not be
	states        map[*item]int
}

func (f *finding) good() bool { return len(f.lost)+len(f.partial)+len(f.wrong) == 0 }

// check reads everything back from a daemon that has just started, and compares it
// with what was acknowledged before a point of the device's record.
func (l *ledger) check(d *daemon, at int) *finding {
	f := &finding{states: map[*item]int{}}
	work, mu, wg := make(chan *item), sync.Mutex{}, sync.WaitGroup{}
	for range 4 {
		wg.Go(func() {
			for x := range work {
				state, trouble := d.look(x)
				mu.Lock()
				f.note(x, state, x.allowed(at), trouble)
				mu.Unlock()
			}
		})
	}
	for _, x := range l.items {
		work <- x
	}
	close(work)
	wg.Wait()
	f.count(d)
	return f
}

// look answers the state of an item, or what is wrong with it.
func (d *daemon) look(x *item) (state int, trouble string) {
	a := d.do("GET", x.path(), nil)
	switch {
	case a.err != nil:
		return 0, a.err.Error()
	case a.status == http.StatusNotFound:
		return 0, ""
	case a.status != http.StatusOK:
		return 0, fmt.Sprintf("status %d %s", a.status, a.code())
	}
	state, whole := x.stateOf(a.body)
	if !whole {
		return 0, fmt.Sprintf("%d other bytes", len(a.body))
	}
	return state, ""
}

func (f *finding) note(x *item, state int, allowed []int, trouble string) {
	if trouble != "" {
		f.broken++
		f.partial = append(f.partial, fmt.Sprintf("%v: %s", x, trouble))
		return
	}
	f.states[x] = state
	if !slices.Contains(allowed, state) {
		f.lost = append(f.lost, fmt.Sprintf("%v is in state %d, of %v", x, state, allowed))
	}
}

// count compares the daemon's own numbers with what was found, so that nothing is
// there that nobody asked about.
func (f *finding) count(d *daemon) {
	var snapshots, replays int
	for x, state := range f.states {
		switch {
		case state == 0:
		case x.snapshot:
			snapshots++
		default:
			replays++
		}
	}
	s, err := d.stats()
	if err != nil {
		f.wrong = append(f.wrong, "stats: "+err.Error())
	}
	if s.Unreadable != 0 {
		f.partial = append(f.partial, fmt.Sprintf("%d files are unreadable", s.Unreadable))
	}
	if more := s.Snapshots - snapshots + s.Replays - replays - f.broken; more > 0 {
		f.lost = append(f.lost, fmt.Sprintf("%d are back after their deletion was acknowledged and checked", more))
	}
	if log := d.log.String(); strings.Contains(log, "the log is damaged") || strings.Contains(log, "panic:") {
		f.wrong = append(f.wrong, "the daemon's log:\n"+log)
	}
	left, _ := filepath.Glob(filepath.Join(d.base(), ".snapshotd", "tmp", "*", "*"))
	if len(left) > 0 {
		f.wrong = append(f.wrong, "left behind: "+strings.Join(left, " "))
	}
}

// base is the directory that the daemon keeps.
func (d *daemon) base() string {
	for _, arg := range d.cmd.Args {
		if dir, ok := strings.CutPrefix(arg, "--base-path="); ok {
			return dir
		}
	}
	return os.DevNull
}

// verified has the verify command look at a directory that no daemon works on.
func verified(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command(os.Getenv(plainBuild), "verify", "--base-path="+dir).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// enter puts a finding into the report, and fails the test unless it is good or of
// a control.
func (row *tally) enter(t *testing.T, f *finding) {
	t.Helper()
	row.lost += len(f.lost)
	row.partial += len(f.partial)
	if row.control || f.good() {
		return
	}
	for _, list := range [][]string{f.lost, f.partial, f.wrong} {
		for _, text := range list[:min(len(list), 5)] {
			t.Error(text)
		}
	}
	t.Fatalf("%d acknowledged changes lost, %d documents partial, %d other things wrong", len(f.lost), len(f.partial), len(f.wrong))
}
