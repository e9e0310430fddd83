package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"snapshotd/internal/store/filestore/vfs"
	"snapshotd/internal/store/filestore/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(dir string, size int64) wal.Config {
	return wal.Config{
		FS: vfs.OS{}, Dir: dir, Mode: 0o600, SegmentSize: size, Segments: 3,
		Synced: func(time.Duration) {}, Filled: func() {}, Failed: func(error) {},
	}
}

func recovered(t *testing.T, dir string) *wal.Found {
	t.Helper()
	found, err := wal.Recover(dir, wal.ID{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func open(t *testing.T, dir string, size int64) *wal.Log {
	t.Helper()
	return wal.New(config(dir, size), recovered(t, dir))
}

func write(t *testing.T, l *wal.Log, records ...string) {
	t.Helper()
	for _, r := range records {
		ticket, err := l.Append([]byte(r[:1]), []byte(r[1:]))
		if err == nil {
			err = ticket.Wait()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t *testing.T, found *wal.Found, want ...string) {
	t.Helper()
	var got []string
	for _, r := range found.Records {
		got = append(got, string(r))
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("recovered %.200q, want %.200q", got, want)
	}
}

func numbered(from, to int) (records []string) {
	for n := from; n < to; n++ {
		records = append(records, fmt.Sprintf("record %d", n))
	}
	return records
}

func TestRecordsAreRecoveredInOrder(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4096)
	write(t, l, numbered(0, 200)...) // over several segments
	expect(t, recovered(t, dir), numbered(0, 200)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, recovered(t, dir), numbered(0, 200)...)
}

func TestSizeIsThatOfTheFiles(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4096)
	write(t, l, numbered(0, 200)...)
	if err := l.Release(l.Next()); err != nil { // some segments are free then
		t.Fatal(err)
	}
	write(t, l, numbered(0, 100)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var want int64
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		want += info.Size()
	}
	if got := l.Size(); got != want {
		t.Errorf("the size is %d, and the files have %d bytes", got, want)
	}
}

func TestReleasedRecordsAreNotRecovered(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4096)
	for round := range 20 { // long enough to use every segment several times
		write(t, l, numbered(round*50, round*50+50)...)
		if !l.Pending() {
			t.Fatal("records are not pending")
		}
		next := l.Next()
		write(t, l, "late")
		if err := l.Release(next); err != nil {
			t.Fatal(err)
		}
		expect(t, recovered(t, dir), "late")
		if err := l.Release(l.Next()); err != nil {
			t.Fatal(err)
		}
		if l.Pending() {
			t.Error("something is still pending")
		}
		expect(t, recovered(t, dir))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := os.ReadDir(dir)
	if len(files) > 6 {
		t.Errorf("%d segments: they are not used anew", len(files))
	}
	l = open(t, dir, 4096)
	write(t, l, "after")
	expect(t, recovered(t, dir), "after")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestManyWritersShareCommits(t *testing.T) {
	dir := t.TempDir()
	var commits int
	cfg := config(dir, 1<<20)
	cfg.Synced = func(time.Duration) { commits++ }
	l := wal.New(cfg, recovered(t, dir))
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for n := range 50 {
				write(t, l, fmt.Sprintf("writer %d record %d", w, n))
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(recovered(t, dir).Records); n != 64*50 {
		t.Errorf("recovered %d records", n)
	}
	if commits >= 64*50/2 {
		t.Errorf("%d commits of %d records: they are not shared", commits, 64*50)
	}
}

func TestRecordSizes(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 4096)
	largest := strings.Repeat("x", l.MaxRecord())
	write(t, l, largest, "y", largest)
	if _, err := l.Append([]byte(largest), []byte("x")); err == nil {
		t.Error("a record that is too large is taken")
	}
	expect(t, recovered(t, dir), largest, "y", largest)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append([]byte("x")); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// segment answers the one segment that holds the text, and where.
func segment(t *testing.T, dir, text string) (path string, data []byte, at int) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(text)); at >= 0 {
			return path, data, at
		}
	}
	t.Fatalf("%q is in no segment", text)
	return "", nil, 0
}

func damage(t *testing.T, dir, text string, change func(data []byte, at int) []byte) {
	t.Helper()
	path, data, at := segment(t, dir, text)
	if err := os.WriteFile(path, change(data, at), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	flip := func(data []byte, at int) []byte { data[at] ^= 1; return data }
	for name, tt := range map[string]struct {
		damage  func(t *testing.T, dir string)
		want    []string
		damaged bool
	}{
		"a torn last commit": {
			func(t *testing.T, dir string) { damage(t, dir, "record 9", flip) }, numbered(0, 9), false,
		},
		"a last commit of which the head is missing": {
			func(t *testing.T, dir string) {
				damage(t, dir, "record 9", func(data []byte, at int) []byte { clear(data[at-36 : at-4]); return data })
			}, numbered(0, 9), false,
		},
		"a flipped bit in the middle": {
			func(t *testing.T, dir string) { damage(t, dir, "record 4", flip) },
			append(numbered(0, 4), numbered(5, 10)...), true,
		},
		"a flipped bit in a length": {
			func(t *testing.T, dir string) {
				damage(t, dir, "record 4", func(data []byte, at int) []byte { data[at-11] ^= 0x40; return data })
			}, append(numbered(0, 4), numbered(5, 10)...), true,
		},
		"a truncated segment": {
			func(t *testing.T, dir string) {
				damage(t, dir, "record 5", func(data []byte, at int) []byte { return data[:at] })
			}, numbered(0, 5), false,
		},
		"a segment that is not ours": {
			func(t *testing.T, dir string) {
				if err := os.WriteFile(filepath.Join(dir, "00000009.log"), []byte("somebody else's log"), 0o600); err != nil {
					t.Fatal(err)
				}
			}, numbered(0, 10), true,
		},
		"a segment that was being made": {
			func(t *testing.T, dir string) {
				if err := os.WriteFile(filepath.Join(dir, "00000009.log"), make([]byte, 100), 0o600); err != nil {
					t.Fatal(err)
				}
			}, numbered(0, 10), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, 1<<20)
			write(t, l, numbered(0, 10)...)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, dir)
			found := recovered(t, dir)
			expect(t, found, tt.want...)
			if (len(found.Damage) > 0) != tt.damaged {
				t.Errorf("damage %q", found.Damage)
			}
		})
	}
}

