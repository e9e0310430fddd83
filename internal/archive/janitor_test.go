package archive_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// fakeTime runs a scenario in which time passes as it is waited for.
func fakeTime(t *testing.T, scenario func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		scenario(t, newWorld(t, func(c *archive.Config) { c.Now = time.Now }))
	})
}

// janitor starts one; stop ends it and waits for its end.
func (w *world) janitor(interval time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.RunJanitor(ctx, interval)
	}()
	return func() { cancel(); <-done }
}

// slow makes every batch take its time, or end with its context.
func (w *world) slow(batch time.Duration) {
	w.store.deleteMany = func(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
		select {
		case <-time.After(batch):
			return w.store.Store.DeleteMany(ctx, sel)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func TestJanitorWaitsOneInterval(t *testing.T) {
	fakeTime(t, func(_ *testing.T, w *world) {
		w.saveExpired(orders, 3)
		stop := w.janitor(time.Hour)
		time.Sleep(time.Hour - 1)
		synctest.Wait()
		w.wantHeard()
		w.wantIDs(orders, 2003, 2002, 2001)
		time.Sleep(time.Hour/10 + 1)
		synctest.Wait()
		w.wantHeard("deleted expired 3", "cleaned up timer ok 3")
		w.wantLogged("snapshots deleted", "reason=expired", "count=3")
		stop()
	})
}

// Rounds follow each other after an interval and up to a tenth of it.
func TestJanitorJitters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rounds []time.Time
		w := newWorld(t, func(c *archive.Config) {
			c.Now = time.Now
			c.Observer.CleanedUp = func(archive.CleanUpRun) { rounds = append(rounds, time.Now()) }
		})
		last := time.Now()
		stop := w.janitor(time.Minute)
		time.Sleep(2 * time.Hour)
		stop()
		waits := map[time.Duration]bool{}
		for _, at := range rounds {
			wait := at.Sub(last)
			waits[wait] = true
			if wait < time.Minute || wait > time.Minute+time.Minute/10 {
				t.Errorf("waited %s", wait)
			}
			last = at
		}
		if n := len(rounds); n < 109 || n > 120 || len(waits) < n/2 {
			t.Errorf("%d rounds, %d different waits", n, len(waits))
		}
	})
}

func TestJanitorStops(t *testing.T) {
	fakeTime(t, func(t *testing.T, w *world) {
		w.janitor(time.Minute)() // while it waits
		w.wantHeard()

		w.saveExpired(orders, 1)
		w.slow(20 * time.Second)
		stop := w.janitor(time.Minute)
		time.Sleep(70 * time.Second)
		synctest.Wait()
		began := time.Now()
		stop() // while it works
		if took := time.Since(began); took > 0 {
			t.Errorf("stopped after %s", took)
		}
		if w.logged("level=ERROR") > 0 {
			t.Errorf("stopping is no error:\n%s", w.log.String())
		}
		w.wantIDs(orders, 2001)
	})
}

func TestNoJanitor(t *testing.T) {
	fakeTime(t, func(t *testing.T, w *world) {
		w.RunJanitor(t.Context(), 0)
		w.RunJanitor(t.Context(), -time.Second)
		w.wantHeard()
	})
}

// A clock that jumped is not believed until the next round.
func TestJanitorDistrustsAJump(t *testing.T) {
	for _, jump := range []time.Duration{48 * time.Hour, -48 * time.Hour, 61 * time.Second, -61 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var ahead atomic.Int64
			w := newWorld(t, func(c *archive.Config) {
				c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			})
			w.saveExpired(orders, 1)
			stop := w.janitor(time.Hour)
			defer stop()
			time.Sleep(time.Minute)
			ahead.Store(int64(jump))
			time.Sleep(66 * time.Minute)
			synctest.Wait()
			w.wantHeard("cleaned up timer skipped 0")
			w.wantLogged("level=WARN", "the clock has jumped", "by="+jump.String())
			w.wantIDs(orders, 2001)
			time.Sleep(66 * time.Minute)
			synctest.Wait()
			w.wantHeard("deleted expired 1", "cleaned up timer ok 1")
		})
	}
	// A second of drift is none.
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newWorld(t, func(c *archive.Config) {
			c.Now = func() time.Time { return time.Now().Add(time.Since(began) / 3600) }
		})
		w.saveExpired(orders, 1)
		stop := w.janitor(time.Hour)
		defer stop()
		time.Sleep(66*time.Minute + 1)
		synctest.Wait()
		w.wantHeard("deleted expired 1", "cleaned up timer ok 1")
	})
}

// On a directory new to us nothing goes until somebody says so.
func TestJanitorReportsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *archive.Config) { c.Now, c.ReportExpiredOnly = time.Now, true })
		w.saveExpired(orders, 3)
		stop := w.janitor(time.Minute)
		defer stop()
		time.Sleep(67 * time.Second)
		synctest.Wait()
		w.wantHeard("cleaned up timer skipped 0")
		w.wantLogged("level=WARN", "expired=3", "/v1/cleanup")

		// Asking what would go is not asking for it.
		if dry, err := w.CleanUp(t.Context(), true); err != nil || dry.Deleted != 3 {
			t.Errorf("dry: %+v, %v", dry, err)
		}
		time.Sleep(67 * time.Second)
		synctest.Wait()
		w.wantIDs(orders, 2003, 2002, 2001)
		w.forget()

		if c, err := w.CleanUp(t.Context(), false); err != nil || c.Deleted != 3 {
			t.Errorf("%+v, %v", c, err)
		}
		w.saveExpired(orders, 2)
		time.Sleep(67 * time.Second)
		synctest.Wait()
		w.wantHeard("deleted expired 2", "cleaned up timer ok 2")
	})
}

func TestJanitorReportsNothingOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *archive.Config) { c.Now, c.ReportExpiredOnly = time.Now, true })
		w.save(orders, 1, "")
		stop := w.janitor(time.Minute)
		defer stop()
		time.Sleep(67 * time.Second)
		synctest.Wait()
		if w.logged("level=WARN") > 0 {
			t.Errorf("logged\n%s", w.log.String())
		}
	})
}

// A round that fails is logged, also one that only reports; the next one is
// tried all the same.
func TestJanitorFails(t *testing.T) {
	for _, reportOnly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(c *archive.Config) { c.Now, c.ReportExpiredOnly = time.Now, reportOnly })
			w.saveExpired(orders, 1)
			w.store.deleteMany = func(context.Context, *store.Selection) (*store.Deletion, error) { return nil, saga.ErrDegraded }
			stop := w.janitor(time.Minute)
			defer stop()
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			w.wantLogged("level=ERROR", "clean-up failed", saga.ErrDegraded.Error())
			if n := w.logged("clean-up failed"); n != 2 {
				t.Errorf("report only %t: %d lines", reportOnly, n)
			}
			w.wantHeard("cleaned up timer error 0", "cleaned up timer error 0")
		})
	}
}

// It answers after 30 s at the latest, with what remains.
func TestCleanUpIsBounded(t *testing.T) {
	for name, batch := range map[string]time.Duration{"batch by batch": 7 * time.Second, "within a batch": time.Hour} {
		t.Run(name, func(t *testing.T) {
			fakeTime(t, func(t *testing.T, w *world) {
				w.saveExpired(orders, 2_000)
				w.slow(batch)
				deleted := int(30*time.Second/batch) * 256
				began := time.Now()
				c, err := w.CleanUp(t.Context(), false)
				if took := time.Since(began); err != nil || took > 30*time.Second {
					t.Fatalf("%+v, %v after %s", c, err, took)
				}
				if c.Deleted != deleted || c.Remaining != 2_000-deleted || w.count() != c.Remaining {
					t.Errorf("%+v, %d are there, want %d deleted", c, w.count(), deleted)
				}
			})
		})
	}
}

func TestCleanUpOutOfTimeIsPartial(t *testing.T) {
	fakeTime(t, func(t *testing.T, w *world) {
		w.saveExpired(orders, 2_000)
		w.slow(16 * time.Second)
		if c, err := w.CleanUp(t.Context(), false); err != nil || c.Remaining != 1744 {
			t.Errorf("%+v, %v", c, err)
		}
		w.wantHeard("deleted expired 256", "cleaned up request partial 256")
	})
}

// The second caller waits for the first and then does what is left to do.
func TestCleanUpOneAtATime(t *testing.T) {
	fakeTime(t, func(t *testing.T, w *world) {
		w.saveExpired(orders, 300)
		w.slow(5 * time.Second)
		answers := make(chan *archive.CleanUp, 2)
		call := func() {
			c, err := w.CleanUp(t.Context(), false)
			if err != nil {
				t.Error(err)
			}
			answers <- c
		}
		began := time.Now()
		go call()
		synctest.Wait()
		go call()
		first, second := <-answers, <-answers
		if first.Deleted != 300 || second.Deleted != 0 || second.Remaining != 0 || time.Since(began) != 15*time.Second {
			t.Errorf("first %+v, second %+v after %s", first, second, time.Since(began))
		}
		w.wantHeard("deleted expired 300", "cleaned up request ok 300", "cleaned up request ok 0")
	})
}

// It does not wait for ever, neither for one that hangs nor for a client that has
// gone away.
func TestCleanUpWaitsAtMost(t *testing.T) {
	fakeTime(t, func(t *testing.T, w *world) {
		w.saveExpired(orders, 1)
		release := make(chan struct{})
		w.store.deleteMany = func(ctx context.Context, sel *store.Selection) (*store.Deletion, error) {
			<-release // a disk that hangs
			return w.store.Store.DeleteMany(context.WithoutCancel(ctx), sel)
		}
		hanging := make(chan struct{})
		go func() {
			defer close(hanging)
			if c, err := w.CleanUp(t.Context(), false); err != nil || c.Deleted != 1 {
				t.Errorf("the one that hung: %+v, %v", c, err)
			}
		}()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.CleanUp(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client that went away: %v", err)
		}
		began := time.Now()
		c, err := w.CleanUp(t.Context(), false)
		if err != nil || c.Deleted != 0 || c.Remaining != 1 || time.Since(began) != 30*time.Second {
			t.Errorf("the second: %+v, %v after %s", c, err, time.Since(began))
		}
		close(release)
		<-hanging
	})
}
