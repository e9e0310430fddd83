package api_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"snapshotd/internal/access"
	"snapshotd/internal/api"
)

const (
	secretContext = `{"order": "A-17", "card": {"number": "4242-SECRET", "cvc": [1.0, "SECRET"]}, "\u0063rypto": "SECRET", "serial": 12345678901234567890123}`
	maskedContext = `{"order": "A-17", "card": {"number": "[redacted]", "cvc": [1.0, "[redacted]"]}, "\u0063rypto": "[redacted]", "serial": 12345678901234567890123}`
)

var redacted = []string{"/context/card/number", "/context/card/cvc/1", "/context/crypto", "/external_refs/invoice", "/context/not/there"}

// Wherever a document or a context leaves, a caller without admin gets it masked,
// and one with admin as it is stored.
func TestRedaction(t *testing.T) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			k := newKeys(t, access.Rate{})
			few := access.NewToken()
			k.add(t, access.Line("few", few, access.Read|access.Write|access.Replay))
			w := newWorld(t, s.open(t), func(cfg *api.Config) { cfg.Tokens, cfg.Redact = k.tokens, redacted })
			as := func(token string, headers ...string) []string {
				return append([]string{"Authorization", "Bearer " + token}, headers...)
			}
			admin := k.of["admin"]
			path := "/v1/snapshots/" + snapshotID(1)
			body := strings.TrimSuffix(whole("context", secretContext), "}") + `, "external_refs": {"invoice": "s3://SECRET", "other": "s3://other"}}`
			w.do("PUT", path, body, as(few)...).is(201)

			compact := strings.NewReplacer(`": `, `":`, `, `, `,`)
			for _, query := range []string{"", "?pretty", "?pointer="} {
				shown, hidden := w.get(path+query, as(admin)...).is(200), w.get(path+query, as(few)...).is(200)
				want := shown.body
				for _, secret := range []string{`"4242-SECRET"`, `"s3://SECRET"`, `"SECRET"`} {
					want = strings.ReplaceAll(want, secret, `"[redacted]"`)
				}
				if strings.Count(shown.body, "SECRET") != 4 || hidden.body != want {
					t.Errorf("%s:\n%s\n%s", query, shown.body, hidden.body)
				}
				if a, b := shown.header.Get("ETag"), hidden.header.Get("ETag"); a == b || a == "" || b == "" {
					t.Errorf("%s: tags %s and %s", query, a, b)
				}
				w.get(path+query, as(few, "If-None-Match", shown.header.Get("ETag"))...).is(200)
				w.get(path+query, as(few, "If-None-Match", hidden.header.Get("ETag"))...).is(304)
				w.do("HEAD", path+query, "", as(few)...).is(200).has("ETag", hidden.header.Get("ETag")).has("Content-Length", fmt.Sprint(len(hidden.body)))
			}
			for pointer, want := range map[string]string{
				"/context":             compact.Replace(maskedContext),
				"/context/card":        `{"number":"[redacted]","cvc":[1.0,"[redacted]"]}`,
				"/context/card/number": `"[redacted]"`, "/context/card/cvc": `[1.0,"[redacted]"]`, "/context/card/cvc/1": `"[redacted]"`,
				"/context/crypto": `"[redacted]"`, "/external_refs/invoice": `"[redacted]"`, "/context/order": `"A-17"`,
				"/context/serial": "12345678901234567890123", "/external_refs/other": `"s3://other"`,
			} {
				w.get(path+"?pointer="+pointer, as(few)...).is(200).says(want + "\n")
			}
			for _, pointer := range []string{"/context/card/number/0", "/context/crypto/x", "/context/nothing"} {
				w.get(path+"?pointer="+pointer, as(few)...).problem(404, "pointer_not_found")
			}
			for _, coding := range []string{"gzip", "zstd", "gzip;q=0.1, zstd;q=0"} {
				a := w.get(path, as(few, "Accept-Encoding", coding)...).is(200)
				text := a.body
				if sent := a.header.Get("Content-Encoding"); sent != "" {
					text = unpack(t, sent, a.body)
				}
				if strings.Contains(text, "SECRET") || strings.Count(text, "[redacted]") != 4 {
					t.Errorf("%s: %s", coding, text)
				}
			}

			lists := []string{"/v1/snapshots?view=full", "/v1/snapshots?view=full&pretty", "/v1/sagas/" + sagaID(1) + "/snapshots", "/v1/sagas/" + sagaID(1) + "/snapshots/latest"}
			replays := "/v1/sagas/" + sagaID(1) + "/replays"
			for i, override := range []string{"", `, "context_override": {"card": {"number": "5353-SECRET"}, "crypto": ["SECRET"], "x": 1}`} {
				request := fmt.Sprintf(`{"checkpoint_step": "pay", "replay_id": "%s"%s}`, replayID(i), override)
				for _, status := range []int{201, 200} {
					a := w.do("POST", replays, request, as(few)...).is(status)
					if strings.Contains(a.body, "SECRET") || strings.Count(a.body, "[redacted]") < 3 {
						t.Error(a.body)
					}
					if i == 1 {
						a.holds(`{"card":{"number":"[redacted]"},"crypto":"[redacted]","x":1}`, "replay", "context_override")
					}
				}
			}
			w.do("PATCH", "/v1/replays/"+replayID(1), `{"replay_status": "running"}`, as(few)...).is(200).
				holds(`{"card":{"number":"[redacted]"},"crypto":"[redacted]","x":1}`, "context_override")
			put := w.do("PUT", "/v1/replays/"+replayID(2), `{"original_saga_id": "`+sagaID(1)+`", "new_saga_id": "`+sagaID(2)+`", "checkpoint_step": "pay",
				"replay_status": "running", "context_override": {"crypto": "SECRET"}}`, as(few)...).is(201)
			if strings.Contains(put.body, "SECRET") {
				t.Error(put.body)
			}
			for _, path := range append(lists, replays, replays+"?pretty", "/v1/replays/"+replayID(1)) {
				if a := w.get(path, as(few)...).is(200); strings.Contains(a.body, "SECRET") || !strings.Contains(a.body, "[redacted]") {
					t.Errorf("%s: %s", path, a.body)
				}
				if a := w.get(path, as(admin)...).is(200); !strings.Contains(a.body, "SECRET") || strings.Contains(a.body, "[redacted]") {
					t.Errorf("%s for an admin: %s", path, a.body)
				}
			}
			// What is masked is kept as it is, and compared as it is.
			w.do("PUT", path, body, as(few)...).is(200)
			if a := w.do("PUT", path, strings.Replace(body, "4242-SECRET", "[redacted]", 1), as(few)...).problem(409, "snapshot_conflict"); strings.Contains(a.body, "SECRET") {
				t.Error(a.body)
			}
			w.do("POST", replays, `{"checkpoint_step": "pay", "replay_id": "`+replayID(0)+`"}`, as(admin)...).problem(409, "replay_conflict")
			w.do("POST", replays, `{"checkpoint_step": "pay", "replay_id": "`+replayID(0)+`", "initiated_by": "few"}`, as(admin)...).is(200).
				holds(`"4242-SECRET"`, "resume", "context", "card", "number")
			if strings.Contains(w.log.String(), "SECRET") {
				t.Error("the log has it")
			}
		})
	}
}

