package archive

import (
	"context"
	"math/rand/v2"
	"time"
)

// clockJump is how far the wall clock may part from the monotonic one between
// two rounds before the janitor distrusts it.
const clockJump = time.Minute

// RunJanitor cleans up every interval until ctx ends, for the first time one
// whole interval from now. Each wait is up to a tenth longer, so that many
// daemons do not work in step. An interval of 0 returns at once.
func (a *Archive) RunJanitor(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	last := a.cfg.Now()
	for {
		select {
		case <-time.After(interval + rand.N(interval/10+1)):
		case <-ctx.Done():
			return
		}
		now := a.cfg.Now()
		if jump := wallJump(last, now); jump.Abs() > clockJump {
			a.cfg.Logger.WarnContext(ctx, "clean-up skipped: the clock has jumped", "by", jump)
			a.cfg.Observer.CleanedUp(CleanUpRun{Trigger: TriggerTimer, Result: RunSkipped})
		} else {
			a.janitorRound(ctx)
		}
		last = now
	}
}

func (a *Archive) janitorRound(ctx context.Context) {
	if a.reportOnly.Load() {
		found, err := a.CleanUp(ctx, true)
		if err == nil && found.Deleted > 0 {
			a.cfg.Logger.WarnContext(ctx, "expired snapshots are kept, because this directory is new to snapshotd; POST /v1/cleanup or a restart lets them go",
				"expired", found.Deleted, "bytes", found.Bytes)
		}
		a.cfg.Observer.CleanedUp(CleanUpRun{Trigger: TriggerTimer, Result: RunSkipped})
		return
	}
	if _, err := a.cleanUp(ctx, TriggerTimer); err != nil && ctx.Err() == nil {
		a.cfg.Logger.ErrorContext(ctx, "clean-up failed", "err", err)
	}
}

// wallJump is by how much the wall clock moved more than the monotonic one.
// Without a monotonic reading, as of an injected clock, it is 0.
func wallJump(last, now time.Time) time.Duration {
	return now.Round(0).Sub(last.Round(0)) - now.Sub(last)
}
