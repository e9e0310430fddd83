package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// odd is what a careless decoder would change.
var odd = `{"b": ` + strings.Repeat("1234567890", 40) + `, "a": 1.0, "one": 1, "e": 1E+2, "z": -0.0, ` +
	`"esc": "\u00e9é\/\n<&>\ud83d\ude00", "lone": "\ud800", "": {"~/": [1, [2]]}, "<k>": null}`

func TestDocumentsComeBackAsTheyWentIn(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/snapshots/" + snapshotID(1)
		w.do("PUT", path, whole("context", odd)).is(201)
		want := fmt.Sprintf(`{
  "snapshot_id": "%s",
  "saga_id": "%s",
  "saga_name": "order",
  "step_name": "pay",
  "step_index": 1,
  "status": "executing",
  "context": {
    "b": %s,
    "a": 1.0,
    "one": 1,
    "e": 1E+2,
    "z": -0.0,
    "esc": "\u00e9é\/\n<&>\ud83d\ude00",
    "lone": "\ud800",
    "": {
      "~/": [
        1,
        [
          2
        ]
      ]
    },
    "<k>": null
  },
  "completed_steps": [],
  "external_refs": {},
  "created_at": "2026-11-22T22:08:59.119505+00:00",
  "retention_until": null
}
`, snapshotID(1), sagaID(1), strings.Repeat("1234567890", 40))
		w.get(path).is(200).says(want).has("Content-Type", "application/json").has("Content-Length", fmt.Sprint(len(want)))
		w.get(path + "?pretty").is(200).says(want)
		w.get("/v1/sagas/" + sagaID(1) + "/snapshots/latest").is(200).says(want)

		compact := strings.NewReplacer("\n", "", `": `, `":`, "  ", "").Replace(want)
		w.get("/v1/sagas/" + sagaID(1) + "/snapshots").is(200).says(`{"snapshots":[` + compact + `],"next_cursor":null}` + "\n")
		indented := strings.ReplaceAll(strings.TrimSuffix(want, "\n"), "\n", "\n    ")
		w.get("/v1/snapshots?view=full&pretty=true").is(200).
			says("{\n  \"snapshots\": [\n    " + indented + "\n  ],\n  \"next_cursor\": null\n}\n")

		w.do("PUT", path, whole("context", strings.ReplaceAll(odd, ", ", ",\n\t"))).is(200)
		for _, pair := range []string{`"a": 1.0|"a": 1`, `"one": 1|"one": 1.0`, `\u00e9|é`, "1E+2|1e+2", "-0.0|0.0", `\/|/`} {
			was, is, _ := strings.Cut(pair, "|")
			w.do("PUT", path, whole("context", strings.Replace(odd, was, is, 1))).problem(409, "snapshot_conflict")
		}
	})
}

func TestPointer(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/snapshots/" + snapshotID(1)
		w.do("PUT", path, whole("context", odd)).is(201)
		for pointer, want := range map[string]string{
			"/context/b":         strings.Repeat("1234567890", 40),
			"/context/a":         "1.0",
			"/context/esc":       `"\u00e9é\/\n<&>\ud83d\ude00"`,
			"/context/lone":      `"\ud800"`,
			"/context//~0~1":     "[1,[2]]",
			"/context//~0~1/1/0": "2",
			"/context/<k>":       "null",
			"/status":            `"executing"`,
			"/completed_steps":   "[]",
		} {
			w.get(path + "?pointer=" + url.QueryEscape(pointer)).is(200).says(want + "\n")
		}
		w.get(path + "?pretty&pointer=/context//~0~1").says("[\n  1,\n  [\n    2\n  ]\n]\n")
		w.get(path+"?pointer=").is(200).holds(`"executing"`, "status")
		w.get("/v1/sagas/" + sagaID(1) + "/snapshots/latest?pointer=/context/one").says("1\n")

		for _, missing := range []string{"/contexts", "/context/x", "/context//~0~1/2", "/context//~0~1/01", "/context//~0~1/-", "/status/0"} {
			w.get(path+"?pointer="+missing).problem(404, "pointer_not_found")
		}
		for _, wrong := range []string{"context", "/a~2", "/~"} {
			w.get(path+"?pointer="+wrong).problem(400, "invalid_pointer")
		}
		w.get("/v1/snapshots/"+snapshotID(2)+"?pointer=/context").problem(404, "snapshot_not_found")
	})
}

