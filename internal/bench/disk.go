package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	filesPerDirectory = 10     // as a saga has snapshots
	filesPerCell      = 10_000 // so that a fast disk is not filled up
	logSize           = 64 << 20
)

// Disk measures ways to save documents of so many bytes below dir, which must
// exist. Everything happens in a temporary directory in there, which is removed
// at the end. With an error it answers what was measured before, if anything.
func Disk(ctx context.Context, dir string, document int, plan Plan, show *Progress) (report *Report, err error) {
	temp, err := os.MkdirTemp(dir, "snapshotd-bench-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		show.Stage("removing %s", temp)
		err = errors.Join(err, os.RemoveAll(temp))
		show.end()
	}()
	device := flushesBelow(temp)
	report = &Report{
		Title: "Saving documents below " + dir, Plan: plan, Document: document, Baseline: "nothing synced",
	}
	if device() < 0 {
		report.Notes = append(report.Notes, "The system does not tell the flushes of the device below.")
	} else {
		report.Notes = append(report.Notes, "Flushes are all those of the device below, others' too.")
	}
	var loops []loop
	for _, way := range ways {
		if way.group == syncGroup && !canSyncFilesystem {
			report.Notes = append(report.Notes, "There is no syncfs here.")
			continue
		}
		w, err := newWriter(filepath.Join(temp, fmt.Sprint(len(loops))), way, document)
		if err != nil {
			return nil, err
		}
		defer w.close()
		loops = append(loops, loop{
			subject: way.name, flushes: device, connect: w.connect,
			limit: map[bool]int{true: filesPerCell}[way.files],
		})
	}
	report.Cells, err = plan.measure(ctx, loops, show)
	return report, err
}

// A way to save a document.
type way struct {
	name  string
	files bool // a file each, written to a temporary name and renamed
	each  bool // file and directory are synced, each by itself
	group grouping
}

// grouping is what writers that wait at the same time share.
type grouping int

const (
	nothing   grouping = iota
	syncGroup          // a sync of the filesystem
	logGroup           // an append to a log, and its fdatasync
)

var ways = []way{
	{name: "nothing synced", files: true},
	{name: "file and directory synced", files: true, each: true},
	{name: "files, syncfs per group", files: true, group: syncGroup},
	{name: "log, fdatasync per group", group: logGroup},
	{name: "log, then file unsynced", files: true, group: logGroup},
}

// A writer saves in one way.
type writer struct {
	way
	dir      string
	document []byte
	root     *os.File // dir
	log      *os.File // nil without one
	position int64    // in the log, which begins anew at its end
	shared   group
	clients  int // so far
}

func newWriter(dir string, way way, document int) (*writer, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	w := &writer{way: way, dir: dir, document: newCorpus().filler(document)}
	var err error
	if w.root, err = os.Open(dir); err != nil {
		return nil, err
	}
	switch way.group {
	case syncGroup:
		w.shared.flush = func([]byte) error { return syncFilesystem(w.root) }
	case logGroup:
		w.shared.flush = w.appendLog
		if w.log, err = preallocated(filepath.Join(dir, "log")); err != nil {
			w.root.Close()
			return nil, err
		}
	}
	return w, nil
}

func (w *writer) close() {
	w.root.Close()
	if w.log != nil {
		w.log.Close()
	}
}

// preallocated makes a file full of zeroes, on the disk: overwriting it moves no
// metadata, so that fdatasync writes the data alone.
func preallocated(path string) (*os.File, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeroes := make([]byte, 1<<20)
	for range logSize / len(zeroes) {
		if _, err := f.Write(zeroes); err != nil {
			f.Close()
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// appendLog is the flush of a logGroup.
func (w *writer) appendLog(data []byte) error {
	if w.position+int64(len(data)) > logSize {
		w.position = 0
	}
	if _, err := w.log.WriteAt(data, w.position); err != nil {
		return err
	}
	w.position += int64(len(data))
	return syncData(w.log)
}

// connect begins a client with a directory for its temporary files.
func (w *writer) connect(context.Context, int) (client, error) {
	w.clients++
	name := filepath.Join(w.dir, fmt.Sprintf("client-%d", w.clients))
	return &diskClient{writer: w, name: name, temp: name + ".tmp"}, nil
}

// A diskClient saves one document after the other, each ten in a new directory.
type diskClient struct {
	*writer
	name, temp string
	saved      int
	dir        *os.File // of the current ten; nil before the first
}

func (c *diskClient) close() {
	if c.dir != nil {
		c.dir.Close()
	}
}

func (c *diskClient) do(context.Context) error {
	if c.group == logGroup {
		if err := c.shared.commit(c.document); err != nil {
			return err
		}
	}
	if c.files {
		if err := c.file(); err != nil {
			return err
		}
	}
	if c.group == syncGroup {
		return c.shared.commit(nil)
	}
	return nil
}

func (c *diskClient) file() error {
	n := c.saved
	c.saved++
	if c.dir == nil || n%filesPerDirectory == 0 {
		if err := c.nextDirectory(n); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(c.temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(c.document)
	if err == nil && c.each {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(c.temp, filepath.Join(c.dir.Name(), fmt.Sprintf("%d.json", n))); err != nil {
		return err
	}
	if c.each {
		return syncDirectory(c.dir)
	}
	return nil
}

func (c *diskClient) nextDirectory(n int) error {
	c.close()
	c.dir = nil
	name := fmt.Sprintf("%s-%d", c.name, n)
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	var err error
	if c.dir, err = os.Open(name); err != nil {
		return err
	}
	if c.each {
		return syncDirectory(c.root)
	}
	return nil
}
