package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"snapshotd/internal/bench"
	"snapshotd/internal/store/filestore"
)

// benchCommands measure what a machine can do. Their options are no variables:
// those of the daemon may be set where somebody measures, and its data is no
// place for that.
type benchCommands struct {
	Disk    benchDiskOptions    `cmd:"" help:"Measure saving to a directory."`
	HTTP    benchHTTPOptions    `cmd:"" name:"http" help:"Measure a daemon, beside a ceiling."`
	Growth  benchGrowthOptions  `cmd:"" help:"Measure a daemon as it stores more and more."`
	Ceiling benchCeilingOptions `cmd:"" hidden:"" help:"Serve the ceiling."`
}

type benchDiskOptions struct {
	Dir     directory    `arg:"" name:"DIR" help:"Measured in a temporary directory in here, which is removed at the end."`
	Seconds seconds      `placeholder:"N" default:"0.5" help:"How long each cell is measured in one round; with files it ends after 10,000 of them."`
	Rounds  rounds       `placeholder:"N" default:"3" help:"How often; the table has the medians."`
	Clients clientCounts `placeholder:"N,N" default:"1,8,64" help:"How many write at once; each is a cell of its own."`
	Size    size         `placeholder:"SIZE" default:"2KiB" help:"Of a document, 1MiB at most."`
	JSON    bool         `name:"json" help:"Print the report for machines, with every round."`
}

// Help is what the help says beside the options.
func (*benchDiskOptions) Help() string {
	return `Saves small documents below DIR in five ways that take turns: files that nothing syncs; each file and its directory synced; files with one syncfs for all who wait; one preallocated log with one fdatasync for all who wait; that log followed by the file, unsynced. The table says what the disk can give to a store that must not lose what it acknowledged.`
}

type benchHTTPOptions struct {
	ServeOptions []string           `arg:"" optional:"" name:"OPTION" help:"Options of serve, after --, for the daemon that is started."`
	URL          string             `name:"url" placeholder:"URL" help:"Measure the daemon there, on this machine, instead of starting one. What is saved to it is deleted at the end."`
	Token        string             `placeholder:"TOKEN" help:"Sent to daemons that were not started here; it needs the scopes read, write, replay and delete."`
	BasePath     string             `placeholder:"DIR" help:"Started daemons keep their data in a temporary directory in here, which is removed at the end; by default among the system's temporary files."`
	Compare      []bench.Comparison `sep:"none" placeholder:"NAME=WHAT" help:"Alternate with another daemon: the one at a URL, or one started with more options, separated by spaces. May be repeated."`
	Seconds      seconds            `placeholder:"N" default:"2" help:"How long each cell is measured in one round."`
	Rounds       rounds             `placeholder:"N" default:"3" help:"How often, in rotation; the table has the medians."`
	Clients      clientCounts       `placeholder:"N,N" default:"1,8,64" help:"How many send requests at once, each the next when the last was answered; each is a cell of its own."`
	Operations   []string           `placeholder:"NAME,NAME" default:"save,get,latest,list,replay" enum:"save,get,latest,list,replay" help:"What to measure."`
	Client       string             `placeholder:"KIND" default:"socket" enum:"socket,net/http" help:"socket, which leaves most of the machine to the servers, or net/http, which an ordinary Go program uses."`
	JSON         bool               `name:"json" help:"Print the report for machines, with every round."`
}

// Help is what the help says beside the options.
func (*benchHTTPOptions) Help() string {
	return `Saves and reads sagas of ten snapshots of about 2 KB, in a closed loop: save, get, latest, list of ten, prepare a replay. The daemon takes turns with a ceiling, which is the same router over net/http, reading the body and answering the same bytes from memory; so ratios count, not the machine. It runs for about four minutes.`
}

type benchGrowthOptions struct {
	BasePath string  `placeholder:"DIR" help:"What is filled lies in a temporary directory in here, which is removed at the end; by default among the system's temporary files."`
	Max      stored  `placeholder:"N" default:"100000" help:"How many snapshots to store at most: 1,000, ten times as many, and so on up to this; a tenth of them in one saga."`
	Seconds  seconds `placeholder:"N" default:"0.15" help:"How long each operation is measured in one round."`
	Rounds   rounds  `placeholder:"N" default:"11" help:"How often, in rotation; the table has the medians."`
	Chart    string  `placeholder:"FILE" help:"Draw a chart, as SVG."`
	JSON     bool    `name:"json" help:"Print the report for machines, with every round."`
}

// Help is what the help says beside the options.
func (*benchGrowthOptions) Help() string {
	return `Fills directories with more and more snapshots, and single sagas, starts a daemon on each, and measures in turn, with one client, what reads, searches, saves and clean-ups cost, how long a start takes, and how much memory. A million snapshots take about five minutes, 5 GB and 1.3 million inodes.`
}