// What a client writes into a record cannot be taken for a frame, not even when
// the record's own frame is torn: the key of the segment is not known to anybody.
func TestPlantedFrame(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	l := open(t, other, 4096)
	write(t, l, "planted")
	_, data, at := segment(t, other, "planted")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, 4096)
	write(t, l, "first", "head "+string(data[at-36:at+7]))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, dir, "head ", func(data []byte, at int) []byte { data[at] ^= 1; return data })
	expect(t, recovered(t, dir), "first")
}

// identified opens the log of this ID.
func identified(t *testing.T, dir string, id wal.ID) *wal.Log {
	t.Helper()
	found, err := wal.Recover(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(dir, 4096)
	cfg.ID = id
	return wal.New(cfg, found)
}

// A segment of another log is damage, and whatever its frames say of what is settled, ours
// are recovered. Who does not know which log is his takes all.
func TestASegmentOfAnotherLog(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	ours, theirs := wal.NewID(), wal.NewID()
	for range 2 { // what is continued keeps its identity
		l := identified(t, other, theirs)
		write(t, l, numbered(100, 200)...)
		if err := l.Release(l.Next()); err != nil {
			t.Fatal(err)
		}
		write(t, l, "theirs")
		closed(t, l)
	}
	l := identified(t, dir, ours)
	write(t, l, numbered(0, 100)...)
	closed(t, l)
	_, data, _ := segment(t, other, "theirs")
	alien := filepath.Join(dir, "00000077.log")
	if err := os.WriteFile(alien, data, 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := wal.Recover(dir, ours)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, found, numbered(0, 100)...)
	if want := alien + " is a segment of another log"; len(found.Damage) != 1 || found.Damage[0] != want {
		t.Errorf("damage %q, want %q", found.Damage, want)
	}
	if found = recovered(t, dir); len(found.Damage) > 0 {
		t.Errorf("without an ID: damage %q", found.Damage)
	}
}

func TestID(t *testing.T) {
	id := wal.NewID()
	text, err := id.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var read wal.ID
	if err := read.UnmarshalText(text); err != nil || read != id || len(text) != 8 {
		t.Errorf("%v is %s, which reads %v, %v", id, text, read, err)
	}
	for _, bad := range []string{"", "0a0b0c", "0a0b0c0d0e", "0a0b0c0x"} {
		if err := new(wal.ID).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for an ID", bad)
		}
	}
}

func FuzzRecover(f *testing.F) {
	const head = "sdwal\x00\x00\x01"
	f.Add([]byte(head + "keykeykey"))
	f.Add([]byte(head + "ours1234" + "ours1234" + strings.Repeat("\x00", 24)))
	f.Add([]byte(head + "them1234" + "them1234" + strings.Repeat("\x00", 24)))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "00000001.log"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := wal.Recover(dir, wal.ID{})
		if err != nil {
			t.Fatal(err)
		}
		ours, err := wal.Recover(dir, wal.ID([]byte("ours")))
		if err != nil {
			t.Fatal(err)
		}
		if len(ours.Records) > len(all.Records) {
			t.Fatalf("%d records with an ID, %d without", len(ours.Records), len(all.Records))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			dir := b.TempDir()
			found, err := wal.Recover(dir, wal.ID{})
			if err != nil {
				b.Fatal(err)
			}
			l := wal.New(config(dir, 8<<20), found)
			record := make([]byte, 2048)
			b.SetParallelism(writers)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ticket, err := l.Append(record)
					if err == nil {
						err = ticket.Wait()
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
