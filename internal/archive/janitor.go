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
	last, since := a.cfg.Now(), time.Now()
	for {
		select {
		case <-time.After(interval + rand.N(interval/10+1)): // #nosec G404 -- spreads load, hides nothing
		case <-ctx.Done():
			return
		}
		// Without their monotonic readings the two times differ by what the wall
		// clock moved.
		now := a.cfg.Now()
		jump := now.Round(0).Sub(last.Round(0)) - time.Since(since)
		last, since = now, time.Now()
		if jump.Abs() > clockJump {
			a.cfg.Logger.WarnContext(ctx, "clean-up skipped: the clock has jumped", "by", jump.String())
			a.cfg.Observer.CleanedUp(CleanUpRun{Trigger: TriggerTimer, Result: RunSkipped})
		} else {
			a.janitorRound(ctx)
		}
	}
}

func (a *Archive) janitorRound(ctx context.Context) {
	if a.reportOnly.Load() {
		found, err := a.CleanUp(ctx, true)
		result := RunSkipped
		switch {
		case err != nil:
			result = RunError
			a.logFailed(ctx, err)
		case found.Deleted > 0 && a.reported.Swap(int64(found.Deleted)) != int64(found.Deleted):
			a.cfg.Logger.WarnContext(ctx, "expired snapshots are kept, because this directory is new to snapshotd; POST /v1/cleanup or a restart lets them go",
				"expired", found.Deleted, "bytes", found.Bytes)
		}
		a.cfg.Observer.CleanedUp(CleanUpRun{Trigger: TriggerTimer, Result: result})
		return
	}
	if _, err := a.cleanUp(ctx, TriggerTimer); err != nil {
		a.logFailed(ctx, err)
	}
}

// logFailed passes over what ended because the janitor was told to stop.
func (a *Archive) logFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		a.cfg.Logger.ErrorContext(ctx, "clean-up failed", "err", err)
	}
}