func (p *process) benchGrowth(ctx context.Context, o *benchGrowthOptions) (*bench.GrowthReport, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	report, err := bench.Growth(ctx, bench.GrowthConfig{
		Program: bench.NewProgram(path, p.environ), Dir: o.BasePath, Max: int(o.Max),
		Time: time.Duration(o.Seconds), Rounds: int(o.Rounds), Progress: p.progress(),
		Open: func(ctx context.Context, dir string) (bench.Filler, error) {
			return filestore.Open(ctx, filestore.Config{BasePath: dir, Indent: true, Relaxed: true})
		},
	})
	if err != nil || o.Chart == "" {
		return report, err
	}
	f, err := os.Create(o.Chart)
	if err != nil {
		return report, err
	}
	return report, errors.Join(report.WriteChart(f), f.Close())
}

type benchCeilingOptions struct {
	Listen address `placeholder:"HOST:PORT" default:"127.0.0.1:0" help:"The address to serve on."`
}

// benchmark runs one of the benchCommands.
func (p *process) benchmark(ctx context.Context, name string, o *benchCommands) int {
	var report interface {
		WriteTable(w io.Writer) error
		WriteJSON(w io.Writer) error
	}
	var measured bool
	var err error
	var machines bool
	switch name {
	case "ceiling":
		return p.ceiling(ctx, &o.Ceiling)
	case "disk":
		machines = o.Disk.JSON
		r, e := o.Disk.run(ctx, p.progress())
		report, measured, err = r, r != nil, e
	case "growth":
		machines = o.Growth.JSON
		r, e := p.benchGrowth(ctx, &o.Growth)
		report, measured, err = r, r != nil, e
	default:
		machines = o.HTTP.JSON
		r, e := p.benchHTTP(ctx, &o.HTTP)
		report, measured, err = r, r != nil, e
	}
	// What was measured before it failed is worth reading all the same.
	if measured {
		write := report.WriteTable
		if machines {
			write = report.WriteJSON
		}
		err = errors.Join(err, write(p.stdout))
	}
	if err != nil {
		p.complain("%v", err)
		return exitFailure
	}
	return exitOK
}

func (p *process) progress() *bench.Progress {
	return &bench.Progress{W: p.stderr, Terminal: isTerminal(p.stderr)}
}

func (o *benchDiskOptions) run(ctx context.Context, show *bench.Progress) (*bench.Report, error) {
	const most = 1 << 20
	if o.Size > most {
		return nil, fmt.Errorf("documents of at most %d bytes are measured", most)
	}
	plan := bench.Plan{Clients: o.Clients, Time: time.Duration(o.Seconds), Rounds: int(o.Rounds)}
	return bench.Disk(ctx, string(o.Dir), int(o.Size), plan, show)
}

func (p *process) benchHTTP(ctx context.Context, o *benchHTTPOptions) (*bench.Report, error) {
	if o.URL != "" && len(o.ServeOptions) > 0 {
		return nil, errors.New("options of serve are for a daemon that is started; leave out --url or them")
	}
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return bench.HTTP(ctx, bench.HTTPConfig{
		Plan:    bench.Plan{Clients: o.Clients, Time: time.Duration(o.Seconds), Rounds: int(o.Rounds)},
		Program: bench.NewProgram(path, p.environ),
		Dir:     o.BasePath, URL: o.URL, Token: o.Token, Options: o.ServeOptions, Compare: o.Compare,
		Operations: o.Operations,
		NetHTTP:    o.Client == "net/http",
		Progress:   p.progress(),
	})
}

// ceiling serves until ctx ends.
func (p *process) ceiling(ctx context.Context, o *benchCeilingOptions) int {
	log := slog.New(slog.NewJSONHandler(p.stderr, nil))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(o.Listen))
	if err != nil {
		log.Error("cannot listen", "err", err)
		return exitFailure
	}
	server := &http.Server{Handler: bench.NewCeiling(), ReadHeaderTimeout: headerTimeout}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	log.Info("listening", "address", listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("serving has failed", "err", err)
		return exitFailure
	}
	return exitOK
}

// The types of the options' values.

// seconds is a time of at most an hour, spelled as a number such as 0.5.
type seconds time.Duration

func (s *seconds) UnmarshalText(text []byte) error {
	const most = 3600
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(n >= 0.001 && n <= most) {
		return fmt.Errorf("a number of seconds from 0.001 to %d was expected, not %q", most, text)
	}
	*s = seconds(n * float64(time.Second))
	return nil
}

// rounds are from 1 to 100.
type rounds int

func (r *rounds) UnmarshalText(text []byte) error {
	const most = 100
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("a whole number from 1 to %d was expected, not %q", most, text)
	}
	*r = rounds(n)
	return nil
}

// stored is a number of snapshots from 1,000 to 10,000,000.
type stored int

func (s *stored) UnmarshalText(text []byte) error {
	const least, most = 1000, 10_000_000
	n, err := strconv.Atoi(string(text))
	if err != nil || n < least || n > most {
		return fmt.Errorf("a whole number from %d to %d was expected, not %q", least, most, text)
	}
	*s = stored(n)
	return nil
}

// clientCounts are numbers of clients from 1 to 1024.
type clientCounts []int

func (c *clientCounts) UnmarshalText(text []byte) error {
	const most = 1024
	*c = nil
	for number := range strings.SplitSeq(string(text), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("numbers of clients from 1 to %d were expected, such as 1,8,64, not %q", most, text)
		}
		*c = append(*c, n)
	}
	return nil
}
