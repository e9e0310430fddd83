package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// checkpoints saves what the scenarios below replay from.
func (w *world) checkpoints() {
	w.Helper()
	for i, context := range []string{`{"old": 0}`, `{"amount": 1.0, "big": 123456789012345678901234567890, "items": {"a": 1, "b": 2}, "gone": "x"}`} {
		w.do("PUT", "/v1/snapshots/"+snapshotID(i), fmt.Sprintf(
			`{"saga_id": "%s", "saga_name": "order", "step_name": "step-%d", "step_index": %d, "status": "failed", "context": %s,
			"completed_steps": ["a", "b"], "external_refs": {"k": "s3://x"}, "created_at": "2026-11-22T10:00:0%dZ"}`,
			sagaID(1), i, i, context, i)).is(201)
	}
}

const override = `{"new": [1,  2.50], "items": {"c": 3}, "gone": null}`

func TestPrepareAReplay(t *testing.T) {
	overStores(t, func(w *world) {
		w.checkpoints()
		body := fmt.Sprintf(`{"checkpoint_step": "step-1", "context_override": %s, "initiated_by": "ada", "new_saga_id": "%s", "replay_id": "%s"}`,
			override, sagaID(2), strings.ToUpper(replayID(1)))
		record := func(status, completed string) string {
			return fmt.Sprintf(`{"replay_id":"%s","original_saga_id":"%s","new_saga_id":"%s","checkpoint_step":"step-1","replay_status":"%s",`+
				`"initiated_by":"ada","context_override":{"new":[1,2.50],"items":{"c":3},"gone":null},"error_message":null,`+
				`"created_at":"2026-11-22T22:08:59.119505+00:00","completed_at":%s,"snapshot_id":"%s","dry_run":false}`,
				replayID(1), sagaID(1), sagaID(2), status, completed, snapshotID(1))
		}
		resume := fmt.Sprintf(`{"saga_id":"%s","saga_name":"order","step_name":"step-1","step_index":1,"completed_steps":["a","b"],`+
			`"external_refs":{"k":"s3://x"},"context":{"amount":1.0,"big":123456789012345678901234567890,"items":{"c":3},"gone":null,"new":[1,2.50]}}`, sagaID(2))
		answer := `{"replay":` + record("pending", "null") + `,"resume":` + resume + "}\n"
		path := "/v1/sagas/" + sagaID(1) + "/replays"
		w.do("POST", path, body).is(201).says(answer).has("Location", "/v1/replays/"+replayID(1))
		w.do("POST", path, body).is(200).says(answer).has("Location", "")
		w.get("/v1/replays/" + replayID(1)).is(200).says(record("pending", "null") + "\n")

		w.now = w.now.Add(time.Second)
		w.do("PATCH", "/v1/replays/"+replayID(1), `{"replay_status": "success"}`).is(200).
			says(record("success", `"2026-11-22T22:09:00.119505+00:00"`) + "\n")
		w.do("POST", path, body).is(200).
			says(`{"replay":` + record("success", `"2026-11-22T22:09:00.119505+00:00"`) + `,"resume":` + resume + "}\n")

		for was, is := range map[string]string{"step-1": "step-0", "2.50": "2.5", "ada": "bob", sagaID(2): sagaID(3)} {
			w.do("POST", path, strings.Replace(body, was, is, 1)).problem(409, "replay_conflict")
		}
		w.do("POST", "/v1/sagas/"+sagaID(7)+"/replays", body).problem(409, "replay_conflict")
		pretty := w.do("POST", path+"?pretty", body).is(200).body
		if !strings.HasPrefix(pretty, "{\n  \"replay\": {\n    \"replay_id\"") || !strings.Contains(pretty, "\n      \"amount\": 1.0,\n") {
			t.Error(pretty)
		}
	})
}

func TestPrepareWithDefaults(t *testing.T) {
	overStores(t, func(w *world) {
		w.checkpoints()
		path := "/v1/sagas/" + sagaID(1) + "/replays"
		a := w.do("POST", path, `{"snapshot_id": "`+snapshotID(0)+`"}`).is(201).
			holds(`"step-0"`, "replay", "checkpoint_step").holds(`"system"`, "replay", "initiated_by").
			holds("null", "replay", "context_override").holds(`{"old":0}`, "resume", "context").
			holds("false", "replay", "dry_run")
		if a.field("replay", "new_saga_id") != a.field("resume", "saga_id") {
			t.Error(a.body)
		}
		w.do("POST", path, `{"checkpoint_step": "step-0", "dry_run": true, "context_override": null}`).is(201).
			holds("true", "replay", "dry_run").holds(`"success"`, "replay", "replay_status").
			holds(`"2026-11-22T22:08:59.119505+00:00"`, "replay", "completed_at")
	})
}

