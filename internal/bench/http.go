package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// HTTPConfig says which daemons to measure.
type HTTPConfig struct {
	Plan
	Program *Program // runs the ceiling, and the daemons that have no URL
	Dir     string   // where those keep their data, in temporary directories; "" = the system's place for such
	URL     string   // of the daemon to measure; "" = one is started
	Token   string   // for daemons that have a URL; "" = none is sent
	Options []string // of serve, for that one

	Compare []Comparison // other daemons, to alternate with
	Peers   []Target     // whatever else stores the same documents
	NetHTTP bool         // send requests with net/http's client instead of a plain socket
	Sagas   int          // to fill every store with before; 0 = 100

	Operations []string // to measure, some of Operations; nil = all

	Progress *Progress
}

// A Comparison is another daemon: at a URL, or one to start with options of its
// own in addition to the first one's.
type Comparison struct {
	Name, URL string
	Options   []string
}

// UnmarshalText reads NAME=URL or NAME=OPTIONS, the latter separated by spaces; the first
// begins with a hyphen, for an option may have a URL, too. Which URLs serve is
// found out where they are used.
func (c *Comparison) UnmarshalText(text []byte) error {
	name, what, found := strings.Cut(string(text), "=")
	if !found || name == "" || what == "" {
		return fmt.Errorf("NAME=URL or NAME=OPTIONS was expected, such as other=http://127.0.0.1:7421, not %q", text)
	}
	*c = Comparison{Name: name}
	if strings.Contains(what, "://") && !strings.HasPrefix(what, "-") {
		c.URL = what
		return nil
	}
	c.Options = strings.Fields(what)
	return nil
}

// daemonName is what the report calls the daemon that the others are beside.
const daemonName = "snapshotd"

const (
	defaultSagas = 100
	removeTime   = 2 * time.Minute
)

// HTTP measures a daemon, the ceiling and what they are compared with. Daemons it
// started are stopped at the end and their directories removed; from others what
// was saved is deleted. With an error it answers what was measured before, if
// anything.
func HTTP(ctx context.Context, cfg HTTPConfig) (report *Report, err error) {
	r := &httpRun{HTTPConfig: cfg}
	defer func() { err = errors.Join(err, r.cleanUp(ctx)) }()
	if r.Sagas == 0 {
		r.Sagas = defaultSagas
	}
	if r.Operations == nil {
		r.Operations = Operations
	}
	if err := r.gather(ctx); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	clientKind := "a plain socket, which costs little"
	if r.NetHTTP {
		clientKind = "net/http's, which takes more of the machine"
	}
	report = &Report{
		Title: "Storing and reading snapshots over HTTP", Plan: cfg.Plan, Document: documentSize,
		Baseline: ceilingName, Subject: daemonName,
		Notes: []string{
			"The ceiling is the same router over net/http, which reads the body and answers the same bytes from memory.",
			fmt.Sprintf("Reads are of %d sagas of %d snapshots. Clients and servers share this machine; a client is %s.", r.Sagas, Snapshots, clientKind),
		},
	}
	loops := r.loops()
	if r.flushes {
		report.Notes = append(report.Notes, "Flushes are all those of the device below, others' too.")
	}
	if len(cfg.Peers) > 0 {
		report.Notes = append(report.Notes, "Whatever is not ours speaks its own protocol over TCP, one connection for each client.")
	}
	report.Cells, err = cfg.measure(ctx, loops, cfg.Progress)
	return report, err
}

// An httpRun is one call of HTTP.
type httpRun struct {
	HTTPConfig
	ceiling  *subject
	subjects []*subject
	flushes  bool // known of some

	temp     string // our directory below Dir; "" = none yet
	children []*child
	visited  []*subject // daemons that were not started here
}

