package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
)

// newLogHandler writes to w in the format and from the level that o asks for, lines
// for machines when flush is called at the latest. The variable NO_COLOR (https://no-color.org) keeps tint from colouring.
func newLogHandler(w io.Writer, o *serveOptions, environ []string) (handler slog.Handler, flush func()) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // the option admits nothing else
	terminal := isTerminal(w)
	if o.LogFormat == "tint" || o.LogFormat == "auto" && terminal {
		colourless := slices.ContainsFunc(environ, func(v string) bool {
			return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR="
		})
		return tint.NewTextHandler(w, &tint.Options{
			Level:      level,
			TimeFormat: time.TimeOnly,
			NoColor:    colourless || !terminal || runtime.GOOS == "windows",
		}), func() {}
	}
	gathered := &gatheredLog{w: w}
	lines := slog.NewJSONHandler(gathered, &slog.HandlerOptions{Level: level})
	return gathered.handler(lines), gathered.flush
}

// A gatheredLog hands its lines on many at a time, because writing each by itself costs
// as much as answering a request does. None waits longer than gatherTime, and
// a warning or an error does not wait at all.
type gatheredLog struct {
	w       io.Writer
	mu      sync.Mutex
	lines   []byte
	waiting bool // a flush is on its way
}

const (
	gatherTime  = 20 * time.Millisecond
	gatherBytes = 64 << 10
)

// Write takes one line.
func (g *gatheredLog) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, line...)
	switch {
	case len(g.lines) >= gatherBytes:
		g.handOn()
	case !g.waiting:
		g.waiting = true
		time.AfterFunc(gatherTime, g.flush)
	}
	return len(line), nil
}

func (g *gatheredLog) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = false
	g.handOn()
}

// handOn writes what is there. If that fails there is nobody to tell.
func (g *gatheredLog) handOn() {
	if len(g.lines) == 0 {
		return
	}
	_, _ = g.w.Write(g.lines)
	g.lines = g.lines[:0]
}

// handler is next, which writes to g, but for lines that do not wait.
func (g *gatheredLog) handler(next slog.Handler) slog.Handler { return gatheredHandler{next, g} }

type gatheredHandler struct {
	slog.Handler
	log *gatheredLog
}

func (h gatheredHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.log.flush()
	}
	return err
}

func (h gatheredHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gatheredHandler{h.Handler.WithAttrs(attrs), h.log}
}

func (h gatheredHandler) WithGroup(name string) slog.Handler {
	return gatheredHandler{h.Handler.WithGroup(name), h.log}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}
