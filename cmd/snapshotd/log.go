package main

import (
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
)

// newLogHandler writes to w in the format and from the level that o asks for.
// The variable NO_COLOR (https://no-color.org) keeps tint from colouring.
func newLogHandler(w io.Writer, o *serveOptions, environ []string) slog.Handler {
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
		})
	}
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: spellDuration})
}

// spellDuration has durations written as 1.5s; a bare number would be in
// nanoseconds, and not say so.
func spellDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}
