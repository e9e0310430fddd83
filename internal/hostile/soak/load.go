package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A sample is what was seen in one second.
type sample struct {
	memory, goroutines, descriptors float64 // MiB, and numbers
	requests                        int
	p50, p99                        float64 // milliseconds
}

// A series is what was seen, second by second.
type series struct {
	samples []sample
	took    []time.Duration // by all requests
	failed  int64
	failure atomic.Pointer[error] // the first
}

// soak saves (70 %), reads (25 %) and lists a thousand (5 %), with so many clients
// that each send the next request when the last was answered.
func (d *daemon) soak(ctx context.Context, clients int, length time.Duration) (*series, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	s := &series{}
	var mu sync.Mutex
	var took []time.Duration
	var failed atomic.Int64
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			for ctx.Err() == nil {
				t, err := d.one(ctx)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					failed.Add(1)
					s.failure.CompareAndSwap(nil, &err)
				}
				mu.Lock()
				took = append(took, t)
				mu.Unlock()
			}
		})
	}
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			tick.Stop()
			continue
		case <-tick.C:
		}
		mu.Lock()
		second := took
		took = make([]time.Duration, 0, len(second))
		mu.Unlock()
		s.took = append(s.took, second...)
		now, err := d.look(ctx)
		if err != nil {
			continue // at the end
		}
		slices.Sort(second)
		if now.requests = len(second); now.requests > 0 {
			now.p50 = second[len(second)/2].Seconds() * 1000
			now.p99 = second[len(second)*99/100].Seconds() * 1000
		}
		s.samples = append(s.samples, now)
	}
	working.Wait()
	s.failed = failed.Load()
	if len(s.samples) < 9 {
		return nil, errors.New("it was too short to see anything")
	}
	return s, nil
}

func (d *daemon) one(ctx context.Context) (time.Duration, error) {
	saga := rand.IntN(sagas)      // #nosec G404 -- load
	switch n := rand.IntN(100); { // #nosec G404 -- load
	case n < 70:
		return d.do(ctx, http.MethodPost, "/v1/snapshots", document(saga), http.StatusCreated)
	case n < 95: // a saga that was not saved to yet has no latest
		return d.do(ctx, http.MethodGet, fmt.Sprintf("/v1/sagas/0b8f0d5c-6f6e-4a0e-9d0e-%012d/snapshots/latest", saga), "", http.StatusOK, http.StatusNotFound)
	default:
		return d.do(ctx, http.MethodGet, "/v1/snapshots?limit=1000", "", http.StatusOK)
	}
}

// look asks the system and the daemon's own metrics what it takes.
func (d *daemon) look(ctx context.Context) (sample, error) {
	var s sample
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return s, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		return s, err
	}
	s.memory = kib / 1024
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	if err != nil {
		return s, err
	}
	s.descriptors = float64(len(open))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/metrics", nil)
	if err != nil {
		return s, err
	}
	_, text, err := d.send(req)
	if err != nil {
		return s, err
	}
	for in := bufio.NewScanner(strings.NewReader(string(text))); in.Scan(); {
		if number, ok := strings.CutPrefix(in.Text(), "go_goroutines "); ok {
			s.goroutines, err = strconv.ParseFloat(number, 64)
		}
	}
	return s, err
}

// judge prints how the second third compares with the last, when the store has
// been full for long, and fails where something grew or failed.
func (s *series) judge() error {
	var errs []error
	third := len(s.samples) / 3
	before, after := s.samples[third:2*third], s.samples[2*third:]
	requests := 0
	for _, one := range s.samples {
		requests += one.requests
	}
	fmt.Printf("%d requests in %d s, %d failed\n", requests, len(s.samples), s.failed)
	if err := s.failure.Load(); err != nil {
		errs = append(errs, fmt.Errorf("%d requests failed, the first: %w", s.failed, *err))
	}
	if len(s.took) == 0 {
		return errors.New("no request was answered")
	}
	slices.Sort(s.took)
	p50, p999 := s.took[len(s.took)/2], s.took[len(s.took)*999/1000]
	fmt.Printf("half of them took %v, 99.9 %% no longer than %v: %.1f times that\n", p50, p999, float64(p999)/float64(p50))
	for _, curve := range curves {
		a, b := middle(before, curve.of), middle(after, curve.of)
		fmt.Printf("%-22s median of the second third %8.1f, of the last %8.1f, at most %8.1f\n", curve.name, a, b, highest(s.samples, curve.of))
		if curve.level > 0 && b > a*curve.level {
			errs = append(errs, fmt.Errorf("%s: %.1f has become %.1f", curve.name, a, b))
		}
	}
	return errors.Join(errs...)
}

func middle(samples []sample, of func(*sample) float64) float64 {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = of(&samples[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func highest(samples []sample, of func(*sample) float64) (most float64) {
	for i := range samples {
		most = max(most, of(&samples[i]))
	}
	return most
}