func TestLatest(t *testing.T) {
	overStores(t, func(w *world) {
		latest := "/v1/sagas/" + sagaID(1) + "/snapshots/latest"
		w.get(latest).problem(404, "snapshot_not_found")
		for i, at := range []string{"10:00:00Z", "10:00:01Z", "10:00:01Z", "10:00:02.5Z"} {
			body := draft(1, i, `"created_at": "2026-11-22T`+at+`"`)
			if i == 2 {
				body = strings.Replace(body, "executing", "failed", 1)
			}
			w.do("PUT", "/v1/snapshots/"+snapshotID(i), body).is(201)
		}
		w.do("PUT", "/v1/snapshots/"+snapshotID(9), draft(1, 0, `"created_at": "2026-11-22T09:00:00Z"`)).is(201)
		for query, n := range map[string]int{
			"":                                3,
			"?step_name=step-0":               0,
			"?status=failed":                  2,
			"?at=2026-11-22T10:00:02Z":        2,
			"?at=2026-11-22T10:00:01Z":        2,
			"?at=2026-11-22T10:00:00.999999Z": 0,
			"?at=2026-11-22T11:00:01+01:00":   2, // the plus arrives as a space
			"?at=2026-11-22T11:00:01%2B01:00": 2,
			"?at=2026-11-22T09:00:01.5-01:00": 2,
			"?at=2026-11-22T09:30:00Z":        9,
			"?at=2026-11-22T10:00:02.5Z":      3,
			"?status=executing&step_name=step-1&at=2026-11-22T12:00:00Z": 1,
		} {
			w.get(latest+query).is(200).holds(`"`+snapshotID(n)+`"`, "snapshot_id")
		}
		w.get(latest+"?step_name=step-7").problem(404, "snapshot_not_found")
		w.get(latest+"?at=2026-11-22T08:00:00Z").problem(404, "snapshot_not_found")
		w.get("/v1/sagas/"+sagaID(2)+"/snapshots/latest").problem(404, "snapshot_not_found")
	})
}

func TestGetWhatIsNotThere(t *testing.T) {
	overStores(t, func(w *world) {
		w.get("/v1/snapshots/"+snapshotID(1)).problem(404, "snapshot_not_found")
		w.get("/v1/sagas/"+sagaID(1)).problem(404, "saga_not_found")
		w.get("/v1/replays/"+replayID(1)).problem(404, "replay_not_found")
		w.get("/v1/snapshots/"+snapshotID(1)+"?pretty", "X-Request-Id", "r1").problem(404, "snapshot_not_found").
			says("{\n  \"type\": \"about:blank\",\n  \"title\": \"Not Found\",\n  \"status\": 404,\n" +
				"  \"detail\": \"No snapshot has this id.\",\n  \"code\": \"snapshot_not_found\",\n  \"request_id\": \"r1\"\n}\n")
	})
}

func TestIDsInPaths(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, "")).is(201)
	w.get("/v1/snapshots/" + strings.ToUpper(snapshotID(1))).is(200)
	w.get("/v1/snapshots/%30" + snapshotID(1)[1:]).is(200)
	for _, id := range []string{
		"1", "latest", "..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%00", snapshotID(1) + "%00", snapshotID(1) + ".json",
		"{" + snapshotID(1) + "}", "urn:uuid:" + snapshotID(1), strings.ReplaceAll(snapshotID(1), "-", ""), "%ff", "a%20b",
		strings.Replace(snapshotID(1), "-", "_", 1), snapshotID(1)[:35] + "g",
	} {
		w.get("/v1/snapshots/"+id).problem(400, "invalid_id")
		w.do("PUT", "/v1/snapshots/"+id, draft(1, 1, "")).problem(400, "invalid_id")
		w.do("DELETE", "/v1/snapshots/"+id, "").problem(400, "invalid_id")
		w.get("/v1/sagas/"+id).problem(400, "invalid_id")
		w.get("/v1/sagas/"+id+"/snapshots").problem(400, "invalid_id")
		w.get("/v1/sagas/"+id+"/snapshots/latest").problem(400, "invalid_id")
		w.do("DELETE", "/v1/sagas/"+id+"/snapshots", "").problem(400, "invalid_id")
		w.do("POST", "/v1/sagas/"+id+"/replays", `{"checkpoint_step": "x"}`).problem(400, "invalid_id")
		w.get("/v1/sagas/"+id+"/replays").problem(400, "invalid_id")
		w.do("PUT", "/v1/replays/"+id, "{}").problem(400, "invalid_id")
		w.do("PATCH", "/v1/replays/"+id, "{}").problem(400, "invalid_id")
		w.get("/v1/replays/"+id).problem(400, "invalid_id")
	}
	w.get("/v1/snapshots/../../etc/passwd").problem(404, "route_not_found")
}
