package saga_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// replayFields are a record as a client or sagaz writes it.
var replayFields = []field{
	{"original_saga_id", text(sagaID)},
	{"new_saga_id", text(otherID)},
	{"checkpoint_step", `"charge"`},
	{"replay_status", `"pending"`},
}

func TestReplayStatus(t *testing.T) {
	const pending, running, success, failed, cancelled = saga.ReplayPending, saga.ReplayRunning, saga.ReplaySuccess, saga.ReplayFailed, saga.ReplayCancelled
	next := map[saga.ReplayStatus][]saga.ReplayStatus{
		pending: {running, success, failed, cancelled},
		running: {success, failed, cancelled},
	}
	final := []saga.ReplayStatus{success, failed, cancelled}
	for _, from := range saga.ReplayStatuses {
		for _, to := range saga.ReplayStatuses {
			if got, want := from.CanBecome(to), slices.Contains(next[from], to); got != want {
				t.Errorf("%s to %s: %t", from, to, got)
			}
		}
		if got, want := from.Final(), slices.Contains(final, from); got != want {
			t.Errorf("%s is final: %t", from, got)
		}
	}
}

func TestParseReplayDraft(t *testing.T) {
	const ok = ""
	for _, tt := range []struct {
		change []string
		faults string
	}{
		{nil, ok},
		{[]string{"original_saga_id", ``}, "missing_field /original_saga_id"},
		{[]string{"new_saga_id", ``}, "missing_field /new_saga_id"},
		{[]string{"checkpoint_step", ``}, "missing_field /checkpoint_step"},
		{[]string{"replay_status", ``}, "missing_field /replay_status"},
		{[]string{"original_saga_id", `null`}, "invalid_field /original_saga_id"},
		{[]string{"new_saga_id", `"x"`}, "invalid_field /new_saga_id"},
		{[]string{"checkpoint_step", `""`}, "invalid_field /checkpoint_step"},
		{[]string{"checkpoint_step", text(strings.Repeat("é", 256))}, "invalid_field /checkpoint_step"},
		{[]string{"checkpoint_step", `"a\u007f"`}, "invalid_field /checkpoint_step"},
		{[]string{"replay_status", `"done"`}, "invalid_field /replay_status"},
		{[]string{"replay_status", `null`}, "invalid_field /replay_status"},
		{[]string{"replay_status", `"Pending"`}, "invalid_field /replay_status"},
		{[]string{"replay_status", `"pending\u0000"`}, "invalid_field /replay_status"},

		{[]string{"replay_id", text(strings.ToUpper(snapshotID))}, ok},
		{[]string{"replay_id", `null`}, "invalid_field /replay_id"},
		{[]string{"initiated_by", text(strings.Repeat("é", 255))}, ok},
		{[]string{"initiated_by", `null`}, "invalid_field /initiated_by"},
		{[]string{"initiated_by", `""`}, "invalid_field /initiated_by"},
		{[]string{"context_override", `null`}, ok},
		{[]string{"context_override", `{"a":null}`}, ok},
		{[]string{"context_override", `[]`}, "invalid_field /context_override"},
		{[]string{"context_override", `{"a":1,"\u0061":2}`}, "duplicate_field /context_override/a"},
		{[]string{"snapshot_id", `null`}, ok},
		{[]string{"snapshot_id", text(snapshotID)}, ok},
		{[]string{"snapshot_id", `""`}, "invalid_field /snapshot_id"},
		{[]string{"dry_run", `null`}, ok},
		{[]string{"dry_run", `true`}, ok},
		{[]string{"dry_run", `"true"`}, "invalid_field /dry_run"},
		{[]string{"dry_run", `1`}, "invalid_field /dry_run"},
		{[]string{"created_at", `"2026-11-22T22:08:59Z"`}, ok},
		{[]string{"created_at", `null`}, "invalid_field /created_at"},
		{[]string{"created_at", `"2026-11-22T22:08:59"`}, "invalid_field /created_at"},

		// What goes with which status.
		{[]string{"error_message", `null`}, ok},
		{[]string{"error_message", `"no"`}, "invalid_field /error_message"},
		{[]string{"error_message", `7`, "replay_status", `"failed"`}, "invalid_field /error_message"},
		{[]string{"error_message", `""`, "replay_status", `"running"`}, "invalid_field /error_message"},
		{[]string{"error_message", `"no"`, "replay_status", `"success"`}, "invalid_field /error_message"},
		{[]string{"error_message", `"no"`, "replay_status", `"failed"`}, ok},
		{[]string{"error_message", `"no\n"`, "replay_status", `"cancelled"`}, ok},
		{[]string{"completed_at", `null`}, ok},
		{[]string{"completed_at", `"2026-11-22T22:08:59Z"`}, "invalid_field /completed_at"},
		{[]string{"completed_at", `"2026-11-22T22:08:59Z"`, "replay_status", `"running"`}, "invalid_field /completed_at"},
		{[]string{"completed_at", `"2026-11-22T22:08:59Z"`, "replay_status", `"success"`}, ok},
		{[]string{"completed_at", `"soon"`, "replay_status", `"success"`}, "invalid_field /completed_at"},

		{[]string{"status", `"failed"`}, "unknown_field /status"},
		{[]string{"new_saga_id", `1`, "replay_status", ``, "x", `1`}, "invalid_field /new_saga_id, unknown_field /x, missing_field /replay_status"},
	} {
		_, err := saga.ParseReplayDraft([]byte(object(replayFields, tt.change...)))
		if got := strings.Join(faults(err), ", "); got != tt.faults {
			t.Errorf("%.100q: %q (%v), want %q", tt.change, got, err, tt.faults)
		}
	}
}

