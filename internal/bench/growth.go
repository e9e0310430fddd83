package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// GrowthConfig says how far to grow.
type GrowthConfig struct {
	Program *Program
	Dir     string // measured in a temporary directory in here; "" = the system's place for such
	Max     int    // snapshots in the largest directory, at least 1,000; a tenth of it in the largest saga
	Time    time.Duration
	Rounds  int

	// Open opens a directory to be filled; nothing needs to be synced.
	Open func(ctx context.Context, dir string) (Filler, error)

	Progress *Progress
}

const (
	leastStored = 1000
	expiredOnce = 20  // snapshots for a clean-up
	mostStarts  = 3   // of each daemon
	savesOnce   = 200 // in a round, lest a small directory becomes a large one

	// Reads are of as many, evenly among those stored: else what grows is above all the
	// share of what is read for the first time, from a disk or its cache. That is
	// measured by itself.
	readOften = leastStored
)

// What is measured beside the operations of other benchmarks, with one client.
const (
	getAny      = "get: any of them"
	search      = "search: 10 of a status"
	searchRare  = "search: the only one"
	searchNone  = "search: two that never meet"
	sagasRare   = "sagas: the only one"
	stats       = "stats"
	cleanUp     = "clean up 20"
	startUp     = "start"
	memory      = "memory"
	rareStatus  = "partially_committed"
	otherStatus = "failed"
)

var (
	growthOperations = []string{Get, getAny, Latest, List, search, searchRare, searchNone, sagasRare, stats, Save}
	sagaOperations   = []string{Get, Latest, List, Save}
)

// Growth measures what operations cost with more and more snapshots stored, and in a
// saga of more and more. Each number has a daemon of its own; they take turns.
func Growth(ctx context.Context, cfg GrowthConfig) (report *GrowthReport, err error) {
	r := &growthRun{GrowthConfig: cfg}
	defer func() { err = errors.Join(err, r.cleanUp()) }()
	if r.temp, err = os.MkdirTemp(cfg.Dir, "snapshotd-bench-*"); err != nil {
		return nil, err
	}
	var stored, inSaga []*grown
	for n := leastStored; n <= cfg.Max; n *= 10 {
		stored = append(stored, r.add(n, uint64(Snapshots)))
	}
	for _, n := range []int{1, 1000, 10_000, 100_000} {
		if n <= max(cfg.Max/10, leastStored) {
			inSaga = append(inSaga, r.add(n, 1<<40))
		}
	}
	for _, g := range r.all {
		r.Progress.Stage("filling a directory with %s", counted(g.count, "snapshot"))
		if err := g.fill(ctx, cfg.Open); err != nil {
			return nil, fmt.Errorf("filling %s: %w", g.directory, err)
		}
	}
	report = &GrowthReport{Time: cfg.Time, Rounds: cfg.Rounds}
	if err := r.starts(ctx); err != nil {
		return nil, err
	}
	if report.Stored, err = r.measure(ctx, "snapshots stored", stored, growthOperations); err != nil {
		return report, err
	}
	report.InSaga, err = r.measure(ctx, "snapshots in the saga", inSaga, sagaOperations)
	return report, err
}

// A growthRun is one call of Growth.
type growthRun struct {
	GrowthConfig
	temp string
	all  []*grown
}

// A grown is a directory that has grown, and the daemon on it.
type grown struct {
	count     int // snapshots
	directory string
	corpus    *Corpus
	oneSaga   bool
	next      atomic.Uint64 // snapshot to be saved
	server    *Server
	child     *child
	starts    []time.Duration
	memory    []int64 // of the process after each start, in bytes; -1 = not known
}

func (r *growthRun) add(count int, perSaga uint64) *grown {
	g := &grown{
		count: count, directory: filepath.Join(r.temp, fmt.Sprint(len(r.all))), corpus: newCorpus(),
		oneSaga: perSaga != uint64(Snapshots),
	}
	g.corpus.perSaga = perSaga
	g.next.Store(uint64(count))
	r.all = append(r.all, g)
	return g
}

// starts starts every daemon a few times, and leaves it running.
func (r *growthRun) starts(ctx context.Context) error {
	rounds := min(r.Rounds, mostStarts)
	for round := range rounds {
		for i := range r.all {
			g := r.all[(i+round)%len(r.all)]
			r.Progress.Stage("round %d of %d: starting with %s", round+1, rounds, counted(g.count, "snapshot"))
			if g.child != nil {
				g.child.stop()
			}
			began := time.Now()
			var err error
			g.child, err = r.Program.start(ctx, "serve", "--cleanup-interval=0", "--listen=127.0.0.1:0",
				"--log-format=json", "--log-level=info", "--base-path="+g.directory)
			if err != nil {
				return err
			}
			g.server = &Server{name: daemonName, address: g.child.address, directory: g.directory}
			ready, cancel := context.WithTimeout(ctx, loadTime)
			err = g.server.ready(ready)
			cancel()
			if err != nil {
				return err
			}
			g.starts = append(g.starts, time.Since(began))
			g.memory = append(g.memory, residentMemory(g.child.cmd.Process.Pid))
		}
	}
	return nil
}

const loadTime = 5 * time.Minute

