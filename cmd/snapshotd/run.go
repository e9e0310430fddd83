package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // what was asked for makes no sense; nothing was done
)

// A process is all that the program knows of the process it runs in, so that
// tests run it as often as they like, side by side.
type process struct {
	args           []string // without the program's name
	environ        []string // KEY=value
	stdout, stderr io.Writer
	started        func(addr string) // told the address that serve listens on; nil = nobody is
	hangUp         chan os.Signal    // brings SIGHUP to serve; nil = nobody hangs up
}

// run does what the arguments say, until it is done or ctx ends, and answers the
// exit code.
func (p *process) run(ctx context.Context) int {
	cmd, err := parse(p.args, p.environ, p.stdout)
	if err != nil {
		p.complain("%v\nRun \"snapshotd --help\" for all options.", err)
		return exitUsage
	}
	switch cmd.name {
	case "serve":
		return p.serve(ctx, &cmd.Serve, unknownVariables(p.environ))
	case "version":
		p.say("%s", buildInfo())
		return exitOK
	case "healthcheck":
		return p.healthcheck(ctx, &cmd.Healthcheck)
	case "token new":
		return p.newToken(&cmd.Token.New)
	case "verify":
		return p.verify(ctx, &cmd.Verify)
	case "bench disk", "bench http", "bench growth", "bench ceiling":
		return p.benchmark(ctx, strings.TrimPrefix(cmd.name, "bench "), &cmd.Bench)
	default: // help, which has been printed
		return exitOK
	}
}

// say prints a line for whoever called; if that fails there is nobody to tell.
func (p *process) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stdout, format+"\n", args...)
}

// complain prints what went wrong before there is a log, or without one.
func (p *process) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stderr, "snapshotd: "+format+"\n", args...)
}
