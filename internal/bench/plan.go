package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Plan says how long and how often to measure.
type Plan struct {
	Clients []int         // at once; each is a cell of its own
	Time    time.Duration // of a cell in one round
	Rounds  int
}

// A loop is what a plan measures: one operation on one subject.
type loop struct {
	operation, subject string
	limit              int // of operations in a cell; 0 = none
	flushes            func() int64
	connect            func(ctx context.Context, i int) (client, error)
}

// measure runs every loop with every number of clients in every round. The
// subjects of one operation take turns, and begin with another one each round.
// operations say the order; loops of one operation are in the order of the
// report. What was measured before an error is answered with it.
func (p *Plan) measure(ctx context.Context, loops []loop, show *Progress) ([]*Cell, error) {
	var operations []string
	for _, l := range loops {
		if !slices.Contains(operations, l.operation) {
			operations = append(operations, l.operation)
		}
	}
	var cells []*Cell
	index := map[string]*Cell{}
	key := func(l *loop, clients int) string { return fmt.Sprint(l.operation, "\n", l.subject, "\n", clients) }
	for _, operation := range operations {
		for i := range loops {
			if l := &loops[i]; l.operation == operation {
				for _, clients := range p.Clients {
					cell := &Cell{Operation: operation, Subject: l.subject, Clients: clients}
					cells = append(cells, cell)
					index[key(l, clients)] = cell
				}
			}
		}
	}
	show.begin(len(loops)*len(p.Clients)*p.Rounds, p.Time)
	defer show.end()
	for round := range p.Rounds {
		for _, operation := range operations {
			for _, clients := range p.Clients {
				for _, l := range rotated(loops, operation, round) {
					show.cell(l, clients, round+1, p.Rounds)
					result, err := runCell(ctx, clients, limits{p.Time, l.limit}, l.flushes, l.connect)
					if err != nil {
						if !errors.Is(err, context.Canceled) {
							err = fmt.Errorf("%s, %s, %d clients: %w", l.operation, l.subject, clients, err)
						}
						return cells, err
					}
					cell := index[key(l, clients)]
					cell.Rounds = append(cell.Rounds, *result)
					show.measured(l, clients, round+1, result)
				}
			}
		}
	}
	return cells, nil
}

// rotated are the loops of an operation, beginning with another one each round.
func rotated(loops []loop, operation string, round int) []*loop {
	var of []*loop
	for i := range loops {
		if loops[i].operation == operation {
			of = append(of, &loops[i])
		}
	}
	by := round % len(of)
	return slices.Concat(of[by:], of[:by])
}

// A Cell is what was measured of an operation on a subject with so many clients.
type Cell struct {
	Operation, Subject string
	Clients            int
	Rounds             []Round
}

// PerSecond is the median of the rounds, like every figure of a cell.
func (c *Cell) PerSecond() float64 {
	return c.median(func(r *Round) float64 { return r.PerSecond() })
}

// P50 is half of the operations' time.
func (c *Cell) P50() time.Duration { return c.latency(func(r *Round) time.Duration { return r.P50 }) }

// P99 is the time 99 in 100 operations do not exceed.
func (c *Cell) P99() time.Duration { return c.latency(func(r *Round) time.Duration { return r.P99 }) }

// P999 is the time 999 in 1000 operations do not exceed.
func (c *Cell) P999() time.Duration { return c.latency(func(r *Round) time.Duration { return r.P999 }) }

// Errors counts failures, and answers the first.
func (c *Cell) Errors() (n int, first error) {
	for _, r := range c.Rounds {
		n += r.Errors
		if first == nil {
			first = r.FirstError
		}
	}
	return n, first
}

// FlushesPerOperation are of the device below; known is false where the system
// does not tell.
func (c *Cell) FlushesPerOperation() (n float64, known bool) {
	var flushes, operations int64
	for _, r := range c.Rounds {
		if r.Flushes < 0 {
			return 0, false
		}
		flushes += r.Flushes
		operations += int64(r.Operations)
	}
	if operations == 0 {
		return 0, false
	}
	return float64(flushes) / float64(operations), true
}

// Of compares a cell with another of the same rounds: how many times its
// operations a second, and how many times its p50. Rounds are compared in pairs,
// which were measured side by side; the answer is the median. It is false if
// there is nothing to compare.
func (c *Cell) Of(other *Cell) (perSecond, p50 float64, ok bool) {
	var rates, times []float64
	for i := range min(len(c.Rounds), len(other.Rounds)) {
		mine, its := &c.Rounds[i], &other.Rounds[i]
		if mine.Operations == 0 || its.Operations == 0 || its.P50 == 0 {
			continue
		}
		rates = append(rates, mine.PerSecond()/its.PerSecond())
		times = append(times, float64(mine.P50)/float64(its.P50))
	}
	return median(rates), median(times), len(rates) > 0
}

func (c *Cell) median(of func(*Round) float64) float64 {
	values := make([]float64, len(c.Rounds))
	for i := range c.Rounds {
		values[i] = of(&c.Rounds[i])
	}
	return median(values)
}

func (c *Cell) latency(of func(*Round) time.Duration) time.Duration {
	return time.Duration(c.median(func(r *Round) float64 { return float64(of(r)) }))
}
