package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPercentile(t *testing.T) {
	upTo := func(n int) []time.Duration {
		var all []time.Duration
		for i := range n {
			all = append(all, time.Duration(i+1))
		}
		return all
	}
	for _, test := range []struct {
		of          []time.Duration
		thousandths int
		want        time.Duration
	}{
		{nil, 500, 0},
		{upTo(1), 0, 1},
		{upTo(1), 500, 1},
		{upTo(1), 999, 1},
		{upTo(2), 500, 1},
		{upTo(2), 501, 2},
		{upTo(10), 990, 10},
		{upTo(100), 500, 50},
		{upTo(100), 990, 99},
		{upTo(1000), 990, 990},
		{upTo(1000), 999, 999},
		{upTo(1001), 999, 1000},
		{upTo(1000), 1000, 1000},
	} {
		if got := percentile(test.of, test.thousandths); got != test.want {
			t.Errorf("%d thousandths of %d: %d, not %d", test.thousandths, len(test.of), got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{8, 1, 100, 2}, 5},
	} {
		if got := median(test.of); got != test.want {
			t.Errorf("the median of %v is %v, not %v", test.of, got, test.want)
		}
	}
}

// A cell of made-up rounds.
func cellOf(subject string, rounds ...Round) *Cell {
	return &Cell{Operation: Save, Subject: subject, Clients: 8, Rounds: rounds}
}

func TestCell(t *testing.T) {
	c := cellOf("ours",
		Round{Operations: 100, Took: time.Second, P50: 1 * time.Millisecond, Flushes: 100},
		Round{Operations: 300, Took: time.Second, P50: 5 * time.Millisecond, Flushes: 200, Errors: 2, FirstError: errors.New("first")},
		Round{Operations: 400, Took: 2 * time.Second, P50: 3 * time.Millisecond, Flushes: 100, Errors: 1, FirstError: errors.New("second")},
	)
	if c.PerSecond() != 200 || c.P50() != 3*time.Millisecond {
		t.Errorf("%v a second, p50 %v", c.PerSecond(), c.P50())
	}
	if n, first := c.Errors(); n != 3 || first.Error() != "first" {
		t.Errorf("%d errors, the first %v", n, first)
	}
	if n, known := c.FlushesPerOperation(); n != 0.5 || !known {
		t.Errorf("flushes %v %v", n, known)
	}
	// Rounds are compared in pairs: 0.5, 3 and 1 times the operations.
	other := cellOf("other",
		Round{Operations: 200, Took: time.Second, P50: 2 * time.Millisecond, Flushes: -1},
		Round{Operations: 100, Took: time.Second, P50: 5 * time.Millisecond, Flushes: 7},
		Round{Operations: 200, Took: time.Second, P50: 1 * time.Millisecond, Flushes: 7},
	)
	if rate, p50, ok := c.Of(other); rate != 1 || p50 != 1 || !ok {
		t.Errorf("%v %v %v", rate, p50, ok)
	}
	if _, known := other.FlushesPerOperation(); known {
		t.Error("flushes are known though those of a round are not")
	}
	if _, _, ok := c.Of(cellOf("failed", Round{Took: time.Second, Errors: 9})); ok {
		t.Error("compared with nothing")
	}
	if _, known := cellOf("failed", Round{Flushes: 3}).FlushesPerOperation(); known {
		t.Error("flushes of no operations")
	}
}

// A countingClient fails every nth time.
type countingClient struct {
	calls, closed *atomic.Int64
	failEach      int64
}

var errOnPurpose = errors.New("on purpose")

func (c *countingClient) do(context.Context) error {
	if n := c.calls.Add(1); c.failEach > 0 && n%c.failEach == 0 {
		return errOnPurpose
	}
	return nil
}

func (c *countingClient) close() { c.closed.Add(1) }

func TestRunCell(t *testing.T) {
	var flushes int64
	counter := func() int64 { flushes += 50; return flushes }
	run := func(failEach int64, limit limits) (*Round, *countingClient) {
		c := &countingClient{calls: new(atomic.Int64), closed: new(atomic.Int64), failEach: failEach}
		round, err := runCell(t.Context(), 4, limit, counter, func(context.Context, int) (client, error) { return c, nil })
		if err != nil {
			t.Fatal(err)
		}
		if c.closed.Load() != 4 {
			t.Errorf("%d of 4 clients were closed", c.closed.Load())
		}
		return round, c
	}
	if r, c := run(5, limits{time.Hour, 1000}); r.Operations != 800 || r.Errors != 200 || c.calls.Load() != 4+1000 ||
		!errors.Is(r.FirstError, errOnPurpose) || r.Flushes != 50 || r.Took <= 0 || r.P50 > r.P99 || r.P99 > r.P999 {
		t.Errorf("%+v after %d", r, c.calls.Load())
	}
	if r, c := run(0, limits{10 * time.Millisecond, 0}); r.Errors != 0 || 4+int64(r.Operations) != c.calls.Load() || // the first of each is not measured
		r.Took < 10*time.Millisecond {
		t.Errorf("%+v after %d", r, c.calls.Load())
	}
	if r, _ := run(1, limits{time.Hour, 0}); r.Operations != 0 || r.Errors != 4*hopeless || r.PerSecond() != 0 {
		t.Errorf("hopeless: %+v", r)
	}
	_, err := runCell(t.Context(), 4, limits{time.Hour, 0}, counter, func(_ context.Context, i int) (client, error) {
		if i == 2 {
			return nil, errOnPurpose
		}
		return &countingClient{calls: new(atomic.Int64), closed: new(atomic.Int64)}, nil
	})
	if !errors.Is(err, errOnPurpose) || !strings.Contains(err.Error(), "client 3 of 4") {
		t.Errorf("when a client cannot begin: %v", err)
	}
}

// TestRotation sees that subjects take turns, that another one begins each round,
// and that a cancelled run answers what it has.
func TestRotation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var order []string
	connect := func(name string) func(context.Context, int) (client, error) {
		return func(context.Context, int) (client, error) {
			if order = append(order, name); len(order) == 10 {
				cancel()
			}
			return &countingClient{calls: new(atomic.Int64), closed: new(atomic.Int64)}, nil
		}
	}
	var loops []loop
	for _, operation := range []string{Get, Save} {
		for _, subject := range []string{"a", "b"} {
			loops = append(loops, loop{operation: operation, subject: subject, limit: 1,
				flushes: func() int64 { return -1 }, connect: connect(operation + " " + subject)})
		}
	}
	plan := Plan{Clients: []int{1}, Time: time.Hour, Rounds: 3}
	var shown strings.Builder
	cells, err := plan.measure(ctx, loops, &Progress{W: &shown})
	want := []string{"get a", "get b", "save a", "save b", "get b", "get a", "save b", "save a", "get a", "get b"}
	if !errors.Is(err, context.Canceled) || !slices.Equal(order, want) {
		t.Errorf("%v in the order %q", err, order)
	}
	var rounds []int
	for _, c := range cells {
		rounds = append(rounds, len(c.Rounds))
	}
	if !slices.Equal(rounds, []int{3, 2, 2, 2}) {
		t.Errorf("so many rounds: %v", rounds)
	}
	if lines := strings.Split(shown.String(), "\n"); len(lines) != 10 || !strings.HasPrefix(lines[4], "[5/12] round 2: get, b, 1 client: ") {
		t.Errorf("it shows\n%s", &shown)
	}
}

