// Package bench measures closed loops: a number of clients each send the next
// operation when the last was answered. Disk measures what a directory can give
// to programs that save small documents; HTTP measures daemons, beside a ceiling
// that answers from memory, and whatever else stores the same documents.
//
// Every cell (an operation, a number of clients, what is measured) is measured
// in several rounds, in rotation, because machines drift: what counts are ratios
// of figures that were taken side by side.
package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Figures that have proved themselves.
const (
	// patience is how long an operation may take beyond the end of its cell.
	patience = 30 * time.Second
	// hopeless is how many failures in a row end a client's part in a cell.
	hopeless = 100
)

// A client does one operation after the other. It is used by one goroutine.
type client interface {
	do(ctx context.Context) error
	close()
}

// A Round is one measurement of a cell.
type Round struct {
	Operations int           // that succeeded
	Errors     int           // operations that failed; they are in no other figure
	FirstError error         // nil if there was none
	Took       time.Duration // from the start to the end of the last operation
	P50        time.Duration // of an operation
	P99        time.Duration
	P999       time.Duration
	Flushes    int64 // of the device below, by anybody; -1 = not known
}

// PerSecond is the number of operations that succeeded in a second.
func (r *Round) PerSecond() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Operations) / r.Took.Seconds()
}

// limits end a cell.
type limits struct {
	time       time.Duration
	operations int // of all clients together, about; 0 = no such limit
}

// runCell has clients work at once until the limit, or until ctx ends, which is
// an error. connect is called for every client before the clock starts.
func runCell(ctx context.Context, clients int, limit limits, flushes func() int64, connect func(ctx context.Context, i int) (client, error)) (*Round, error) {
	ctx, cancel := context.WithTimeout(ctx, limit.time+patience)
	defer cancel()
	workers := make([]worker, clients)
	for i := range workers {
		c, err := connect(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("client %d of %d cannot begin: %w", i+1, clients, err)
		}
		defer c.close()
		// What the first operation of a connection costs alone, such as preparing a statement,
		// is not measured. If it fails, so will others.
		_ = c.do(ctx)
		workers[i] = worker{client: c, share: (limit.operations + clients - 1) / clients}
	}
	before := flushes()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { workers[i].run(ctx, start, start.Add(limit.time)) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	after := flushes()
	round := &Round{Flushes: -1}
	if before >= 0 && after >= before {
		round.Flushes = after - before
	}
	var all []time.Duration
	for i := range workers {
		w := &workers[i]
		all = append(all, w.latencies...)
		round.Errors += w.errors
		round.Took = max(round.Took, w.ended.Sub(start))
		if round.FirstError == nil {
			round.FirstError = w.firstError
		}
	}
	slices.Sort(all)
	round.Operations = len(all)
	round.P50, round.P99, round.P999 = percentile(all, 500), percentile(all, 990), percentile(all, 999)
	return round, nil
}

// A worker is one client's part in a cell.
type worker struct {
	client client
	share  int // of the operations; 0 = as many as there is time for

	latencies  []time.Duration // of what succeeded
	errors     int
	firstError error
	ended      time.Time
}

func (w *worker) run(ctx context.Context, start, end time.Time) {
	w.latencies = make([]time.Duration, 0, 4096)
	w.ended = start
	failures := 0
	for w.ended.Before(end) && failures < hopeless && ctx.Err() == nil {
		if w.share > 0 && len(w.latencies)+w.errors >= w.share {
			return
		}
		began := w.ended
		err := w.client.do(ctx)
		w.ended = time.Now()
		if err != nil {
			failures++
			w.errors++
			if w.firstError == nil {
				w.firstError = err
			}
			continue
		}
		failures = 0
		w.latencies = append(w.latencies, w.ended.Sub(began))
	}
}

// percentile answers the value of ascending ones that so many thousandths do not
// exceed (the nearest rank), 0 if there are none.
func percentile(ascending []time.Duration, thousandths int) time.Duration {
	if len(ascending) == 0 {
		return 0
	}
	rank := (len(ascending)*thousandths + 999) / 1000
	return ascending[max(rank, 1)-1]
}

// median answers the middle one, or the mean of the middle two; 0 if there are
// none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
