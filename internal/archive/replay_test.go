package archive_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"snapshotd/internal/saga"
)

// record is a replay of orders as a client sends it, with the id 66.
func record(t testing.TB, fields string) *saga.ReplayDraft {
	t.Helper()
	body := `{"original_saga_id":"` + orders.String() + `","new_saga_id":"` + nth(55).String() + `"`
	if !strings.Contains(fields, `"checkpoint_step"`) {
		body += `,"checkpoint_step":"charge"`
	}
	d, err := saga.ParseReplayDraft([]byte(body + "," + fields + "}"))
	if err != nil {
		t.Fatalf("%s: %v", fields, err)
	}
	d.ID, d.HasID = nth(66), true
	return d
}

func TestSaveReplay(t *testing.T) {
	const pending, running, success, failed = `"replay_status":"pending"`, `"replay_status":"running"`, `"replay_status":"success"`, `"replay_status":"failed"`
	type step struct {
		fields string
		want   string // created, same, the changed record's end, or conflict
	}
	const created, same, changed, conflict = "created", "same", "changed", "conflict"
	for name, steps := range map[string][]step{
		"one that is logged at the end": {
			{success, created},
			{success, same},
			{success + `,"completed_at":null,"error_message":null,"context_override":null,"snapshot_id":null,"dry_run":null`, same},
			{success + `,"initiated_by":"system","created_at":"2026-03-01T13:00:00+01:00","completed_at":"2026-03-01T12:00:00Z"`, same},
			{success + `,"completed_at":"2026-03-01T12:00:01Z"`, conflict},
			{success + `,"initiated_by":"me"`, conflict},
			{success + `,"dry_run":true`, conflict},
			{success + `,"context_override":{}`, conflict},
			{failed, conflict},
			{running, conflict},
		},
		"one that fails": {
			{failed + `,"error_message":"boom"`, created},
			{failed, same},
			{failed + `,"error_message":"boom"`, same},
			{failed + `,"error_message":null`, conflict},
			{failed + `,"error_message":"bang"`, conflict},
		},
		"one step after the other": {
			{pending + `,"snapshot_id":"` + nth(3).String() + `","context_override":{"a":1.0},"dry_run":true`, created},
			{pending, same},
			{pending + `,"context_override": { "a":1.0 }`, same},
			{running + `,"context_override":null,"snapshot_id":null,"dry_run":null`, changed},
			{running, same},
			{pending, conflict},
			{running + `,"snapshot_id":"` + nth(4).String() + `"`, conflict},
			{running + `,"initiated_by":"me"`, changed},
			{success, changed},
			{success + `,"initiated_by":"me","context_override":{"a":1.0},"snapshot_id":"` + nth(3).String() + `"`, same},
			{`"replay_status":"cancelled"`, conflict},
		},
		"straight on": {
			{pending, created},
			{`"replay_status":"cancelled","error_message":"enough","completed_at":"2026-03-01T11:00:00Z"`, changed},
			{`"replay_status":"cancelled"`, same},
		},
		"what never changes": {
			{pending, created},
			{running + `,"checkpoint_step":"ship"`, conflict},
			{running + `,"snapshot_id":"` + nth(3).String() + `"`, changed}, // where there was none
			{running + `,"snapshot_id":"` + nth(4).String() + `"`, conflict},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := ""
			for _, s := range steps {
				w.forget()
				r, isNew, err := w.SaveReplay(t.Context(), record(t, s.fields))
				stored, getErr := w.Replay(t.Context(), nth(66))
				if getErr != nil {
					t.Fatal(getErr)
				}
				after := string(stored.AppendJSON(nil, false))
				got := changed
				switch {
				case errors.Is(err, saga.ErrReplayConflict):
					got = conflict
				case err != nil:
					t.Fatalf("%s: %v", s.fields, err)
				case isNew:
					got = created
				case after == before:
					got = same
				}
				if got != s.want || err == nil && string(r.AppendJSON(nil, false)) != after || got == conflict && after != before {
					t.Errorf("%s is %s, want %s; stored\n%s\nbefore\n%s", s.fields, got, s.want, after, before)
				}
				if stored.Status.Final() != (stored.CompletedAt != saga.Never) {
					t.Errorf("%s: completed at %s as %s", s.fields, stored.CompletedAt, stored.Status)
				}
				if !strings.Contains(before, `"replay_status":"`+string(stored.Status)) {
					w.wantHeard("replay " + string(stored.Status))
				} else {
					w.wantHeard()
				}
				before = after
				w.pass(time.Second)
			}
		})
	}
}