func TestParseReplayDraftSaysWhatWasSent(t *testing.T) {
	d, err := saga.ParseReplayDraft([]byte(object(replayFields)))
	if err != nil {
		t.Fatal(err)
	}
	if d.HasID || d.HasInitiatedBy || d.HasErrorMessage || d.HasCreatedAt || d.HasCompletedAt || d.HasDryRun ||
		d.InitiatedBy != "system" || d.ContextOverride != nil || d.ErrorMessage != nil || d.CompletedAt != saga.Never || d.SnapshotID.Valid || d.DryRun {
		t.Errorf("defaults: %+v", d)
	}
	d, err = saga.ParseReplayDraft([]byte(object(replayFields, "replay_id", text(snapshotID), "replay_status", `"failed"`, "initiated_by", `"me"`,
		"error_message", `null`, "created_at", `"2026-11-22T22:08:59Z"`, "completed_at", `"2026-11-22T22:09:59Z"`, "dry_run", `false`)))
	if err != nil {
		t.Fatal(err)
	}
	if !d.HasID || !d.HasInitiatedBy || !d.HasErrorMessage || !d.HasCreatedAt || !d.HasCompletedAt || !d.HasDryRun || d.InitiatedBy != "me" {
		t.Errorf("sent: %+v", d)
	}
}

