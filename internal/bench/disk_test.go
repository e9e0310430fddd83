package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var quick = Plan{Clients: []int{1, 4}, Time: 20 * time.Millisecond, Rounds: 2}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	var shown strings.Builder
	report, err := Disk(t.Context(), dir, 2048, quick, &Progress{W: &shown})
	if err != nil {
		t.Fatal(err)
	}
	want := len(ways)
	if !canSyncFilesystem {
		want--
	}
	if len(report.Cells) != want*len(quick.Clients) {
		t.Errorf("there are %d cells for %d ways", len(report.Cells), want)
	}
	for _, c := range report.Cells {
		n, first := c.Errors()
		if len(c.Rounds) != 2 || c.PerSecond() <= 0 || c.P50() <= 0 || n > 0 {
			t.Errorf("%s, %d clients: %+v, %v", c.Subject, c.Clients, c.Rounds, first)
		}
	}
	empty(t, dir)
	if n := strings.Count(shown.String(), " a second"); n != 2*len(report.Cells) {
		t.Errorf("progress has %d lines of %d cells", n, len(report.Cells))
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil || !strings.Contains(table.String(), "of nothing synced") {
		t.Errorf("%v\n%s", err, &table)
	}
}

func TestDiskCancelled(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Disk(ctx, dir, 2048, quick, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	empty(t, dir)
	if _, err := Disk(t.Context(), filepath.Join(dir, "missing"), 2048, quick, nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestWays sees what each way leaves on the disk.
func TestWays(t *testing.T) {
	const saves, document = 25, 100
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			if way.group == syncGroup && !canSyncFilesystem {
				t.Skip("there is no syncfs here")
			}
			dir := filepath.Join(t.TempDir(), "made")
			w, err := newWriter(dir, way, document)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			c, err := w.connect(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			for range saves {
				if err := c.do(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			files, _ := filepath.Glob(filepath.Join(dir, "client-1-*", "*.json"))
			if want := map[bool]int{true: saves}[way.files]; len(files) != want {
				t.Errorf("%d files, not %d", len(files), want)
			}
			for _, path := range files {
				if st, err := os.Stat(path); err != nil || st.Size() != document {
					t.Errorf("%s: %v %v", path, st.Size(), err)
				}
			}
			if way.group != logGroup {
				return
			}
			if st, err := os.Stat(filepath.Join(dir, "log")); err != nil || st.Size() != logSize || w.position != saves*document {
				t.Errorf("the log: %v, %v, written up to %d", st.Size(), err, w.position)
			}
			w.position = logSize - 1
			if err := c.do(t.Context()); err != nil || w.position != document {
				t.Errorf("at its end the log goes on at %d: %v", w.position, err)
			}
		})
	}
}

func TestDiskErrorsAreCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	w, err := newWriter(dir, ways[0], 100)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := os.Remove(dir); err != nil {
		t.Skip("this system keeps open directories: ", err)
	}
	round, err := runCell(t.Context(), 2, limits{time: time.Hour}, func() int64 { return -1 }, w.connect)
	if err != nil || round.Operations != 0 || round.Errors != 2*hopeless || !errors.Is(round.FirstError, os.ErrNotExist) {
		t.Errorf("%+v %v", round, err)
	}
}

// empty complains of leftovers.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestCorpus(t *testing.T) {
	one, another := newCorpus(), newCorpus()
	ids := map[string]bool{}
	for n := range uint64(200) {
		d := one.Document(n, nil)
		if len(d.JSON) < documentSize*9/10 || len(d.JSON) > documentSize*11/10 {
			t.Errorf("document %d has %d bytes", n, len(d.JSON))
		}
		if d.SagaID != one.SagaID(n/10) || d.ID != one.SnapshotID(n) || d.StepIndex != int(n%10) {
			t.Errorf("document %d is %+v", n, d)
		}
		if string(appendID(nil, d.ID)) != d.ID.String() || d.ID.Version() != 4 {
			t.Errorf("the id %s is spelled %s", d.ID, appendID(nil, d.ID))
		}
		ids[d.ID.String()], ids[d.SagaID.String()] = true, true
		// The contents are the same in every corpus, the ids are not.
		other := another.Document(n, nil)
		if other.ID == d.ID || len(other.JSON) != len(d.JSON) || !slices.Equal(one.contexts[n%contexts], another.contexts[n%contexts]) {
			t.Errorf("document %d differs in another corpus", n)
		}
	}
	if len(ids) != 200+20 {
		t.Errorf("there are %d ids", len(ids))
	}
	if n := len(one.filler(5000)); n != 5000 {
		t.Errorf("a filler of %d bytes", n)
	}
}
