package archive

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

const (
	sweepBatch    = 256              // snapshots deleted in one call of the store
	sampleSize    = 20               // summaries in the answer of a dry run
	cleanUpBudget = 30 * time.Second // after which CleanUp answers with what remains
)

// DeleteSnapshot removes a snapshot; afterwards its id is free.
func (a *Archive) DeleteSnapshot(ctx context.Context, id uuid.UUID) error {
	s, err := a.cfg.Store.Delete(ctx, id)
	if err != nil {
		return err
	}
	a.cfg.Observer.Deleted(ReasonRequest, 1)
	a.cfg.Logger.InfoContext(ctx, "snapshot deleted", "reason", ReasonRequest,
		"snapshot_id", s.ID, "saga_id", s.SagaID, "bytes", s.SizeBytes)
	return nil
}

// A SagaDeletion says what went with a saga.
type SagaDeletion struct {
	Deleted        int   `json:"deleted"` // snapshots, unreadable ones too
	ReclaimedBytes int64 `json:"reclaimed_bytes"`
	DeletedReplays int   `json:"deleted_replays"`
}

// DeleteSaga removes all snapshots of a saga, and with replays its replay
// records too. A saga that has none is no error.
func (a *Archive) DeleteSaga(ctx context.Context, id uuid.UUID, replays bool) (*SagaDeletion, error) {
	d, err := a.sweep(ctx, ReasonSaga, &store.Selection{SagaID: uuid.NullUUID{UUID: id, Valid: true}})
	answer := &SagaDeletion{Deleted: d.Count, ReclaimedBytes: d.Bytes}
	if err == nil && replays {
		answer.DeletedReplays, err = a.cfg.Store.DeleteReplays(ctx, id)
		if answer.DeletedReplays > 0 {
			a.cfg.Logger.InfoContext(ctx, "replays deleted", "reason", ReasonSaga, "saga_id", id, "count", answer.DeletedReplays)
		}
	}
	return answer, err
}

// trim removes a saga's oldest snapshots beyond the limit. The save that led to it has
// been acknowledged, so it neither fails with it nor ends with its request.
func (a *Archive) trim(ctx context.Context, id uuid.UUID) {
	if a.cfg.MaxPerSaga <= 0 {
		return
	}
	sel := &store.Selection{SagaID: uuid.NullUUID{UUID: id, Valid: true}, KeepNewest: a.cfg.MaxPerSaga}
	if _, err := a.sweep(context.WithoutCancel(ctx), ReasonMaxPerSaga, sel); err != nil {
		a.cfg.Logger.ErrorContext(ctx, "trimming a saga failed", "saga_id", id, "err", err)
	}
}

// sweep deletes what sel chooses in batches, until nothing is left or a batch changes
// nothing. Its error is why something is left.
func (a *Archive) sweep(ctx context.Context, reason string, sel *store.Selection) (total store.Deletion, err error) {
	batch := *sel
	batch.Limit = sweepBatch
	if a.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		batch.Sample = sweepBatch
	}
	left, kept := math.MaxInt, 0
	for {
		d, err := a.cfg.Store.DeleteMany(ctx, &batch)
		if d != nil {
			total.Count += d.Count
			total.Bytes += d.Bytes
			total.Remaining = d.Remaining
			for _, s := range d.Sample {
				a.cfg.Logger.DebugContext(ctx, "snapshot deleted", "reason", reason,
					"snapshot_id", s.ID, "saga_id", s.SagaID, "bytes", s.SizeBytes)
			}
		}
		// What was gone already is not counted, but there is less left.
		over := d == nil || ctx.Err() != nil || errors.Is(err, saga.ErrOutcomeUnknown) || errors.Is(err, saga.ErrDegraded)
		if over || d.Remaining == 0 || d.Count == 0 && d.Remaining >= left && d.Kept <= kept {
			a.swept(ctx, reason, sel, &total)
			return total, err
		}
		left, kept = d.Remaining, d.Kept
		batch.Limit = sweepBatch + kept // which it will try first
	}
}

func (a *Archive) swept(ctx context.Context, reason string, sel *store.Selection, d *store.Deletion) {
	if d.Count == 0 {
		return
	}
	a.cfg.Observer.Deleted(reason, d.Count)
	attrs := []any{"reason", reason, "count", d.Count, "bytes", d.Bytes, "remaining", d.Remaining}
	if sel.SagaID.Valid {
		attrs = append(attrs, "saga_id", sel.SagaID.UUID)
	}
	a.cfg.Logger.InfoContext(ctx, "snapshots deleted", attrs...)
}

// A CleanUp says what a clean-up did, or with DryRun what it would do.
type CleanUp struct {
	DryRun    bool
	Deleted   int   // or with DryRun how many have expired
	Bytes     int64 // of those
	Remaining int
	Sample    []saga.Summary // with DryRun: the first of those
}

// Who started a clean-up, and how it ended.
const (
	TriggerTimer   = "timer"
	TriggerRequest = "request"

	RunOK      = "ok"
	RunPartial = "partial" // out of time, or cancelled on the way; some remain
	RunError   = "error"
	RunSkipped = "skipped" // the clock cannot be trusted, or the directory is new to us
)

// A CleanUpRun is what an Observer hears of a clean-up.
type CleanUpRun struct {
	Trigger, Result string
	Took            time.Duration
	Deleted         int
	Bytes           int64
}

// CleanUp deletes what has expired. Only one runs at a time: a second caller
// waits for the first. It answers after 30 s at the latest, with what remains.
func (a *Archive) CleanUp(ctx context.Context, dryRun bool) (*CleanUp, error) {
	if dryRun {
		now := a.now()
		d, err := a.cfg.Store.DeleteMany(ctx, &store.Selection{ExpiredBefore: &now, DryRun: true, Sample: sampleSize})
		if err != nil {
			return nil, err
		}
		return &CleanUp{DryRun: true, Deleted: d.Count, Bytes: d.Bytes, Remaining: d.Count, Sample: d.Sample}, nil
	}
	a.reportOnly.Store(false)
	return a.cleanUp(ctx, TriggerRequest)
}

func (a *Archive) cleanUp(ctx context.Context, trigger string) (*CleanUp, error) {
	bounded, cancel := context.WithTimeout(ctx, cleanUpBudget)
	defer cancel()
	select {
	case a.cleaning <- struct{}{}:
		defer func() { <-a.cleaning }()
	case <-bounded.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		remaining, err := a.expired(ctx)
		return &CleanUp{Remaining: remaining}, err
	}
	start := a.cfg.Now()
	now := saga.At(start)
	d, err := a.sweep(bounded, ReasonExpired, &store.Selection{ExpiredBefore: &now})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		d.Remaining, err = a.expired(ctx)
	}
	result := RunOK
	switch {
	case err != nil && ctx.Err() == nil:
		result = RunError
	case err != nil || d.Remaining > 0:
		result = RunPartial
	}
	a.cfg.Observer.CleanedUp(CleanUpRun{
		Trigger: trigger, Result: result, Took: a.cfg.Now().Sub(start), Deleted: d.Count, Bytes: d.Bytes,
	})
	return &CleanUp{Deleted: d.Count, Bytes: d.Bytes, Remaining: d.Remaining}, err
}

// expired counts what a clean-up has to do.
func (a *Archive) expired(ctx context.Context) (int, error) {
	stats, err := a.Stats(ctx)
	if err != nil {
		return 0, err
	}
	return stats.Expired, nil
}