func TestSaveReplayIDsNeverChange(t *testing.T) {
	w := newWorld(t)
	if _, created, err := w.SaveReplay(t.Context(), record(t, `"replay_status":"pending"`)); err != nil || !created {
		t.Fatal(created, err)
	}
	for _, change := range []func(*saga.ReplayDraft){
		func(d *saga.ReplayDraft) { d.OriginalSagaID = refunds },
		func(d *saga.ReplayDraft) { d.NewSagaID = nth(56) },
	} {
		d := record(t, `"replay_status":"running"`)
		change(d)
		if _, _, err := w.SaveReplay(t.Context(), d); !errors.Is(err, saga.ErrReplayConflict) {
			t.Errorf("%+v: %v", d.Replay, err)
		}
	}
}

// Keys of another writer survive an update.
func TestReplayKeepsWhatIsNotOurs(t *testing.T) {
	w := newWorld(t)
	r, err := saga.ReadReplay([]byte(`{"replay_id":"` + nth(66).String() + `","original_saga_id":"` + orders.String() + `","new_saga_id":"` + nth(55).String() +
		`","checkpoint_step":"charge","replay_status":"pending","created_at":"2026-03-01T10:00:00","their_own":[1.0]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutReplay(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.SaveReplay(t.Context(), record(t, `"replay_status":"running"`)); err != nil {
		t.Fatal(err)
	}
	moved, err := w.ReportReplay(t.Context(), nth(66), &saga.ReplayReport{Status: saga.ReplaySuccess})
	if err != nil || !strings.HasSuffix(string(moved.AppendJSON(nil, false)), `"dry_run":false,"their_own":[1.0]}`) {
		t.Errorf("%s, %v", moved.AppendJSON(nil, false), err)
	}
}

func TestReportReplay(t *testing.T) {
	message := func(text string) *string { return &text }
	for _, tt := range []struct {
		from  string
		to    saga.ReplayStatus
		error *string
		want  string // moved, same or conflict
	}{
		{`"replay_status":"pending"`, saga.ReplayPending, nil, "same"},
		{`"replay_status":"pending"`, saga.ReplayRunning, nil, "moved"},
		{`"replay_status":"pending"`, saga.ReplaySuccess, nil, "moved"},
		{`"replay_status":"pending"`, saga.ReplayCancelled, message("why"), "moved"},
		{`"replay_status":"running"`, saga.ReplayPending, nil, "conflict"},
		{`"replay_status":"running"`, saga.ReplayRunning, nil, "same"},
		{`"replay_status":"running"`, saga.ReplayFailed, message("boom"), "moved"},
		{`"replay_status":"running"`, saga.ReplayFailed, nil, "moved"},
		{`"replay_status":"success"`, saga.ReplaySuccess, nil, "same"},
		{`"replay_status":"success"`, saga.ReplayRunning, nil, "conflict"},
		{`"replay_status":"success"`, saga.ReplayFailed, message("boom"), "conflict"},
		{`"replay_status":"failed","error_message":"boom"`, saga.ReplayFailed, message("boom"), "same"},
		{`"replay_status":"failed","error_message":"boom"`, saga.ReplayFailed, nil, "same"},
		{`"replay_status":"failed","error_message":"boom"`, saga.ReplayFailed, message("bang"), "conflict"},
		{`"replay_status":"failed"`, saga.ReplayFailed, message("boom"), "conflict"},
		{`"replay_status":"cancelled"`, saga.ReplayFailed, nil, "conflict"},
	} {
		w := newWorld(t)
		if _, _, err := w.SaveReplay(t.Context(), record(t, tt.from)); err != nil {
			t.Fatal(err)
		}
		w.forget()
		w.pass(time.Minute)
		before, err := w.Replay(t.Context(), nth(66))
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.ReportReplay(t.Context(), nth(66), &saga.ReplayReport{Status: tt.to, ErrorMessage: tt.error})
		switch tt.want {
		case "conflict":
			if !errors.Is(err, saga.ErrReplayConflict) {
				t.Errorf("%s to %s: %v", tt.from, tt.to, err)
			}
			w.wantHeard()
			continue
		case "same":
			if err != nil || string(r.AppendJSON(nil, false)) != string(before.AppendJSON(nil, false)) {
				t.Errorf("%s to %s: %+v, %v", tt.from, tt.to, r, err)
			}
			w.wantHeard()
			continue
		}
		want := saga.Never
		if tt.to.Final() {
			want = moment(t, "2026-03-01T12:01:00Z")
		}
		if err != nil || r.Status != tt.to || r.CompletedAt != want || (r.ErrorMessage == nil) != (tt.error == nil) {
			t.Errorf("%s to %s: %+v, %v", tt.from, tt.to, r, err)
		}
		w.wantHeard("replay " + string(tt.to))
	}
	w := newWorld(t)
	if _, err := w.ReportReplay(t.Context(), nth(66), &saga.ReplayReport{Status: saga.ReplayRunning}); !errors.Is(err, saga.ErrReplayNotFound) {
		t.Errorf("of an unknown replay: %v", err)
	}
}

// Somebody is faster: what he wrote is looked at anew.
func TestReplayChangesMeanwhile(t *testing.T) {
	w := newWorld(t)
	faster := func(fields string) {
		w.store.putReplay = func(ctx context.Context, r, expect *saga.Replay) error {
			w.store.putReplay = nil
			if _, _, err := w.SaveReplay(ctx, record(t, fields)); err != nil {
				t.Error(err)
			}
			return w.store.Store.PutReplay(ctx, r, expect)
		}
	}
	faster(`"replay_status":"pending","initiated_by":"me"`)
	if r, created, err := w.SaveReplay(t.Context(), record(t, `"replay_status":"pending"`)); err != nil || created || r.InitiatedBy != "me" {
		t.Errorf("the first of two: %+v, %t, %v", r, created, err)
	}
	faster(`"replay_status":"running"`)
	if r, err := w.ReportReplay(t.Context(), nth(66), &saga.ReplayReport{Status: saga.ReplaySuccess}); err != nil || r.Status != saga.ReplaySuccess {
		t.Errorf("success after running: %+v, %v", r, err)
	}
	w.wantHeard("replay pending", "replay running", "replay success")

	w = newWorld(t)
	if _, _, err := w.SaveReplay(t.Context(), record(t, `"replay_status":"pending"`)); err != nil {
		t.Fatal(err)
	}
	w.store.putReplay = func(ctx context.Context, r, expect *saga.Replay) error {
		w.store.putReplay = nil
		if _, err := w.ReportReplay(ctx, nth(66), &saga.ReplayReport{Status: saga.ReplayCancelled}); err != nil {
			t.Error(err)
		}
		return w.store.Store.PutReplay(ctx, r, expect)
	}
	if _, err := w.ReportReplay(t.Context(), nth(66), &saga.ReplayReport{Status: saga.ReplayRunning}); !errors.Is(err, saga.ErrReplayConflict) {
		t.Errorf("running after it was cancelled: %v", err)
	}
}

// Two change different fields at the same time: neither is lost.
func TestReplayFieldsChangeMeanwhile(t *testing.T) {
	w := newWorld(t)
	save := func(ctx context.Context, fields string) {
		t.Helper()
		if _, _, err := w.SaveReplay(ctx, record(t, `"replay_status":"pending"`+fields)); err != nil {
			t.Error(err)
		}
	}
	save(t.Context(), "")
	w.store.putReplay = func(ctx context.Context, r, expect *saga.Replay) error {
		w.store.putReplay = nil
		save(ctx, `,"initiated_by":"me"`)
		return w.store.Store.PutReplay(ctx, r, expect)
	}
	save(t.Context(), `,"context_override":{"a":1}`)
	if r, err := w.Replay(t.Context(), nth(66)); err != nil || r.InitiatedBy != "me" || string(r.ContextOverride) != `{"a":1}` {
		t.Errorf("%+v, %v", r, err)
	}
}