func TestProgressOnTerminal(t *testing.T) {
	var shown strings.Builder
	p := &Progress{W: &shown, Terminal: true}
	l := &loop{operation: Save, subject: "ours"}
	p.begin(2, 3*time.Second)
	p.cell(l, 8, 1, 1)
	p.measured(l, 8, 1, &Round{})
	p.cell(l, 64, 1, 1)
	p.end()
	want := "\r\r[1/2] round 1 of 1, about 6s left: save, ours, 8 clients"
	if got := shown.String(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r") {
		t.Errorf("%q", got)
	}
	var nobody *Progress
	nobody.Stage("nothing")
}

// TestGroup sees that those who wait at once share flushes, with everything they
// brought, and their failure.
func TestGroup(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	var batches []string
	g := &group{flush: func(data []byte) error {
		batches = append(batches, string(data))
		began <- struct{}{}
		<-goOn
		if len(data) > 1 {
			return errOnPurpose
		}
		return nil
	}}
	errs := make(chan error)
	go func() { errs <- g.commit([]byte("a")) }()
	<-began
	for range 3 {
		go func() { errs <- g.commit([]byte("b")) }()
	}
	for joined := 0; joined < 3; {
		g.mu.Lock()
		if g.next != nil {
			joined = len(g.next.data)
		}
		g.mu.Unlock()
	}
	goOn <- struct{}{}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	<-began
	goOn <- struct{}{}
	for range 3 {
		if err := <-errs; !errors.Is(err, errOnPurpose) {
			t.Errorf("a shared failure is %v", err)
		}
	}
	if !slices.Equal(batches, []string{"a", "bbb"}) {
		t.Errorf("flushed %q", batches)
	}
}
