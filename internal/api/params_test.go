package api_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

func TestUnknownParameters(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	w.fill(2)
	saga := "/v1/sagas/" + sagaID(0)
	for _, call := range []struct{ method, path, body, name string }{
		{"PUT", "/v1/snapshots/" + snapshotID(9), draft(1, 1, ""), "dry_run"},
		{"POST", "/v1/snapshots", draft(1, 1, ""), "limit"},
		{"GET", "/v1/snapshots/" + snapshotID(0), "", "view"},
		{"DELETE", "/v1/snapshots/" + snapshotID(0), "", "dry_run"},
		{"GET", "/v1/snapshots", "", "at"},
		{"GET", "/v1/snapshots", "", "saga_id"},
		{"GET", "/v1/sagas", "", "view"},
		{"GET", saga, "", "limit"},
		{"GET", saga + "/snapshots", "", "saga_name"},
		{"GET", saga + "/snapshots", "", "Limit"},
		{"GET", saga + "/snapshots/latest", "", "after"},
		{"DELETE", saga + "/snapshots", "", "replay"},
		{"POST", saga + "/replays", `{"checkpoint_step": "step-0"}`, "dry_run"},
		{"GET", saga + "/replays", "", "status"},
		{"PUT", "/v1/replays/" + replayID(1), "{}", "x"},
		{"PATCH", "/v1/replays/" + replayID(1), "{}", "x"},
		{"GET", "/v1/replays/" + replayID(1), "", "x"},
		{"GET", "/v1/stats", "", "x"},
		{"POST", "/v1/cleanup", "", "dryrun"},
		{"GET", "/healthz", "", "verbose"},
		{"GET", "/readyz", "", "verbos"},
		{"GET", "/version", "", ""},
		{"GET", "/metrics", "", "x"},
		{"GET", "/metrics", "", "pretty"},
		{"GET", "/openapi.yaml", "", "x"},
		{"GET", "/openapi.yaml", "", "pretty"},
		{"GET", "/openapi.json", "", "x"},
	} {
		p := w.do(call.method, call.path+"?"+call.name+"=1", call.body).problem(400, "unknown_parameter")
		known := "pretty"
		if call.path == "/metrics" || call.path == "/openapi.yaml" { // no JSON to lay out
			known = "there is none"
		}
		if detail := p.field("detail"); !strings.Contains(detail, `\"`+call.name+`\"`) || !strings.Contains(detail, known) {
			t.Error(detail)
		}
	}
	w.get("/v1/stats").holds("2", "total_snapshots").holds("0", "total_replays")
}

func TestNonsenseInParameters(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	w.fill(2)
	saga := "/v1/sagas/" + sagaID(0)
	for _, path := range []string{
		"/v1/snapshots?order=up", "/v1/snapshots?order=", "/v1/snapshots?order=ASC",
		"/v1/snapshots?view=all", "/v1/snapshots?view=", saga + "/snapshots?view=short",
		"/v1/snapshots?saga_name=", "/v1/snapshots?step_name=", "/v1/snapshots?saga_name=%ff",
		"/v1/snapshots?status=", "/v1/snapshots?status=FAILED", "/v1/snapshots?status=a-b", "/v1/sagas?status=7",
		"/v1/snapshots?after=yesterday", "/v1/snapshots?after=", "/v1/snapshots?after=2026-11-22",
		"/v1/snapshots?before=2026-11-22T10:00:00", "/v1/snapshots?before=2026-11-22T10:00:00Z%20",
		"/v1/snapshots?before=2026-11-22+10:00:00Z", "/v1/snapshots?before=2026-11-22T10:00:00%2B24:00",
		"/v1/snapshots?after=10000-11-22T10:00:00Z", "/v1/snapshots?after=2026-11-22T25:00:00Z",
		saga + "/snapshots/latest?at=now", saga + "/snapshots/latest?at=1763800000", saga + "/snapshots/latest?status=%20",
		saga + "/snapshots/latest?at=2026-11-22T10:00:00.1234567891Z",
		saga + "/replays?limit=0", saga + "/replays?order=x", "/v1/sagas?limit=-1", saga + "/snapshots?limit=x",
		"/v1/stats?pretty=yes", "/v1/stats?pretty=1", "/v1/stats?pretty=TRUE", "/readyz?verbose=2",
		"/v1/snapshots?limit=1&limit=1", "/v1/stats?pretty&pretty", "/v1/snapshots?status=failed&status=pending",
		"/v1/snapshots/" + snapshotID(0) + "?pointer=/context&pointer=/status",
		"/v1/snapshots?status=%zz", "/v1/snapshots?status=failed;limit=1",
	} {
		w.get(path).problem(400, "invalid_parameter")
	}
	w.do("POST", "/v1/cleanup?dry_run=maybe", "").problem(400, "invalid_parameter")
	w.do("POST", "/v1/cleanup?dry_run=true&dry_run=false", "").problem(400, "invalid_parameter")
	w.do("DELETE", saga+"/snapshots?replays=yes", "").problem(400, "invalid_parameter")
	w.get("/v1/stats").holds("2", "total_snapshots")
}