// gather starts and finds what is to be measured.
func (r *httpRun) gather(ctx context.Context) error {
	r.Progress.Stage("starting")
	c, err := r.start(ctx, ceilingName, "", "bench", "ceiling")
	if err != nil {
		return err
	}
	r.ceiling = r.add(c)
	for _, d := range append([]Comparison{{Name: daemonName, URL: r.URL}}, r.Compare...) {
		server, err := r.daemon(ctx, d)
		if err != nil {
			return err
		}
		s := r.add(server)
		if d.URL != "" {
			r.visited = append(r.visited, s)
		}
	}
	for _, peer := range r.Peers {
		r.add(peer)
	}
	return nil
}

func (r *httpRun) add(t Target) *subject {
	s := &subject{Target: t, corpus: newCorpus()}
	r.subjects = append(r.subjects, s)
	return s
}

// daemon finds the one at a URL or starts one.
func (r *httpRun) daemon(ctx context.Context, d Comparison) (*Server, error) {
	if d.URL == "" {
		dir, err := r.newDirectory(d.Name)
		if err != nil {
			return nil, err
		}
		args := []string{"serve", "--cleanup-interval=0"}
		args = append(append(args, r.Options...), d.Options...)
		args = append(args, "--listen=127.0.0.1:0", "--log-format=json", "--log-level=info", "--base-path="+dir)
		return r.start(ctx, d.Name, dir, args...)
	}
	s, err := newServer(d.Name, d.URL)
	if err != nil {
		return nil, err
	}
	s.ordinary, s.token = r.NetHTTP, r.Token
	ready, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := s.ready(ready); err != nil {
		return nil, err
	}
	return s, s.findDirectory(ctx)
}

func (r *httpRun) newDirectory(name string) (string, error) {
	if r.temp == "" {
		dir, err := os.MkdirTemp(r.Dir, "snapshotd-bench-*")
		if err != nil {
			return "", err
		}
		r.temp = dir
	}
	dir := filepath.Join(r.temp, fmt.Sprintf("%d", len(r.children)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("the directory of %s: %w", name, err)
	}
	return dir, nil
}

// start runs a child and waits until it is ready.
func (r *httpRun) start(ctx context.Context, name, dir string, args ...string) (*Server, error) {
	c, err := r.Program.start(ctx, args...)
	if err != nil {
		return nil, err
	}
	r.children = append(r.children, c)
	s := &Server{name: name, address: c.address, directory: dir, ordinary: r.NetHTTP}
	ready, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return s, s.ready(ready)
}

// prepare fills every store, and teaches the ceiling the daemon's answers.
func (r *httpRun) prepare(ctx context.Context) error {
	for _, s := range r.subjects {
		if s == r.ceiling {
			continue
		}
		r.Progress.Stage("filling %s with %d sagas", s.Name(), r.Sagas)
		if err := s.fill(ctx, r.Sagas); err != nil {
			return err
		}
	}
	daemon := r.subjects[1]
	r.ceiling.sagas = daemon.sagas
	return r.ceiling.Target.(*Server).teach(ctx, daemon)
}

func (r *httpRun) loops() []loop {
	var loops []loop
	for _, operation := range r.Operations {
		for _, s := range r.subjects {
			flushes := func() int64 { return -1 }
			if dir := s.Directory(); dir != "" {
				flushes = flushesBelow(dir)
				r.flushes = r.flushes || flushes() >= 0
			}
			loops = append(loops, loop{
				operation: operation, subject: s.Name(), flushes: flushes, connect: s.connector(operation),
			})
		}
	}
	return loops
}

// cleanUp leaves nothing behind, also when ctx has ended.
func (r *httpRun) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	r.Progress.Stage("cleaning up")
	defer r.Progress.end()
	var errs []error
	for _, s := range r.visited {
		if err := s.Target.(*Server).remove(ctx, s.corpus, s.next.Load()); err != nil {
			errs = append(errs, fmt.Errorf("deleting what was saved to %s: %w", s.Name(), err))
		}
	}
	for _, c := range r.children {
		c.stop()
	}
	if r.temp != "" {
		errs = append(errs, os.RemoveAll(r.temp))
	}
	return errors.Join(errs...)
}