// measure measures one series.
func (r *growthRun) measure(ctx context.Context, of string, subjects []*grown, operations []string) (*Series, error) {
	s := &Series{Of: of}
	var loops []loop
	for _, g := range subjects {
		s.Counts = append(s.Counts, g.count)
	}
	for _, operation := range operations {
		for _, g := range subjects {
			l := loop{
				operation: operation, subject: fmt.Sprint(g.count), flushes: func() int64 { return -1 },
				connect: func(ctx context.Context, i int) (client, error) {
					c, err := g.server.Connect(ctx)
					if err != nil {
						return nil, err
					}
					return &growthClient{grown: g, operation: operation, session: c.(*session), random: fixedRandom(i)}, nil
				},
			}
			if operation == Save {
				l.limit = savesOnce
			}
			loops = append(loops, l)
		}
	}
	plan := Plan{Clients: []int{1}, Time: r.Time, Rounds: r.Rounds}
	cells, err := plan.measure(ctx, loops, r.Progress)
	for i := 0; i+len(subjects) <= len(cells); i += len(subjects) {
		s.Rows = append(s.Rows, rowOf(cells[i].Operation, cells[i:i+len(subjects)]))
	}
	if err != nil {
		return s, err
	}
	if !subjects[0].oneSaga {
		cleanUps, err := r.cleanUps(ctx, subjects)
		if err != nil {
			return s, err
		}
		s.Rows = append(s.Rows, cleanUps)
	}
	start, resident := Row{Operation: startUp}, Row{Operation: memory, Bytes: true}
	for _, g := range subjects {
		start.Rounds = append(start.Rounds, micros(g.starts))
		var sizes []float64
		for _, size := range g.memory {
			sizes = append(sizes, float64(size))
		}
		resident.Rounds = append(resident.Rounds, sizes)
	}
	s.Rows = append(s.Rows, start)
	if resident.Rounds[0][0] > 0 {
		s.Rows = append(s.Rows, resident)
	}
	return s, nil
}

// cleanUps measures how long it takes to delete a few that have expired.
func (r *growthRun) cleanUps(ctx context.Context, subjects []*grown) (Row, error) {
	row := Row{Operation: cleanUp, Rounds: make([][]float64, len(subjects))}
	for round := range max(r.Rounds, 3) {
		for i := range subjects {
			i = (i + round) % len(subjects)
			took, err := subjects[i].cleanUp(ctx)
			if err != nil {
				return row, err
			}
			row.Rounds[i] = append(row.Rounds[i], float64(took)/1e3)
		}
	}
	return row, nil
}

func (g *grown) cleanUp(ctx context.Context) (time.Duration, error) {
	c, err := dial(ctx, g.server.address, g.server.token)
	if err != nil {
		return 0, err
	}
	defer c.close()
	for range expiredOnce {
		d := g.corpus.Document(g.next.Add(1)-1, nil)
		body := slices.Concat(d.JSON[:len(d.JSON)-1], []byte(`,"retention_until":"2020-01-01T00:00:00Z"}`))
		if _, err := c.do(ctx, http.MethodPut, "/v1/snapshots/"+d.ID.String(), body, http.StatusCreated); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	body, err := c.do(ctx, http.MethodPost, "/v1/cleanup", nil, http.StatusOK)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	var answer struct{ Deleted int }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Deleted != expiredOnce {
		return 0, fmt.Errorf("a clean-up of %d answered %s", expiredOnce, bytes.TrimSpace(body))
	}
	return took, nil
}

func (r *growthRun) cleanUp() error {
	r.Progress.Stage("cleaning up")
	defer r.Progress.end()
	for _, g := range r.all {
		if g.child != nil {
			g.child.stop()
		}
	}
	if r.temp == "" {
		return nil
	}
	return os.RemoveAll(r.temp)
}

// A growthClient does one operation over and over.
type growthClient struct {
	*grown
	operation string
	session   *session
	random    *rand.Rand
	buffer    []byte
}

func (c *growthClient) close() { c.session.Close() }

func (c *growthClient) do(ctx context.Context) error {
	count := uint64(c.count)
	often := min(count, readOften)
	snapshot := c.random.Uint64N(often) * (count / often)
	switch c.operation {
	case Save:
		d := c.corpus.Document(c.next.Add(1)-1, c.buffer[:0])
		c.buffer = d.JSON
		return c.session.Save(ctx, &d)
	case Get:
		return c.session.Get(ctx, c.corpus, snapshot)
	case getAny:
		return c.session.Get(ctx, c.corpus, c.random.Uint64N(count))
	case Latest:
		return c.session.Latest(ctx, c.corpus, snapshot/c.corpus.perSaga)
	case List:
		return c.session.List(ctx, c.corpus, snapshot/c.corpus.perSaga)
	case search:
		return c.find(ctx, "/v1/snapshots?limit=10&status="+otherStatus, 10)
	case searchRare:
		return c.find(ctx, "/v1/snapshots?limit=10&status="+rareStatus, 1)
	case searchNone:
		return c.find(ctx, "/v1/snapshots?limit=10&status="+otherStatus+"&step_name="+steps[1], 0)
	case sagasRare:
		return c.find(ctx, "/v1/sagas?limit=10&status="+rareStatus, 1)
	case stats:
		return c.session.fetch(ctx, "/v1/stats")
	default:
		return fmt.Errorf("there is no operation %q", c.operation)
	}
}

// find asks for a page, which is to have so many results.
func (c *growthClient) find(ctx context.Context, path string, want int) error {
	if err := c.session.fetch(ctx, path); err != nil {
		return err
	}
	if got := bytes.Count(c.session.answer, []byte(`"saga_id":`)); got != want {
		return fmt.Errorf("GET %s brought %d results instead of %d", path, got, want)
	}
	return nil
}
