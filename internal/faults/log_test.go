//go:build faults && linux

package faults

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A log that somebody or something has damaged is named and put aside; what it
// still says counts, and so does every file that is there.
func TestDamagedLog(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func(*testing.T, *segment)
		says string // part of the daemon's log; "" = it cannot know

		restores bool // the twelfth save is still in it, and its file is lost; the first may be settled
	}{
		{"a bit flipped in the middle", func(_ *testing.T, s *segment) { s.text[s.frames[len(s.frames)/2]+60] ^= 4 }, "are missing", true},
		{"a frame overwritten with zeros", func(_ *testing.T, s *segment) {
			clear(s.text[s.frames[8]:s.frames[9]])
		}, "1 commits before commit", true},
		{"the last frame torn", func(_ *testing.T, s *segment) {
			last := s.frames[len(s.frames)-1]
			clear(s.text[last+600 : last+1200])
		}, "", true},
		{"cut off in the middle", func(_ *testing.T, s *segment) {
			s.text = s.text[:s.frames[len(s.frames)/2]+100]
		}, "", true},
		{"cut off in its head", func(_ *testing.T, s *segment) { s.text = s.text[:12] }, "is no segment of the log", false},
		{"empty", func(_ *testing.T, s *segment) { s.text = nil }, "", false},
		{"other content", func(_ *testing.T, s *segment) { copy(s.text, text(1, len(s.text))) }, "is no segment of the log", false},
		{"a foreign file beside it", func(t *testing.T, s *segment) {
			if err := os.WriteFile(filepath.Join(filepath.Dir(s.path), "notes.txt"), []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "notes.txt is no segment of the log", true},
		{"a segment of another log beside it", func(t *testing.T, s *segment) {
			foreign := anotherLog(t)
			if err := os.WriteFile(filepath.Join(filepath.Dir(s.path), "00000077.log"), foreign.text, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "00000077.log is a segment of another log", true},
		{"a segment of another log in its place", func(t *testing.T, s *segment) { s.text = anotherLog(t).text },
			"is a segment of another log", false},
	} {
		t.Run(damage.name, func(t *testing.T) {
			row := newTally(t, "damaged log")
			start := launch{dir: filepath.Join(t.TempDir(), "base")}
			l := newLedger(nil)
			d := start.start(t)
			for range 30 {
				l.saves(t, d, 1000+len(l.items))
			}
			d.kill()
			if damage.restores {
				if err := os.RemoveAll(filepath.Join(start.dir, "snapshots", l.items[11].saga)); err != nil {
					t.Fatal(err)
				}
			}

			s := readSegment(t, start.dir)
			damage.do(t, s)
			if err := os.WriteFile(s.path, s.text, 0o600); err != nil {
				t.Fatal(err)
			}
			d = start.start(t)
			log, aside := d.log.String(), quarantined(t, start.dir)
			switch {
			case damage.says == "" && len(aside) > 0:
				t.Errorf("put aside: %v\n%s", aside, log)
			case damage.says == "":
			case len(aside) != 1:
				t.Errorf("put aside: %v\n%s", aside, log)
			case !strings.Contains(log, "the log is damaged") || !strings.Contains(log, damage.says) || !strings.Contains(log, aside[0]):
				t.Errorf("it says nothing of %q and %s:\n%s", damage.says, aside[0], log)
			}
			f := l.check(d, never-1)
			f.wrong = nil // it says that the log is damaged
			row.enter(t, f)
			d.kill()
			endsWell(t, row, l, start.start(t), start)
		})
	}
}

// anotherLog is the segment of a daemon that has been stopped: it says that more is settled
// than other logs hold.
func anotherLog(t *testing.T) *segment {
	t.Helper()
	start := launch{dir: filepath.Join(t.TempDir(), "another")}
	d, l := start.start(t), newLedger(nil)
	for range 40 {
		l.saves(t, d, 1000)
	}
	if code := d.stop(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &d.log)
	}
	return readSegment(t, start.dir)
}

// A segment is a file of the log.
type segment struct {
	path   string
	text   []byte
	frames []int // where they begin
}

// readSegment reads the segment that the last daemon wrote to.
func readSegment(t *testing.T, dir string) *segment {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, ".snapshotd", "log", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &segment{path: path, text: text}
		key := text[8:16] // begins every frame
		for at := 16; ; {
			next := bytes.Index(text[at:], key)
			if next < 0 {
				break
			}
			s.frames = append(s.frames, at+next)
			at += next + len(key)
		}
		if len(s.frames) > 10 {
			return s
		}
	}
	t.Fatalf("no segment in %v holds anything", paths)
	return nil
}

func quarantined(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".snapshotd", "quarantine", "log-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
