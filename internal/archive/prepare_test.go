package archive_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

func request(t testing.TB, body string) *saga.ReplayRequest {
	t.Helper()
	q, err := saga.ParseReplayRequest([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return q
}

// prepare prepares a replay of orders that must succeed.
func (w *world) prepare(body string, wantCreated bool) *archive.PreparedReplay {
	w.t.Helper()
	p, created, err := w.PrepareReplay(w.t.Context(), orders, request(w.t, body))
	if err != nil || created != wantCreated {
		w.t.Fatalf("%s: created %t, %v", body, created, err)
	}
	return p
}

// wantNoCheckpoint prepares a replay that has nothing to start from.
func (w *world) wantNoCheckpoint(sagaID uuid.UUID, body string) *saga.CheckpointNotFoundError {
	w.t.Helper()
	p, created, err := w.PrepareReplay(w.t.Context(), sagaID, request(w.t, body))
	var notFound *saga.CheckpointNotFoundError
	if !errors.As(err, &notFound) || created || p != nil || notFound.SagaID != sagaID {
		w.t.Fatalf("%s: %v, created %t, %v", body, p, created, err)
	}
	return notFound
}

// replays counts the records of a saga.
func (w *world) replays(sagaID uuid.UUID) int {
	w.t.Helper()
	page, err := w.Replays(w.t.Context(), &saga.Query{SagaID: valid(sagaID), Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(page.Replays)
}

// withSteps has the snapshots charge (1), ship (2), charge (3) of orders, and
// charge (9) of refunds.
func withSteps(t testing.TB) *world {
	w := newWorld(t)
	w.save(orders, 1, `"created_at":"2026-02-01T00:00:00Z"`)
	w.save(orders, 2, `"created_at":"2026-02-02T00:00:00Z","step_name":"ship","step_index":2`)
	w.save(orders, 3, `"created_at":"2026-02-03T00:00:00Z","completed_steps":["reserve"],"external_refs":{"pdf":"s3://b/k"},"context":{"amount":1.0,"who":{"a":1,"b":2},"n":[1, 2]}`)
	w.save(refunds, 9, `"created_at":"2026-02-04T00:00:00Z"`)
	w.forget()
	return w
}

// The newest snapshot of the step is the checkpoint, the merge is shallow.
func TestPrepareReplayFromAStep(t *testing.T) {
	w := withSteps(t)
	p := w.prepare(`{"checkpoint_step":"charge","context_override":{"new":1e400,"who":{"c":null},"amount":null},"initiated_by":"me"}`, true)
	wantRecord := `{"replay_id":"` + nth(1001).String() + `","original_saga_id":"` + orders.String() + `","new_saga_id":"` + nth(1002).String() + `",` +
		`"checkpoint_step":"charge","replay_status":"pending","initiated_by":"me","context_override":{"new":1e400,"who":{"c":null},"amount":null},` +
		`"error_message":null,"created_at":"` + noon + `","completed_at":null,"snapshot_id":"` + nth(3).String() + `","dry_run":false}`
	if got := string(p.Replay.AppendJSON(nil, false)); got != wantRecord {
		t.Errorf("record\n%s\nwant\n%s", got, wantRecord)
	}
	r := p.Resume
	if r.SagaID != nth(1002) || r.SagaName != "order" || r.StepName != "charge" || r.StepIndex != 1 ||
		string(r.CompletedSteps) != "[\"reserve\"]" || string(r.ExternalRefs) != `{"pdf":"s3://b/k"}` ||
		string(r.Context) != `{"amount":null,"who":{"c":null},"n":[1,2],"new":1e400}` {
		t.Errorf("resumes at %+v, %s", r, r.Context)
	}
	w.wantHeard("replay pending")
	stored, err := w.Replay(t.Context(), nth(1001))
	if err != nil || string(stored.AppendJSON(nil, false)) != wantRecord {
		t.Errorf("stored %+v, %v", stored, err)
	}
	// The checkpoint itself stays as it is.
	if _, created, err := w.Save(t.Context(), draft(t, orders, `"snapshot_id":"`+nth(3).String()+`","context":{"amount":1.0,"who":{"a":1,"b":2},"n":[1,2]}`), false); err != nil || created {
		t.Errorf("the checkpoint has changed: %t, %v", created, err)
	}
}

func TestPrepareReplayFromASnapshot(t *testing.T) {
	w := withSteps(t)
	p := w.prepare(`{"snapshot_id":"`+nth(1).String()+`","new_saga_id":"`+nth(55).String()+`","replay_id":"`+nth(66).String()+`"}`, true)
	if p.Replay.ID != nth(66) || p.Replay.NewSagaID != nth(55) || p.Replay.CheckpointStep != "charge" || p.Replay.SnapshotID != valid(nth(1)) ||
		p.Replay.InitiatedBy != "system" || p.Replay.ContextOverride != nil {
		t.Errorf("record %+v", p.Replay)
	}
	if p.Resume.SagaID != nth(55) || string(p.Resume.Context) != `{"amount":1.0,"who":"ann"}` {
		t.Errorf("resumes at %+v, %s", p.Resume, p.Resume.Context)
	}
}

func TestPrepareDryRun(t *testing.T) {
	w := withSteps(t)
	p := w.prepare(`{"checkpoint_step":"ship","dry_run":true,"context_override":{"amount":2}}`, true)
	if r := p.Replay; !r.DryRun || r.Status != saga.ReplaySuccess || r.CompletedAt.String() != noon || r.ErrorMessage != nil {
		t.Errorf("record %+v", r)
	}
	if string(p.Resume.Context) != `{"amount":2,"who":"ann"}` {
		t.Errorf("resumes with %s", p.Resume.Context)
	}
	w.wantHeard("replay success")
	w.wantIDs(orders, 3, 2, 1)
}

// An unknown step leaves a failed record that says so; the answer names the
// steps there are.
func TestPrepareReplayFromAnUnknownStep(t *testing.T) {
	w := withSteps(t)
	for _, tt := range []struct {
		saga  uuid.UUID
		steps []string
	}{{orders, []string{"charge", "ship"}}, {nth(4711), []string{}}} {
		e := w.wantNoCheckpoint(tt.saga, `{"checkpoint_step":"Charge","dry_run":true}`)
		if e.Step != "Charge" || !slices.Equal(e.AvailableSteps, tt.steps) || e.AvailableSteps == nil {
			t.Errorf("answer %+v, want steps %q", e, tt.steps)
		}
		w.wantHeard("replay failed")
		r, err := w.Replay(t.Context(), e.ReplayID)
		if err != nil || r.Status != saga.ReplayFailed || r.OriginalSagaID != tt.saga || r.CheckpointStep != "Charge" ||
			r.SnapshotID.Valid || r.CompletedAt.String() != noon || r.ErrorMessage == nil || !strings.Contains(*r.ErrorMessage, `"Charge"`) {
			t.Errorf("record %+v, %v", r, err)
		}
	}
}

// An unknown snapshot leaves nothing, and one of another saga is unknown.
func TestPrepareReplayFromAnUnknownSnapshot(t *testing.T) {
	w := withSteps(t)
	for _, id := range []int{4711, 9} {
		if e := w.wantNoCheckpoint(orders, `{"snapshot_id":"`+nth(id).String()+`","replay_id":"`+nth(66).String()+`"}`); e.ReplayID != uuid.Nil {
			t.Errorf("answer %+v", e)
		}
	}
	w.wantHeard()
	if n := w.replays(orders); n != 0 {
		t.Errorf("%d records", n)
	}
}

// A replay id makes a retry safe.
func TestPrepareReplayAgain(t *testing.T) {
	w := withSteps(t)
	id := `"replay_id":"` + nth(66).String() + `"`
	first := w.prepare(`{"checkpoint_step":"charge","context_override":{"a":1.0},`+id+`}`, true)
	w.forget()

	// Neither a newer snapshot of the step nor progress changes the answer's start.
	w.save(orders, 4, "")
	if _, err := w.ReportReplay(t.Context(), nth(66), &saga.ReplayReport{Status: saga.ReplayRunning}); err != nil {
		t.Fatal(err)
	}
	w.forget()
	again := w.prepare(`{"context_override": { "a" :1.0 }, "initiated_by":"system","dry_run":false, "checkpoint_step":"charge",`+id+`}`, false)
	if again.Replay.SnapshotID != valid(nth(3)) || again.Replay.NewSagaID != first.Replay.NewSagaID || again.Replay.Status != saga.ReplayRunning {
		t.Errorf("answered %+v, at first %+v", again.Replay, first.Replay)
	}
	if string(again.Resume.AppendJSON(nil, false)) != string(first.Resume.AppendJSON(nil, false)) {
		t.Errorf("resumes at %+v, at first %+v", again.Resume, first.Resume)
	}
	w.prepare(`{"checkpoint_step":"charge","context_override":{"a":1.0},"new_saga_id":"`+first.Replay.NewSagaID.String()+`",`+id+`}`, false)
	w.wantHeard()

	for _, other := range []string{
		`{"checkpoint_step":"ship","context_override":{"a":1.0},`,
		`{"checkpoint_step":"charge","context_override":{"a":1},`,
		`{"checkpoint_step":"charge",`,
		`{"checkpoint_step":"charge","context_override":{"a":1.0},"dry_run":true,`,
		`{"checkpoint_step":"charge","context_override":{"a":1.0},"initiated_by":"me",`,
		`{"checkpoint_step":"charge","context_override":{"a":1.0},"new_saga_id":"` + nth(55).String() + `",`,
		`{"snapshot_id":"` + nth(1).String() + `","context_override":{"a":1.0},`,
	} {
		if _, created, err := w.PrepareReplay(t.Context(), orders, request(t, other+id+`}`)); !errors.Is(err, saga.ErrReplayConflict) || created {
			t.Errorf("%s: created %t, %v", other, created, err)
		}
	}
	if _, _, err := w.PrepareReplay(t.Context(), refunds, request(t, `{"checkpoint_step":"charge","context_override":{"a":1.0},`+id+`}`)); !errors.Is(err, saga.ErrReplayConflict) {
		t.Errorf("of another saga: %v", err)
	}
	w.wantHeard()

	// Without its checkpoint there is nothing to start from any more.
	if err := w.DeleteSnapshot(t.Context(), nth(3)); err != nil {
		t.Fatal(err)
	}
	retry := request(t, `{"checkpoint_step":"charge","context_override":{"a":1.0},`+id+`}`)
	if _, created, err := w.PrepareReplay(t.Context(), orders, retry); !errors.Is(err, saga.ErrReplayConflict) || created {
		t.Errorf("after its checkpoint was deleted: created %t, %v", created, err)
	}
	if n := w.replays(orders); n != 1 {
		t.Errorf("%d records", n)
	}
}

// A retry of what failed for want of a checkpoint fails in the same way, with the
// same record.
func TestPrepareFailedReplayAgain(t *testing.T) {
	w := withSteps(t)
	body := `{"checkpoint_step":"pack","replay_id":"` + nth(66).String() + `"}`
	first := w.wantNoCheckpoint(orders, body)
	w.save(orders, 4, `"step_name":"pack"`)
	again := w.wantNoCheckpoint(orders, body)
	if first.ReplayID != nth(66) || again.ReplayID != nth(66) || again.Step != "pack" || !slices.Equal(again.AvailableSteps, []string{"pack", "charge", "ship"}) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if n := w.replays(orders); n != 1 {
		t.Errorf("%d records", n)
	}
}

// Of many requests with one replay id at once one prepares, and all get its answer.
func TestPrepareOneReplayAtOnce(t *testing.T) {
	w := withSteps(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	createdCount, newSagas := 0, map[uuid.UUID]bool{}
	for range 16 {
		wg.Go(func() {
			p, created, err := w.PrepareReplay(t.Context(), orders, request(t, `{"checkpoint_step":"charge","replay_id":"`+nth(66).String()+`"}`))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			newSagas[p.Resume.SagaID] = true
			if created {
				createdCount++
			}
		})
	}
	wg.Wait()
	if createdCount != 1 || len(newSagas) != 1 {
		t.Errorf("%d prepared, new sagas %v", createdCount, newSagas)
	}
	w.wantHeard("replay pending")
}

// A snapshot that vanishes between being found and being opened is passed over.
func TestPrepareReplayPassesOverWhatVanishes(t *testing.T) {
	w := withSteps(t)
	w.store.list = func(ctx context.Context, q *saga.Query) (*store.Page, error) {
		page, err := w.store.Store.List(ctx, q)
		if err == nil && len(page.Items) > 0 && page.Items[0].ID == nth(3) {
			page.Items[0].Open = func(context.Context, bool) (*store.Document, error) { return nil, saga.ErrSnapshotNotFound }
		}
		return page, err
	}
	p := w.prepare(`{"checkpoint_step":"charge"}`, true)
	if p.Replay.SnapshotID != valid(nth(1)) {
		t.Errorf("starts from %v", p.Replay.SnapshotID.UUID)
	}
}

func TestPrepareReplayFails(t *testing.T) {
	w := withSteps(t)
	w.store.putReplay = func(_ context.Context, _, _ *saga.Replay) error { return saga.ErrNoSpace }
	for _, body := range []string{`{"checkpoint_step":"charge"}`, `{"checkpoint_step":"none"}`, `{"snapshot_id":"` + nth(1).String() + `"}`} {
		if p, created, err := w.PrepareReplay(t.Context(), orders, request(t, body)); !errors.Is(err, saga.ErrNoSpace) || created || p != nil {
			t.Errorf("%s: %v, %t, %v", body, p, created, err)
		}
	}
	w.wantHeard()
	w.store.putReplay = nil

	// An unreadable checkpoint is not a missing one, and leaves no record.
	w.store.get = w.openAs(func(context.Context, bool) (*store.Document, error) {
		return &store.Document{File: io.NopCloser(strings.NewReader(`{"snapshot_id":1}`))}, nil
	})
	if _, _, err := w.PrepareReplay(t.Context(), orders, request(t, `{"snapshot_id":"`+nth(1).String()+`"}`)); !errors.Is(err, saga.ErrCorrupt) {
		t.Errorf("from an unreadable snapshot: %v", err)
	}
	w.store.list = func(context.Context, *saga.Query) (*store.Page, error) { return nil, saga.ErrUnsupported }
	if _, _, err := w.PrepareReplay(t.Context(), orders, request(t, `{"checkpoint_step":"charge"}`)); !errors.Is(err, saga.ErrUnsupported) {
		t.Errorf("over a store that cannot list: %v", err)
	}
	if n := w.replays(orders); n != 0 {
		t.Errorf("%d records", n)
	}
}
