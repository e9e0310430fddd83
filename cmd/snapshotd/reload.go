package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"
)

const (
	reloadInterval = time.Second
	maxWatchedFile = 1 << 20 // bytes
)

// A watched is a set of files that are read again when they change: the daemon
// goes by their content, so it does not matter whether they are written in place,
// renamed over, or swapped by a symbolic link as Kubernetes does. What is found
// twice in a row is taken, so that a file that is being written is not taken
// halfway.
type watched struct {
	name  string // in the log and the metrics
	paths []string
	load  func(contents [][]byte) error // an error leaves things as they were

	tried  [sha256.Size]byte // what was loaded, or could not be
	before [sha256.Size]byte // what was found last
}

// start loads the files for the first time.
func (f *watched) start() error {
	contents, err := f.read()
	f.tried = digest(contents, err)
	f.before = f.tried
	if err != nil {
		return err
	}
	return f.load(contents)
}

// look loads the files if they have changed, or at once if it is asked for; it
// reports whether it has tried to.
func (f *watched) look(asked bool) (tried bool, err error) {
	contents, err := f.read()
	found := digest(contents, err)
	settled := found == f.before
	f.before = found
	if !asked && (found == f.tried || !settled) {
		return false, nil
	}
	f.tried = found
	if err != nil {
		return true, err
	}
	return true, f.load(contents)
}

func (f *watched) read() ([][]byte, error) {
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		var err error
		if contents[i], err = readWatched(path); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

func readWatched(path string) ([]byte, error) {
	// A pipe would be waited for, and empty the second time.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: a regular file was expected", path)
	}
	file, err := os.Open(path) // #nosec G304 -- the file that the options name
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxWatchedFile+1))
	if err == nil && len(text) > maxWatchedFile {
		err = fmt.Errorf("%s: at most 1 MiB was expected", path)
	}
	return text, err
}

// digest tells apart what was found; errors count by their kind.
func digest(contents [][]byte, err error) [sha256.Size]byte {
	h := sha256.New()
	if err != nil {
		var errno syscall.Errno
		_ = errors.As(err, &errno)
		_, _ = fmt.Fprintf(h, "error %d", errno) // a hash takes all
	}
	for _, text := range contents {
		_, _ = fmt.Fprintf(h, "%d:", len(text))
		_, _ = h.Write(text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// A reloader keeps files up to date.
type reloader struct {
	files []*watched
	log   *slog.Logger
	told  func(name string, ok bool)
}

// start runs it until the function that it answers is called.
func (r *reloader) start(hangUp <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.run(ctx, hangUp)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// run looks at the files every second until ctx ends, and at once when somebody
// hangs up.
func (r *reloader) run(ctx context.Context, hangUp <-chan os.Signal) {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
			asked = true
		case <-ticker.C:
		}
		for _, f := range r.files {
			tried, err := f.look(asked)
			switch {
			case !tried:
				continue
			case err != nil:
				r.log.Error("a changed file cannot be used; what it said before stays in force", "file", f.name, "err", err)
			default:
				r.log.Info("a file has been read again", "file", f.name)
			}
			r.told(f.name, err == nil)
		}
	}
}