// A large document is masked, too, and one that cannot be read is not shown in part.
func TestRedactionOfLargeAndTornDocuments(t *testing.T) {
	k := newKeys(t, access.Rate{})
	f := &failing{Store: stores[1].open(t)}
	w := newWorld(t, f, func(cfg *api.Config) { cfg.Tokens, cfg.Redact = k.tokens, redacted })
	as := func(scope string) []string { return []string{"Authorization", "Bearer " + k.of[scope]} }
	text := strings.Repeat("0123456789abcdef", 200_000)
	path := "/v1/snapshots/" + snapshotID(1)
	w.do("PUT", path, whole("context", `{"crypto": "SECRET", "text": "`+text+`", "card": {"number": "SECRET"}}`), as("write")...).is(201)
	if a := w.get(path, as("read")...).is(200); strings.Contains(a.body, "SECRET") || !strings.Contains(a.body, text) {
		t.Error("the large document is not whole, or not masked")
	}
	f.open = map[string]func() (io.Reader, error){snapshotID(1): func() (io.Reader, error) {
		return strings.NewReader(`{"context": {"order": "SECRET", "crypto": "SEC`), nil
	}}
	for _, path := range []string{path, path + "?pointer=/context/order"} {
		if a := w.get(path, as("read")...).problem(500, "snapshot_unreadable"); strings.Contains(a.body, "SEC") {
			t.Error(a.body)
		}
	}
	if a := w.get("/v1/snapshots?view=full", as("read")...).snapshots(); strings.Contains(a.body, "SEC") || !strings.Contains(a.body, snapshotID(1)) {
		t.Error(a.body)
	}
}
