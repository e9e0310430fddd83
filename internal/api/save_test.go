package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// draft is a document to save; extra members follow the required ones.
func draft(saga, step int, extra string) string {
	if extra != "" {
		extra = ", " + extra
	}
	return fmt.Sprintf(`{"saga_id": "%s", "saga_name": "order", "step_name": "step-%d", "step_index": %d, "status": "executing", "context": {"n": %d}%s}`,
		sagaID(saga), step, step, step, extra)
}

func TestSaveUnderTheClientsID(t *testing.T) {
	overStores(t, func(w *world) {
		path := "/v1/snapshots/" + snapshotID(1)
		first := w.do("PUT", path, draft(1, 1, `"retention_until": "2030-01-01T00:00:00Z"`)).is(201).has("Location", "").
			has("Content-Type", "application/json").has("Cache-Control", "private, no-cache").
			holds(`"`+snapshotID(1)+`"`, "snapshot_id").holds(`"`+sagaID(1)+`"`, "saga_id").
			holds(`"2026-11-22T22:08:59.119505+00:00"`, "created_at").
			holds(`"2030-01-01T00:00:00+00:00"`, "retention_until")
		if first.field("size_bytes") == "0" || strings.Count(first.body, "\n") != 1 {
			t.Errorf("receipt: %q", first.body)
		}

		w.do("PUT", path, draft(1, 1, "")).is(200).says(first.body)
		w.do("PUT", path, draft(1, 1, `"created_at": "2026-11-23T00:08:59.119505+02:00"`)).is(200).says(first.body)
		w.do("PUT", path, draft(1, 1, `"snapshot_id": "`+strings.ToUpper(snapshotID(1))+`"`)).is(200).says(first.body)
		w.do("PUT", "/v1/snapshots/"+strings.ToUpper(snapshotID(1)), draft(1, 1, "")).is(200).says(first.body)
		w.do("PUT", path, draft(1, 2, "")).problem(409, "snapshot_conflict")
		w.do("PUT", path, draft(1, 1, `"retention_until": null`)).problem(409, "snapshot_conflict")

		w.do("PUT", path, draft(1, 1, ""), "If-None-Match", "*").problem(412, "precondition_failed")
		w.do("PUT", "/v1/snapshots/"+snapshotID(2), draft(1, 1, ""), "If-None-Match", "*").is(201)
		w.do("PUT", path, draft(1, 1, ""), "If-None-Match", `"abc"`).problem(400, "invalid_parameter")

		w.do("DELETE", path, "").is(204).says("")
		w.do("DELETE", path, "").problem(404, "snapshot_not_found")
		w.do("PUT", path, draft(1, 2, "")).is(201)
	})
}

func TestSaveUnderTheServersID(t *testing.T) {
	overStores(t, func(w *world) {
		made := numbered(0xabc, 1).String()
		w.do("POST", "/v1/snapshots", draft(1, 1, "")).is(201).
			has("Location", "/v1/snapshots/"+made).holds(`"`+made+`"`, "snapshot_id").holds("null", "retention_until")
		w.do("POST", "/v1/snapshots", draft(1, 1, "")).is(201).has("Location", "/v1/snapshots/"+numbered(0xabc, 2).String())

		own := `"snapshot_id": "` + snapshotID(7) + `"`
		w.do("POST", "/v1/snapshots", draft(1, 1, own)).is(201).has("Location", "/v1/snapshots/"+snapshotID(7))
		w.do("POST", "/v1/snapshots", draft(1, 1, own)).is(200).has("Location", "")
		w.do("POST", "/v1/snapshots", draft(1, 2, own)).problem(409, "snapshot_conflict")
		w.do("POST", "/v1/snapshots", draft(1, 1, own), "If-None-Match", "*").problem(412, "precondition_failed")
		w.do("POST", "/v1/snapshots", draft(1, 1, ""), "If-None-Match", "*").is(201)
		w.do("POST", "/v1/snapshots?pretty", draft(1, 1, own)).is(200).says(fmt.Sprintf(`{
  "snapshot_id": "%s",
  "saga_id": "%s",
  "created_at": "2026-11-22T22:08:59.119505+00:00",
  "retention_until": null,
  "size_bytes": %s
}
`, snapshotID(7), sagaID(1), w.do("POST", "/v1/snapshots", draft(1, 1, own)).field("size_bytes")))
	})
}

// whole is a valid document with one member replaced, or left out with "".
func whole(name, value string) string {
	members := []string{
		"saga_id", `"` + sagaID(1) + `"`, "saga_name", `"order"`, "step_name", `"pay"`, "step_index", "1",
		"status", `"executing"`, "context", "{}",
	}
	var list []string
	replaced := false
	for i := 0; i < len(members); i += 2 {
		v := members[i+1]
		if members[i] == name {
			v, replaced = value, true
		}
		if v != "" {
			list = append(list, `"`+members[i]+`": `+v)
		}
	}
	if !replaced {
		list = append(list, `"`+name+`": `+value)
	}
	return "{" + strings.Join(list, ", ") + "}"
}