func TestPrepareFromNowhere(t *testing.T) {
	overStores(t, func(w *world) {
		w.checkpoints()
		path := "/v1/sagas/" + sagaID(1) + "/replays"
		body := `{"checkpoint_step": "step-9", "replay_id": "` + replayID(1) + `"}`
		for range 2 {
			w.do("POST", path, body).problem(404, "checkpoint_not_found").
				holds(`["step-1","step-0"]`, "available_steps").holds(`"`+replayID(1)+`"`, "replay_id")
		}
		w.get("/v1/replays/"+replayID(1)).is(200).holds(`"failed"`, "replay_status").holds("null", "snapshot_id")
		w.do("POST", "/v1/sagas/"+sagaID(8)+"/replays", `{"checkpoint_step": "x"}`).problem(404, "checkpoint_not_found").
			holds("[]", "available_steps")
		w.get("/v1/sagas/"+sagaID(8)+"/replays").lists("replays", "original_saga_id", sagaID(8))

		unknown := w.do("POST", path, `{"snapshot_id": "`+snapshotID(99)+`"}`).problem(404, "checkpoint_not_found")
		if strings.Contains(unknown.body, "available_steps") || strings.Contains(unknown.body, "replay_id") {
			t.Error(unknown.body)
		}
		w.get(path).lists("replays", "replay_id", replayID(1))
	})
}

func TestBadReplayRequests(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	w.checkpoints()
	for _, bad := range []struct{ body, code, pointer string }{
		{"{}", "missing_field", "/checkpoint_step"},
		{`{"checkpoint_step": "a", "snapshot_id": "` + snapshotID(1) + `"}`, "invalid_field", "/snapshot_id"},
		{`{"checkpoint_step": ""}`, "invalid_field", "/checkpoint_step"},
		{`{"checkpoint_step": null}`, "invalid_field", "/checkpoint_step"},
		{`{"snapshot_id": "1"}`, "invalid_field", "/snapshot_id"},
		{`{"checkpoint_step": "a", "context_override": []}`, "invalid_field", "/context_override"},
		{`{"checkpoint_step": "a", "dry_run": "true"}`, "invalid_field", "/dry_run"},
		{`{"checkpoint_step": "a", "dry_run": null}`, "invalid_field", "/dry_run"},
		{`{"checkpoint_step": "a", "initiated_by": ""}`, "invalid_field", "/initiated_by"},
		{`{"checkpoint_step": "a", "new_saga_id": "x"}`, "invalid_field", "/new_saga_id"},
		{`{"checkpoint_step": "a", "replay_id": 1}`, "invalid_field", "/replay_id"},
		{`{"checkpoint_step": "a", "dryrun": true}`, "unknown_field", "/dryrun"},
		{`{"checkpoint_step": "a", "context_override": {"a": 1, "a": 2}}`, "duplicate_field", "/context_override/a"},
		{`{"checkpoint_step": "a"`, "invalid_json", ""},
	} {
		w.do("POST", "/v1/sagas/"+sagaID(1)+"/replays", bad.body).problem(400, bad.code, bad.pointer)
	}
	w.get("/v1/stats").holds("0", "total_replays")
}

func TestReplayTransitions(t *testing.T) {
	overStores(t, func(w *world) {
		states := []string{"pending", "running", "success", "failed", "cancelled"}
		rank := map[string]int{"pending": 0, "running": 1, "success": 2, "failed": 2, "cancelled": 2}
		n := 0
		for _, method := range []string{"PATCH", "PUT"} {
			for _, from := range states {
				for _, to := range states {
					n++
					path := "/v1/replays/" + replayID(n)
					record := func(status string) string {
						return fmt.Sprintf(`{"original_saga_id": "%s", "new_saga_id": "%s", "checkpoint_step": "s", "replay_status": "%s"}`, sagaID(1), sagaID(2), status)
					}
					w.do("PUT", path, record(from)).is(201)
					body := record(to)
					if method == "PATCH" {
						body = `{"replay_status": "` + to + `"}`
					}
					a := w.do(method, path, body)
					if from == to || rank[to] > rank[from] {
						a.is(200).holds(`"`+to+`"`, "replay_status")
						if done := a.field("completed_at") != "null"; done != (rank[to] == 2) {
							t.Errorf("%s to %s: %s", from, to, a.body)
						}
					} else {
						a.problem(409, "replay_conflict")
						w.get(path).holds(`"`+from+`"`, "replay_status")
					}
				}
			}
		}
		w.get("/v1/stats").holds(fmt.Sprint(n), "total_replays")
	})
}

