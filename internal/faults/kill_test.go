//go:build faults && linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
)

const (
	randomKills  = 100
	timesAtSteps = 2
)

// A victim is a daemon that is killed again and again, and what its clients were
// told.
type victim struct {
	t      *testing.T
	row    *tally
	dir    string
	ledger *ledger
	noted  int // acknowledgements that are in the report
}

func newVictim(t *testing.T, part string) *victim {
	v := newSmallVolume(t, "ext4", freeSpace)
	return &victim{t: t, row: newTally(t, part), dir: v.dir(), ledger: newLedger(nil)}
}

func (v *victim) start(env ...string) *daemon {
	v.t.Helper()
	return launch{dir: v.dir, env: env}.start(v.t)
}

// check reads everything back from a daemon that has just started.
func (v *victim) check(d *daemon) {
	v.t.Helper()
	f := v.ledger.check(d, never-1)
	v.ledger.settle(f.states)
	v.row.enter(v.t, f)
	v.row.acknowledged += v.ledger.count() - v.noted
	v.noted = v.ledger.count()
}

func TestKilledAtRandom(t *testing.T) {
	v := newVictim(t, "SIGKILL at random")
	for v.row.cuts < randomKills {
		d := v.start()
		v.check(d)
		clients := v.ledger.run(d, mix{workers: 4, large: v.row.cuts%10 == 0})
		time.Sleep(time.Duration(10+rand.IntN(120)) * time.Millisecond)
		v.ledger.cut(d.kill)
		clients.end()
		v.row.cuts++
		if v.row.cuts%3 == 0 { // and again while it replays
			d = launch{dir: v.dir}.begin(t)
			time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			d.kill()
			v.row.cuts++
		}
	}
	v.check(v.start())
}

func TestKilledAtEachStep(t *testing.T) {
	for _, step := range failpoint.Steps {
		t.Run(step, func(t *testing.T) {
			v := newVictim(t, "SIGKILL at each step")
			for n := range timesAtSteps {
				at := fmt.Sprintf("SNAPSHOTD_FAILPOINT=%s:%d", step, 1+n)
				if step == failpoint.Replayed || step == failpoint.ReplaySynced {
					at = "SNAPSHOTD_FAILPOINT=" + step
					v.leaveLog()
				}
				d := launch{dir: v.dir, env: []string{at}}.begin(t)
				if d.ready() {
					clients := v.ledger.run(d, mix{workers: 4})
					if step == failpoint.IndexWritten { // behind what is quiet
						time.AfterFunc(100*time.Millisecond, func() { clients.stop.Store(true) })
					}
					v.untilEnded(d)
					v.ledger.cut(func() {})
					clients.end()
				}
				v.untilEnded(d)
				v.row.cuts++
				d = v.start()
				v.check(d)
				d.kill()
			}
		})
	}
}

// leaveLog ends a daemon that has something to replay.
func (v *victim) leaveLog() {
	v.t.Helper()
	d := v.start()
	clients := v.ledger.run(d, mix{workers: 4})
	time.Sleep(100 * time.Millisecond)
	v.ledger.cut(d.kill)
	clients.end()
}

// untilEnded waits until the failpoint has killed the daemon.
func (v *victim) untilEnded(d *daemon) {
	v.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		v.t.Fatalf("the step is not reached\n%s", &d.log)
	}
	if s, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		v.t.Fatalf("it has ended otherwise: %v\n%s", d.cmd.ProcessState, &d.log)
	}
}