func TestBadDocuments(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for _, bad := range []struct{ body, code, pointer string }{
		{"hello", "invalid_json", ""},
		{"[]", "invalid_json", ""},
		{"null", "invalid_json", ""},
		{`{"saga_id": `, "invalid_json", "/saga_id"},
		{whole("context", `{"a": 1,}`), "invalid_json", "/context"},
		{whole("context", "{}") + " {}", "invalid_json", ""},
		{whole("context", "{}") + "x", "invalid_json", ""},
		{whole("context", "{\"a\": \"\xff\"}"), "invalid_json", ""},
		{whole("context", `{"a": NaN}`), "invalid_json", "/context/a"},

		{whole("saga_id", ""), "missing_field", "/saga_id"},
		{whole("saga_name", ""), "missing_field", "/saga_name"},
		{whole("step_name", ""), "missing_field", "/step_name"},
		{whole("step_index", ""), "missing_field", "/step_index"},
		{whole("status", ""), "missing_field", "/status"},
		{whole("context", ""), "missing_field", "/context"},

		{whole("saga_id", `"`+strings.ReplaceAll(sagaID(1), "-", "")+`"`), "invalid_field", "/saga_id"},
		{whole("saga_id", `"urn:uuid:`+sagaID(1)+`"`), "invalid_field", "/saga_id"},
		{whole("saga_id", "null"), "invalid_field", "/saga_id"},
		{whole("snapshot_id", `"../../etc/passwd"`), "invalid_field", "/snapshot_id"},
		{whole("saga_name", `""`), "invalid_field", "/saga_name"},
		{whole("saga_name", `"`+strings.Repeat("x", 256)+`"`), "invalid_field", "/saga_name"},
		{whole("step_name", `"a\u0007"`), "invalid_field", "/step_name"},
		{whole("step_name", "7"), "invalid_field", "/step_name"},
		{whole("step_index", "-1"), "invalid_field", "/step_index"},
		{whole("step_index", "1.0"), "invalid_field", "/step_index"},
		{whole("step_index", "1e2"), "invalid_field", "/step_index"},
		{whole("step_index", "2147483648"), "invalid_field", "/step_index"},
		{whole("step_index", `"1"`), "invalid_field", "/step_index"},
		{whole("status", `"EXECUTING"`), "invalid_field", "/status"},
		{whole("status", `""`), "invalid_field", "/status"},
		{whole("context", "[]"), "invalid_field", "/context"},
		{whole("context", "null"), "invalid_field", "/context"},
		{whole("completed_steps", "null"), "invalid_field", "/completed_steps"},
		{whole("completed_steps", `["a", 1]`), "invalid_field", "/completed_steps/1"},
		{whole("external_refs", `{"a": 1}`), "invalid_field", "/external_refs/a"},
		{whole("external_refs", `{"a/b": "`+strings.Repeat("x", 4097)+`"}`), "invalid_field", "/external_refs/a~1b"},
		{whole("created_at", `"2026-11-22T22:08:59"`), "invalid_field", "/created_at"},
		{whole("created_at", `"2026-11-22T22:08:59+24:00"`), "invalid_field", "/created_at"},
		{whole("created_at", `"2026-02-30T22:08:59Z"`), "invalid_field", "/created_at"},
		{whole("created_at", `"0001-01-01T00:00:00+23:00"`), "invalid_field", "/created_at"},
		{whole("created_at", "null"), "invalid_field", "/created_at"},
		{whole("retention_until", `"tomorrow"`), "invalid_field", "/retention_until"},
		{whole("retention_until", "7"), "invalid_field", "/retention_until"},

		{whole("stepname", `"x"`), "unknown_field", "/stepname"},
		{whole("size_bytes", "1"), "unknown_field", "/size_bytes"},
		{`{"status": "a", "st\u0061tus": "b"}`, "duplicate_field", "/status"},
		{whole("context", `{"a": {"b": 1, "b": 1}}`), "duplicate_field", "/context/a/b"},
		{whole("context", deep), "too_deep", "/context" + strings.Repeat("/a", 99)},
	} {
		w.do("POST", "/v1/snapshots", bad.body).problem(400, bad.code, bad.pointer)
	}
	w.do("POST", "/v1/snapshots", `{"saga_id": 1, "saga_name": "", "step": 1}`).problem(400, "invalid_field",
		"/saga_id", "/saga_name", "/step", "/step_name", "/step_index", "/status", "/context")
	w.do("POST", "/v1/snapshots", whole("context", strings.Repeat(`{"a":`, 99)+"1"+strings.Repeat("}", 99))).is(201)

	w.do("PUT", "/v1/snapshots/"+snapshotID(1), whole("snapshot_id", `"`+snapshotID(2)+`"`)).
		problem(400, "id_mismatch", "/snapshot_id")
	w.get("/v1/stats").holds("1", "total_snapshots")
}

func TestAllThatIsWrongIsBounded(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `"unknown-%d": 1,`, i)
	}
	p := w.do("POST", "/v1/snapshots", "{"+b.String()+`"z": 1}`).is(400)
	if list := p.object()["errors"].([]any); len(list) != 100 {
		t.Errorf("%d errors", len(list))
	}
}
