// Peers measures what users would store snapshots in instead, PostgreSQL and
// Redis, in rotation with the daemon, as "snapshotd bench http" does. It is a
// program of its own so that their clients are not linked into the daemon.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"snapshotd/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	progress := &bench.Progress{W: os.Stderr, Terminal: isatty.IsTerminal(os.Stderr.Fd())}
	if err := run(ctx, os.Args[1:], os.Stdout, progress); err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer, progress *bench.Progress) error {
	cfg := bench.HTTPConfig{Plan: bench.Plan{Clients: []int{1, 8, 64}}, Progress: progress}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	program := flags.String("snapshotd", "snapshotd", "the daemon's `program`")
	postgres := flags.String("postgres", "", "PostgreSQL on this machine, as a `DSN`; a schema of our own is made in it, and dropped at the end")
	redis := flags.String("redis", "", "Redis on this machine, at `HOST:PORT`; our keys are deleted at the end")
	seconds := flags.Float64("seconds", 0.75, "how long each cell is measured in one round")
	asJSON := flags.Bool("json", false, "print the report for machines")
	flags.IntVar(&cfg.Rounds, "rounds", 3, "how often, in rotation")
	flags.IntVar(&cfg.Sagas, "sagas", 0, "to fill every store with before; 0 = 100")
	flags.StringVar(&cfg.Dir, "base-path", "", "where the daemon keeps its data, in a temporary `directory`")
	flags.Func("operations", "what to measure, some of "+strings.Join(bench.Operations, ","), func(text string) error {
		cfg.Operations = strings.Split(text, ",")
		for _, name := range cfg.Operations {
			if !slices.Contains(bench.Operations, name) {
				return fmt.Errorf("%q is none of %s", name, strings.Join(bench.Operations, ", "))
			}
		}
		return nil
	})
	flags.Func("clients", "how many send requests at once (default 1,8,64)", func(text string) error {
		cfg.Clients = nil
		for number := range strings.SplitSeq(text, ",") {
			n, err := strconv.ParseUint(number, 10, 10)
			if err != nil || n == 0 {
				return errors.New("numbers such as 1,8,64 were expected")
			}
			cfg.Clients = append(cfg.Clients, int(n))
		}
		return nil
	})
	flags.Func("compare", "another daemon, as `NAME=URL` or NAME=OPTIONS; may be repeated", func(text string) error {
		var c bench.Comparison
		err := c.UnmarshalText([]byte(text))
		cfg.Compare = append(cfg.Compare, c)
		return err
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	cfg.Time = time.Duration(*seconds * float64(time.Second))
	cfg.Options = flags.Args()
	cfg.Program = bench.NewProgram(*program, os.Environ())

	if *postgres != "" {
		p, err := openPostgres(ctx, *postgres)
		if err != nil {
			return fmt.Errorf("PostgreSQL: %w", err)
		}
		defer p.remove(progress)
		cfg.Peers = append(cfg.Peers, p)
	}
	if *redis != "" {
		r, err := openRedis(ctx, *redis)
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		defer r.remove(progress)
		cfg.Peers = append(cfg.Peers, r)
	}
	report, err := bench.HTTP(ctx, cfg)
	if report == nil {
		return err
	}
	if *asJSON {
		return errors.Join(err, report.WriteJSON(stdout))
	}
	return errors.Join(err, report.WriteTable(stdout))
}

// removeTime is how long removing what was stored may take.
const removeTime = time.Minute