func TestPretty(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	for query, want := range map[string]string{
		"": "{\"status\":\"ok\"}\n", "?pretty=false": "{\"status\":\"ok\"}\n",
		"?pretty": "{\n  \"status\": \"ok\"\n}\n", "?pretty=": "{\n  \"status\": \"ok\"\n}\n", "?pretty=true": "{\n  \"status\": \"ok\"\n}\n",
	} {
		w.get("/healthz" + query).is(200).says(want)
	}
	for _, path := range []string{"/v1/stats", "/version", "/openapi.json", "/readyz", "/v1/sagas", "/nowhere", "/v1/snapshots?x=1", "/v1/snapshots?limit=0"} {
		glue := "?"
		if strings.Contains(path, "?") {
			glue = "&"
		}
		if body := w.get(path + glue + "pretty").body; !strings.HasPrefix(body, "{\n  \"") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestCursors(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	w.fill(6)
	list := "/v1/sagas/" + sagaID(0) + "/snapshots"
	cursor := w.get(list + "?limit=1&status=executing").object()["next_cursor"].(string)
	w.get(list + "?limit=1&status=executing&cursor=" + cursor).snapshots(2)
	w.get(list + "?limit=7&view=summary&pretty&status=executing&cursor=" + cursor).snapshots(2)
	w.get("/v1/sagas/" + strings.ToUpper(sagaID(0)) + "/snapshots?status=executing&cursor=" + cursor).snapshots(2)

	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(i int) string {
		b := append([]byte{}, raw...)
		b[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, path := range []string{
		list + "?cursor=" + cursor,
		list + "?status=failed&cursor=" + cursor,
		list + "?status=executing&order=asc&cursor=" + cursor,
		list + "?status=executing&after=2026-11-22T10:00:00Z&cursor=" + cursor,
		list + "?status=executing&step_name=executing&cursor=" + cursor,
		"/v1/sagas/" + sagaID(1) + "/snapshots?status=executing&cursor=" + cursor,
		"/v1/snapshots?status=executing&cursor=" + cursor,
		"/v1/sagas?status=executing&cursor=" + cursor,
		"/v1/sagas/" + sagaID(0) + "/replays?cursor=" + cursor,
		list + "?status=executing&cursor=",
		list + "?status=executing&cursor=null",
		list + "?status=executing&cursor=" + cursor + "AA",
		list + "?status=executing&cursor=" + cursor[:20],
		list + "?status=executing&cursor=" + changed(0),
		list + "?status=executing&cursor=" + changed(len(raw)-1),
		list + "?status=executing&cursor=" + url.QueryEscape("../../etc/passwd"),
	} {
		w.get(path).problem(400, "invalid_cursor")
	}
}
