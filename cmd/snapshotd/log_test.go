package main

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writes remembers each write by itself.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.all
	w.all = nil
	return taken
}

// Lines for machines come many at a time, but soon, and in their order.
func TestLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		handler, flush := newLogHandler(&w, &serveOptions{LogLevel: "info", LogFormat: "json"}, nil)
		log := slog.New(handler).With("a", 1).WithGroup("g")
		for range 3 {
			log.Info("one")
		}
		if got := w.take(); got != nil {
			t.Errorf("at once there are %q", got)
		}
		time.Sleep(gatherTime)
		synctest.Wait()
		if got := w.take(); len(got) != 1 || strings.Count(got[0], "\n") != 3 {
			t.Errorf("in time there are %q", got)
		}

		log.Info("two")
		log.Warn("three")
		if got := w.take(); len(got) != 1 || !strings.Contains(got[0], "two") || strings.Index(got[0], "two") > strings.Index(got[0], "three") {
			t.Errorf("behind a warning there are %q", got)
		}

		log.Info("four")
		flush()
		if got := w.take(); len(got) != 1 {
			t.Errorf("at the end there are %q", got)
		}
		time.Sleep(time.Second) // no timer is left to write nothing
		synctest.Wait()
		for _, got := range w.take() {
			if got != "" {
				t.Errorf("later there is %q", got)
			}
		}
	})
}

// A flood is handed on before its time, and lines stay whole.
func TestManyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		handler, flush := newLogHandler(&w, &serveOptions{LogLevel: "info", LogFormat: "json"}, nil)
		log, padding := slog.New(handler), strings.Repeat("x", 1000)
		for range 1000 {
			log.Info(padding)
		}
		flush()
		got := w.take()
		if len(got) < 10 || len(got) > 20 {
			t.Errorf("there are %d writes", len(got))
		}
		for _, lines := range got {
			if !strings.HasSuffix(lines, "}\n") || len(lines) > gatherBytes+2000 {
				t.Errorf("%d bytes end in %q", len(lines), lines[len(lines)-5:])
			}
		}
	})
}

// People read along: their lines are not gathered.
func TestLinesForPeople(t *testing.T) {
	var b bytes.Buffer
	handler, _ := newLogHandler(&b, &serveOptions{LogLevel: "info", LogFormat: "tint"}, nil)
	slog.New(handler).Info("one")
	if !strings.Contains(b.String(), "one") {
		t.Errorf("at once there is %q", b.String())
	}
}
