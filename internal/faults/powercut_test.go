//go:build faults && linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
)

// How often the plug is pulled: one half under load, the other in the recoveries.
const (
	cutsPerKind   = 64 // of filesystem
	cutsPerVolume = 8  // under load
	cutsOfControl = 24 // within which a control must have lost something
	freeSpace     = 48 // MiB, so that a segment of the log is less than one
)

// A plug is a daemon on a filesystem whose power is cut under load again and
// again, and what its clients were told.
type plug struct {
	t      *testing.T
	row    *tally
	volume *volume
	ledger *ledger
	env    []string // of the build under test
	round  int
}

func TestPowerCutsUnderLoad(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			_, err := exec.LookPath("mkfs." + kind)
			need(t, err == nil, "mkfs."+kind)
			row := newTally(t, "power cuts on "+kind)
			for row.cuts < cutsPerKind {
				p := newPlug(t, row, kind)
				for range cutsPerVolume {
					p.cutUnderLoad()
					if p.round%2 == 0 {
						p.cutRecovery()
					}
					p.row.enter(t, p.recovered())
				}
				p.volume.detach()
			}
		})
	}
}

// A build that leaves a step out loses data, or the tests above prove nothing.
func TestControlsLoseData(t *testing.T) {
	for _, omission := range []string{failpoint.OmitLogSync, failpoint.OmitCheckpointSync, failpoint.OmitReplayDeletes} {
		t.Run(omission, func(t *testing.T) {
			row := newTally(t, "control without "+omission)
			row.control = true
			p := newPlug(t, row, "ext4")
			p.env = []string{"SNAPSHOTD_OMIT=" + omission}
			for row.lost+row.partial == 0 && row.cuts < cutsOfControl {
				p.cutUnderLoad()
				row.enter(t, p.recovered())
			}
			if row.lost+row.partial == 0 {
				t.Errorf("nothing was lost in %d cuts", row.cuts)
			}
		})
	}
}

func newPlug(t *testing.T, row *tally, kind string) *plug {
	return &plug{t: t, row: row, volume: newSmallVolume(t, kind, freeSpace), ledger: newLedger(nil)}
}

// launch varies what the daemon is told from round to round.
func (p *plug) launch() launch {
	l := launch{dir: p.volume.dir(), env: p.env}
	if p.compresses() {
		l.args = append(l.args, "--enable-compression")
	}
	if p.cleans() {
		l.args = append(l.args, "--cleanup-interval=20ms")
	}
	return l
}

func (p *plug) compresses() bool { return p.round%3 == 1 }
func (p *plug) cleans() bool     { return p.round%4 >= 2 }

// cutUnderLoad pulls the plug while clients save and delete, less than a second
// after they began: the kernel writes everything every five by itself.
func (p *plug) cutUnderLoad() {
	p.t.Helper()
	p.round++
	d := p.launch().start(p.t)
	before := p.ledger.acked
	clients := p.ledger.run(d, mix{workers: 6, large: p.round%2 == 0, janitor: p.cleans()})
	time.Sleep(time.Duration(150+rand.IntN(500)) * time.Millisecond)
	p.ledger.cut(p.volume.unplug)
	clients.end()
	d.kill()
	p.volume.replug()
	p.row.cuts++
	p.row.acknowledged += p.ledger.acked - before
	if len(clients.refused) > 0 {
		p.t.Fatalf("refused before the cut: %s\n%s", clients.refused[0], &d.log)
	}
	if p.ledger.acked == before {
		p.t.Fatal("nothing was acknowledged before the cut")
	}
}

// cutRecovery has the daemon replay its log, and pulls the plug in the middle of
// that and once more at a time of its own.
func (p *plug) cutRecovery() {
	p.t.Helper()
	step := fmt.Sprintf("%s:%d", failpoint.Replayed, 1+rand.IntN(8))
	if p.round%4 == 0 {
		step = failpoint.ReplaySynced
	}
	inside := p.launch()
	inside.env = []string{"SNAPSHOTD_FAILPOINT=" + step}
	d := inside.begin(p.t)
	if d.ready() {
		p.t.Logf("nothing to replay up to %s", step)
	}
	p.cutNow(d)
	d = p.launch().begin(p.t)
	time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond)
	p.cutNow(d)
}

func (p *plug) cutNow(d *daemon) {
	p.t.Helper()
	p.volume.unplug()
	d.kill()
	p.volume.replug()
	p.row.cuts++
}

// recovered starts a daemon after a cut and checks what it serves.
func (p *plug) recovered() *finding {
	p.t.Helper()
	d := launch{dir: p.volume.dir(), env: p.env}.start(p.t)
	f := p.ledger.check(d, never-1)
	p.ledger.settle(f.states)
	if p.round%2 == 0 {
		d.kill() // and leaves the next one a log
	} else if code := d.stop(); code != 0 {
		f.wrong = append(f.wrong, fmt.Sprintf("exit code %d\n%s", code, &d.log))
	} else if !p.row.control {
		verified(p.t, d.base())
	}
	return f
}
