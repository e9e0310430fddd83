package main

import (
	"context"
	"fmt"
	"io"
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
}

// run does what the arguments say, until it is done or ctx ends, and answers the
// exit code.
func (p *process) run(ctx context.Context) int {
	cmd, err := parse(p.args, p.environ, p.stdout)
	if err != nil {
		fmt.Fprintf(p.stderr, "snapshotd: %v\nRun \"snapshotd --help\" for all options.\n", err)
		return exitUsage
	}
	switch cmd.name {
	case "serve":
		return p.serve(ctx, &cmd.Serve, unknownVariables(p.environ))
	case "version":
		fmt.Fprintln(p.stdout, buildInfo())
		return exitOK
	case "healthcheck":
		return p.healthcheck(ctx, &cmd.Healthcheck)
	default: // help, which has been printed
		return exitOK
	}
}