func TestParseReplayRequest(t *testing.T) {
	const ok = ""
	for body, want := range map[string]string{
		`{"checkpoint_step":"charge"}`: ok,
		`{"snapshot_id":"` + snapshotID + `","context_override":null,"dry_run":false,"initiated_by":"me","new_saga_id":"` + otherID + `","replay_id":"` + snapshotID + `"}`: ok,

		`{}`: "missing_field /checkpoint_step",
		`{"checkpoint_step":"a","snapshot_id":"` + snapshotID + `"}`: "invalid_field /snapshot_id",
		`{"checkpoint_step":null}`:                                   "invalid_field /checkpoint_step",
		`{"checkpoint_step":""}`:                                     "invalid_field /checkpoint_step",
		`{"snapshot_id":null}`:                                       "invalid_field /snapshot_id",
		`{"checkpoint_step":"a","context_override":[]}`:              "invalid_field /context_override",
		`{"checkpoint_step":"a","context_override":"{}"}`:            "invalid_field /context_override",
		`{"checkpoint_step":"a","dry_run":null}`:                     "invalid_field /dry_run",
		`{"checkpoint_step":"a","dry_run":"yes"}`:                    "invalid_field /dry_run",
		`{"checkpoint_step":"a","initiated_by":null}`:                "invalid_field /initiated_by",
		`{"checkpoint_step":"a","new_saga_id":null}`:                 "invalid_field /new_saga_id",
		`{"checkpoint_step":"a","replay_id":"1"}`:                    "invalid_field /replay_id",
		`{"checkpoint_step":"a","dryrun":true}`:                      "unknown_field /dryrun",
		`{"checkpoint_step":"a","dry_run":true,"dry_run":false}`:     "duplicate_field /dry_run",
		`{"dry_run":1,"step":"a"}`:                                   "invalid_field /dry_run, unknown_field /step, missing_field /checkpoint_step",
		`["charge"]`:                                                 "invalid_json",
		``:                                                           "invalid_json",
	} {
		_, err := saga.ParseReplayRequest([]byte(body))
		if got := strings.Join(faults(err), ", "); got != want {
			t.Errorf("%s: %q (%v), want %q", body, got, err, want)
		}
	}
	q, err := saga.ParseReplayRequest([]byte(`{"checkpoint_step":"\u0063harge"}`))
	if err != nil || q.CheckpointStep != "charge" || q.InitiatedBy != "system" || q.SnapshotID.Valid || q.NewSagaID.Valid || q.ReplayID.Valid || q.DryRun || q.ContextOverride != nil {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestParseReplayReport(t *testing.T) {
	const ok = ""
	for body, want := range map[string]string{
		`{"replay_status":"running"}`:                          ok,
		`{"replay_status":"running","error_message":null}`:     ok,
		`{"replay_status":"failed","error_message":"boom"}`:    ok,
		`{"replay_status":"cancelled","error_message":"why"}`:  ok,
		`{"replay_status":"failed"}`:                           ok,
		`{"replay_status":"success","error_message":"boom"}`:   "invalid_field /error_message",
		`{"replay_status":"pending","error_message":""}`:       "invalid_field /error_message",
		`{"replay_status":"failed","error_message":{"a":1}}`:   "invalid_field /error_message",
		`{"error_message":"boom"}`:                             "missing_field /replay_status",
		`{}`:                                                   "missing_field /replay_status",
		`{"replay_status":null}`:                               "invalid_field /replay_status",
		`{"replay_status":"finished"}`:                         "invalid_field /replay_status",
		`{"replay_status":"failed","completed_at":null}`:       "unknown_field /completed_at",
		`{"replay_status":"failed","replay_status":"running"}`: "duplicate_field /replay_status",
		`{"replay_status":"failed"}}`:                          "invalid_json",
	} {
		_, err := saga.ParseReplayReport([]byte(body))
		if got := strings.Join(faults(err), ", "); got != want {
			t.Errorf("%s: %q (%v), want %q", body, got, err, want)
		}
	}
}

const wholeReplay = `{
  "replay_id": "` + snapshotID + `",
  "original_saga_id": "` + sagaID + `",
  "new_saga_id": "` + otherID + `",
  "checkpoint_step": "charge \"é\"",
  "replay_status": "failed",
  "initiated_by": "me",
  "context_override": {
    "n": 1.0,
    "s": "\u00e9\ud800",
    "x": null
  },
  "error_message": "line\nbreak",
  "created_at": "2026-11-22T22:08:59.119505+00:00",
  "completed_at": "2026-11-22T22:09:00+00:00",
  "snapshot_id": "` + otherID + `",
  "dry_run": true,
  "their_own": [
    1.0
  ]
}`

func TestReplayAppendJSON(t *testing.T) {
	r, err := saga.ReadReplay([]byte(wholeReplay))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.AppendJSON([]byte("behind"), true)); got != "behind"+wholeReplay {
		t.Errorf("pretty:\n%s\nwant\n%s", got, wholeReplay)
	}
	got, want := string(r.AppendJSON(nil, false)), string(document.AppendCompact(nil, []byte(wholeReplay)))
	if got != want {
		t.Errorf("compact:\n%s\nwant\n%s", got, want)
	}
	if b, err := json.Marshal(&saga.Replay{Status: saga.ReplayPending, InitiatedBy: "system", CompletedAt: saga.Never}); err != nil ||
		!strings.HasSuffix(string(b), `"initiated_by":"system","context_override":null,"error_message":null,`+
			`"created_at":"1970-01-01T00:00:00+00:00","completed_at":null,"snapshot_id":null,"dry_run":false}`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestReadReplay(t *testing.T) {
	stored := append([]field{{"replay_id", text(snapshotID)}}, append(slices.Clone(replayFields), field{"created_at", `"2026-11-22T22:08:59"`})...)
	r, err := saga.ReadReplay([]byte(object(stored, "original_saga_id", text(strings.ToUpper(sagaID)), "completed_at", `"2026-11-22T22:09:59.5"`, "replay_status", `"success"`)))
	if err != nil || r.OriginalSagaID.String() != sagaID || r.InitiatedBy != "system" || r.DryRun || r.SnapshotID.Valid ||
		r.CreatedAt != parseTime(t, "2026-11-22T22:08:59Z") || r.CompletedAt != parseTime(t, "2026-11-22T22:09:59.5Z") {
		t.Errorf("with what other writers leave out: %+v, %v", r, err)
	}
	for _, change := range [][]string{
		{"replay_id", ``}, {"original_saga_id", ``}, {"new_saga_id", ``}, {"checkpoint_step", ``}, {"replay_status", ``}, {"created_at", ``},
		{"replay_id", `1`}, {"new_saga_id", `null`}, {"checkpoint_step", `null`}, {"replay_status", `"done"`}, {"replay_status", `""`},
		{"initiated_by", `null`}, {"created_at", `null`}, {"completed_at", `""`}, {"context_override", `[]`}, {"error_message", `1`},
		{"snapshot_id", `""`}, {"dry_run", `"yes"`}, {"their_own", `NaN`},
	} {
		if r, err := saga.ReadReplay([]byte(object(stored, change...))); err == nil {
			t.Errorf("%q is read as %+v", change, r)
		}
	}
	for _, doc := range []string{``, `null`, `{`, object(stored) + `{}`} {
		if _, err := saga.ReadReplay([]byte(doc)); err == nil {
			t.Errorf("%.40q is read", doc)
		}
	}
}

func TestReadReplayFixtures(t *testing.T) {
	docs := fixtures(t, "replays")
	if len(docs) == 0 {
		t.Error("no fixtures")
	}
	for _, doc := range docs {
		wantReplayAgain(t, doc)
		if _, err := saga.ParseReplayDraft(doc); err != nil {
			t.Errorf("cannot be saved again: %s: %v", doc, err)
		}
	}
}

// wantReplayAgain checks that a record says the same when it is written anew.
func wantReplayAgain(t *testing.T, doc []byte) {
	t.Helper()
	r, err := saga.ReadReplay(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	written := r.AppendJSON(nil, true)
	again, err := saga.ReadReplay(written)
	if err != nil || !document.Equal(again.AppendJSON(nil, false), written) || again.Position() != r.Position() || again.Status != r.Status {
		t.Fatalf("%s\nwritten\n%s\nreads %+v, %v", doc, written, again, err)
	}
}

// FuzzReadReplay: whatever can be read can be written.
func FuzzReadReplay(f *testing.F) {
	for _, doc := range fixtures(f, "replays") {
		f.Add(doc)
	}
	f.Add([]byte(wholeReplay))
	f.Add([]byte(object(replayFields)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if _, err := saga.ReadReplay(doc); err == nil {
			wantReplayAgain(t, doc)
		}
		if d, err := saga.ParseReplayDraft(doc); err == nil {
			wantReplayAgain(t, d.AppendJSON(nil, false))
		}
		if q, err := saga.ParseReplayRequest(doc); err == nil && (q.CheckpointStep == "") != q.SnapshotID.Valid {
			t.Fatalf("%s: both or none of step and snapshot: %+v", doc, q)
		}
		_, _ = saga.ParseReplayReport(doc)
	})
}