func TestReportProgress(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/replays/" + replayID(1)
		w.do("PATCH", path, `{"replay_status": "running"}`).problem(404, "replay_not_found")
		w.checkpoints()
		w.do("POST", "/v1/sagas/"+sagaID(1)+"/replays", `{"checkpoint_step": "step-1", "replay_id": "`+replayID(1)+`"}`).is(201)
		w.do("PATCH", path, `{"replay_status": "running", "error_message": null}`).is(200).holds("null", "completed_at")
		w.do("PATCH", path, `{"replay_status": "running"}`).is(200)
		w.do("PATCH", path, `{"replay_status": "failed", "error_message": "<no> card"}`).is(200).
			holds(`"2026-11-22T22:08:59.119505+00:00"`, "completed_at")
		if body := w.get(path).body; !strings.Contains(body, `"error_message":"<no> card"`) {
			t.Error(body)
		}
		w.do("PATCH", path, `{"replay_status": "failed", "error_message": "<no> card"}`).is(200)
		w.do("PATCH", path, `{"replay_status": "failed", "error_message": "other"}`).problem(409, "replay_conflict")
		w.do("PATCH", path, `{"replay_status": "success", "error_message": "x"}`).problem(400, "invalid_field", "/error_message")
		w.do("PATCH", path, `{"replay_status": "done"}`).problem(400, "invalid_field", "/replay_status")
		w.do("PATCH", path, `{}`).problem(400, "missing_field", "/replay_status")
		w.do("PATCH", path, `{"replay_status": "failed", "dry_run": true}`).problem(400, "unknown_field", "/dry_run")
	})
}

func TestSaveAWholeReplay(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/replays/" + replayID(1)
		least := fmt.Sprintf(`"original_saga_id": "%s", "new_saga_id": "%s", "checkpoint_step": "s"`, sagaID(1), sagaID(2))
		w.do("PUT", path, `{`+least+`, "replay_status": "running", "replay_id": "`+replayID(1)+`", "context_override": {"a": 1.0},
			"snapshot_id": "`+snapshotID(1)+`", "dry_run": true, "created_at": "2026-11-22T10:00:00Z", "initiated_by": "ada"}`).is(201).
			says(fmt.Sprintf(`{"replay_id":"%s","original_saga_id":"%s","new_saga_id":"%s","checkpoint_step":"s","replay_status":"running",`+
				`"initiated_by":"ada","context_override":{"a":1.0},"error_message":null,"created_at":"2026-11-22T10:00:00+00:00",`+
				`"completed_at":null,"snapshot_id":"%s","dry_run":true}`+"\n", replayID(1), sagaID(1), sagaID(2), snapshotID(1)))
		end := `{` + least + `, "replay_status": "cancelled", "context_override": null, "snapshot_id": null, "dry_run": null,
			"error_message": "enough", "completed_at": "2026-11-22T11:00:00+01:00"}`
		for range 2 {
			w.do("PUT", path, end).is(200).
				holds(`{"a":1.0}`, "context_override").holds(`"`+snapshotID(1)+`"`, "snapshot_id").holds("true", "dry_run").
				holds(`"2026-11-22T10:00:00+00:00"`, "completed_at").holds(`"enough"`, "error_message")
		}
		w.do("PUT", path, strings.Replace(end, sagaID(2), sagaID(3), 1)).problem(409, "replay_conflict")
		w.do("PUT", path, strings.Replace(end, `"s"`, `"t"`, 1)).problem(409, "replay_conflict")
		w.do("PUT", path, strings.Replace(end, "enough", "more", 1)).problem(409, "replay_conflict")
		w.do("PUT", path, `{`+least+`, "replay_status": "running", "replay_id": "`+replayID(2)+`"}`).problem(400, "id_mismatch", "/replay_id")
		w.do("PUT", path, `{}`).problem(400, "missing_field", "/original_saga_id", "/new_saga_id", "/checkpoint_step", "/replay_status")
	})
}

func TestListReplays(t *testing.T) {
	overStores(t, func(w *world) {
		w.checkpoints()
		list := "/v1/sagas/" + sagaID(1) + "/replays"
		w.get(list).is(200).says("{\"replays\":[],\"next_cursor\":null}\n")
		for _, n := range []int{2, 1, 3} {
			if n == 3 {
				w.now = w.now.Add(time.Second)
			}
			w.do("POST", list, fmt.Sprintf(`{"checkpoint_step": "step-1", "replay_id": "%s", "context_override": {"n": %d.0}}`, replayID(n), n)).is(201)
		}
		w.get(list).lists("replays", "replay_id", replayID(3), replayID(2), replayID(1))
		w.get(list+"?order=asc").lists("replays", "replay_id", replayID(1), replayID(2), replayID(3))
		got := w.walk(list+"?limit=1", "replays", "replay_id", nil)
		if len(got) != 3 || got[0] != replayID(3) || got[2] != replayID(1) {
			t.Error(got)
		}
		if body := w.get(list + "?pretty&limit=1").body; !strings.Contains(body, "      \"context_override\": {\n        \"n\": 3.0\n      },\n") {
			t.Error(body)
		}
		w.get("/v1/sagas/"+sagaID(2)+"/replays").lists("replays", "replay_id")
	})
}
