//go:build faults && linux

package faults

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
)

const (
	crashStates     = 220
	recordedMiB     = 24
	recordedChanges = 300 // acknowledged at the least
)

// A power cut leaves of a disk's cache whatever it likes: each state that the
// record of a load allows must hold what had been acknowledged by then.
func TestCrashStatesOfARecordedDisk(t *testing.T) {
	row := newTally(t, "crash states of a recorded disk")
	s := recordLoad(t, row)
	for n := range crashStates {
		part := len(s.record) - s.begin
		at := s.begin + part*n/crashStates + rand.IntN(part/crashStates+1)
		f, how := s.check(at, n)
		row.cuts++
		if !f.good() {
			t.Logf("a crash at event %d of %d, %s", at, len(s.record), how)
		}
		row.enter(t, f)
	}
}

// A build that does not sync its log loses data in some of these states, or they
// are not what they say.
func TestRecordedDiskControl(t *testing.T) {
	row := newTally(t, "control without log-sync, recorded disk")
	row.control = true
	s := recordLoad(t, row, "SNAPSHOTD_OMIT="+failpoint.OmitLogSync)
	for n := 0; n < crashStates/4 && row.lost == 0; n++ {
		f, _ := s.check(s.begin+rand.IntN(len(s.record)-s.begin+1), n)
		row.cuts++
		row.enter(t, f)
	}
	if row.lost == 0 {
		t.Errorf("nothing was lost in %d states", row.cuts)
	}
}

// recordLoad has clients work on a recorded disk.
func recordLoad(t *testing.T, row *tally, env ...string) *states {
	t.Helper()
	r, v := newRecorder(t, recordedMiB)
	l := newLedger(r.position)
	d := launch{dir: v.dir(), env: env}.start(t)
	begin := r.position()
	clients := l.run(d, mix{workers: 3, pause: time.Millisecond})
	for deadline := time.Now().Add(patience); l.count() < recordedChanges && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	clients.end()
	record := r.events()
	d.kill()
	row.acknowledged = l.count()
	if len(clients.refused) > 0 {
		t.Fatal(clients.refused[0])
	}
	t.Logf("%d changes acknowledged in %d events", row.acknowledged, len(record)-begin)
	return &states{t: t, ledger: l, blank: r.blank, record: record, begin: begin, volume: &volume{
		t: t, kind: "ext4", image: filepath.Join(t.TempDir(), "state.img"), mount: t.TempDir(),
	}}
}

// states are what a crash may have left of a recorded disk.
type states struct {
	t      *testing.T
	ledger *ledger
	blank  []byte
	record []event
	begin  int // of the load
	volume *volume
}

// survivors are ways to choose what of the writes since the last flush is left.
var survivors = []struct {
	name   string
	choose func([]event) []event
}{
	{"with nothing of what was not flushed", func([]event) []event { return nil }},
	{"with all that was written", func(w []event) []event { return w }},
	{"with some of the writes that were not flushed", some},
	{"with some blocks of them, in any order", func(w []event) []event { return some(shuffled(cutUp(w, 4096))) }},
	{"with some sectors of them, in any order", func(w []event) []event { return some(shuffled(cutUp(w, 512))) }},
	{"with the last write torn", func(w []event) []event {
		if len(w) == 0 {
			return nil
		}
		last := cutUp(w[len(w)-1:], 512)
		return append(slices.Clone(w[:len(w)-1]), last[:rand.IntN(len(last))]...)
	}},
}

func some(writes []event) []event {
	share := rand.Float64()
	return slices.DeleteFunc(slices.Clone(writes), func(event) bool { return rand.Float64() > share })
}

// cutUp splits writes at a size below which they are whole or not there at all.
func cutUp(writes []event, size int) []event {
	var parts []event
	for _, w := range writes {
		for at := 0; at < len(w.data); at += size {
			parts = append(parts, event{w.offset + int64(at), w.data[at:min(at+size, len(w.data))]})
		}
	}
	return parts
}

// shuffled puts writes in any order, except that those to the same place stay in
// theirs: a disk's cache has no older version of a block.
func shuffled(writes []event) []event {
	order := rand.Perm(len(writes))
	mixed := make([]event, len(writes))
	for to, from := range order {
		mixed[to] = writes[from]
	}
	places := map[int64][]event{}
	for _, w := range writes {
		places[w.offset] = append(places[w.offset], w)
	}
	for i, w := range mixed {
		mixed[i], places[w.offset] = places[w.offset][0], places[w.offset][1:]
	}
	return mixed
}

// check materialises a state and has a daemon recover it.
func (s *states) check(at, n int) (f *finding, how string) {
	s.t.Helper()
	image := slices.Clone(s.blank)
	var cached []event
	for _, e := range s.record[:at] {
		if !e.isFlush() {
			cached = append(cached, e)
			continue
		}
		write(image, cached)
		cached = cached[:0]
	}
	way := survivors[n%len(survivors)]
	write(image, way.choose(cached))
	if err := os.WriteFile(s.volume.image, image, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.volume.attach()
	defer s.volume.detach()
	d := launch{dir: s.volume.dir()}.start(s.t)
	defer d.kill()
	return s.ledger.check(d, at), way.name
}

func write(image []byte, events []event) {
	for _, e := range events {
		copy(image[e.offset:], e.data)
	}
}
