package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"snapshotd/internal/access"
)

// Bodies, contexts and tokens get into no log, no error text and no metric: secrets
// are planted wherever a client can put them, in requests that succeed and that fail
// in every way, and then looked for in all that came out.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	admin, writer := k.token("admin", "admin"), k.token("writer", "write,replay")
	stranger := access.NewToken()
	dir := t.TempDir()
	r := start(t, "--base-path="+dir, "--tokens-file="+k.path, "--log-level=debug", "--redact=/context/card,/external_refs/x", "--max-body-size=64KiB")

	// A name of the client's may stand in the pointer of an error, a value nowhere.
	const planted, plantedName = "PLANTED-SECRET", "PLANTED-NAME"
	tokens := map[string]string{"admin": admin, "writer": writer, "stranger": stranger, "none": "", "odd": planted + " x", "key": k.text[len("admin"):74]}
	snapshot := strings.Replace(document, `"amount":`, `"card":"`+planted+`","`+plantedName+`":{"deep":["`+planted+`"]},"amount":`, 1)
	replay := `{"original_saga_id":"` + sagaID + `","new_saga_id":"` + sagaID + `","checkpoint_step":"pay","replay_status":"running","context_override":{"card":"` + planted + `"}}`
	bodies := []string{
		snapshot,
		strings.Replace(snapshot, `"external_refs"`, `"x"`, 1),
		strings.TrimSuffix(snapshot, "}") + `,"external_refs":{"x":"` + planted + `"}}`,
		strings.TrimSuffix(snapshot, "}") + `,"external_refs":{"x":["` + planted + `"]}}`,
		strings.Replace(snapshot, `"completed"`, `"`+planted+`"`, 1),
		strings.Replace(snapshot, `"pay"`, `["`+planted+`"]`, 1),
		strings.Replace(snapshot, `"step_index":1`, `"step_index":"`+planted+`"`, 1),
		strings.Replace(snapshot, sagaID, planted, 1),
		strings.TrimSuffix(snapshot, "}") + `,"created_at":"` + planted + `"}`,
		strings.TrimSuffix(snapshot, "}") + `,"completed_steps":["` + planted + `",1]}`,
		snapshot + planted, snapshot[:len(snapshot)-1], planted, `"` + planted + `"`, `{"context":` + planted + `}`, `{"context":{"a":"` + planted + "\xff" + `"}}`,
		`{"context":{"a":"` + planted + strings.Repeat("x", 64<<10) + `"}}`,
		`{"context":{"` + plantedName + `":` + strings.Repeat(`{"a":`, 120) + `1` + strings.Repeat("}", 121) + `}`,
		replay, strings.Replace(replay, "running", planted, 1), strings.Replace(replay, `{"card"`, `{"card":1,"card"`, 1),
		`{"checkpoint_step":"pay","context_override":{"card":"` + planted + `"}}`,
		`{"checkpoint_step":"nowhere","context_override":{"card":"` + planted + `"}}`,
		`{"checkpoint_step":"pay","context_override":"` + planted + `"}`,
		`{"replay_status":"failed","error_message":"` + planted + `"}`, `{"replay_status":"` + planted + `"}`, `{"replay_status":"running","error_message":["` + planted + `"]}`,
	}
	routes := []string{
		"PUT /v1/snapshots/" + snapshotID, "POST /v1/snapshots", "POST /v1/sagas/" + sagaID + "/replays", "PUT /v1/replays/" + snapshotID,
		"PATCH /v1/replays/" + snapshotID, "POST /v1/cleanup", "POST /v1/stats", "PUT /nowhere",
	}
	reads := []string{
		"/v1/snapshots/" + snapshotID, "/v1/snapshots/" + snapshotID + "?pointer=/context/card/" + planted, "/v1/snapshots/" + snapshotID + "?pointer=" + planted,
		"/v1/snapshots?view=full", "/v1/snapshots?status=" + planted, "/v1/snapshots?cursor=" + planted, "/v1/snapshots?after=" + planted,
		"/v1/sagas?limit=" + planted, "/v1/sagas?order=" + planted, "/v1/sagas/" + sagaID + "/snapshots?view=" + planted, "/v1/stats?access_token=" + admin,
		"/v1/sagas/" + sagaID + "/snapshots/latest?step_name=" + planted, "/v1/replays/" + snapshotID, "/v1/sagas/" + sagaID + "/replays", "/metrics", "/readyz?verbose=" + planted,
	}
	sent := 0
	send := func(method, path, body, token, coding string) {
		t.Helper()
		req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Cookie", planted)
		req.Header.Set("If-Match", planted)
		req.Header.Set("User-Agent", planted)
		req.Header.Set("Proxy-Authorization", planted)
		if coding != "" {
			req.Header.Set("Content-Encoding", coding)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		sent++
		for _, token := range tokens {
			if len(token) > len(planted) && strings.Contains(string(text)+fmt.Sprint(res.Header), token) {
				t.Errorf("%s %s: a token is answered: %s", method, path, text)
			}
		}
		if res.StatusCode >= 400 && strings.Contains(string(text)+fmt.Sprint(res.Header), planted) {
			t.Errorf("%s %s: %d %s\n%s", method, path, res.StatusCode, text, body)
		}
	}
	for _, token := range tokens {
		for _, route := range routes {
			method, path, _ := strings.Cut(route, " ")
			for _, body := range bodies {
				send(method, path, body, token, "")
			}
			send(method, path, snapshot, token, "gzip")
			send(method, path, snapshot, token, planted)
		}
		for _, path := range reads {
			send("GET", path, "", token, "")
		}
	}
	send("DELETE", "/v1/sagas/"+sagaID+"/snapshots?replays=true", "", admin, "")
	if sent < 1000 {
		t.Error("only", sent)
	}

	r.token = admin
	_, metrics := r.get("/metrics")
	r.signal()
	if code := r.stopped(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	log := r.log.String()
	if strings.Count(log, "\n") < sent {
		t.Errorf("%d requests leave %d lines", sent, strings.Count(log, "\n"))
	}
	for name, text := range map[string]string{"log": log, "metrics": metrics} {
		for _, secret := range []string{planted, plantedName, admin, writer, stranger, k.text[len("admin  "):74]} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%q is in the %s: ...%s...", secret, name, text[max(0, at-200):min(len(text), at+200)])
			}
		}
	}
}
