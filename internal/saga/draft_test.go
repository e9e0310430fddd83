package saga_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"snapshotd/internal/saga"
)

// A field is a name and its value as spelled.
type field struct{ name, value string }

// object spells out fields with some changed: a value of "" leaves the field
// out, a new name goes to the end.
func object(fields []field, changes ...string) string {
	fields = slices.Clone(fields)
	for i := 0; i < len(changes); i += 2 {
		f := field{changes[i], changes[i+1]}
		if at := slices.IndexFunc(fields, func(g field) bool { return g.name == f.name }); at >= 0 {
			fields[at] = f
		} else {
			fields = append(fields, f)
		}
	}
	var members []string
	for _, f := range fields {
		if f.value != "" {
			members = append(members, fmt.Sprintf("%q: %s", f.name, f.value))
		}
	}
	return "{" + strings.Join(members, ", ") + "}"
}

const (
	snapshotID = "018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a"
	sagaID     = "1b671a64-40d5-491e-99b0-da01ff1f3341"
	otherID    = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

// required are the fields every snapshot has.
var required = []field{
	{"saga_id", `"` + sagaID + `"`},
	{"saga_name", `"order"`},
	{"step_name", `"charge"`},
	{"step_index", `2`},
	{"status", `"executing"`},
	{"context", `{"amount": 1.0}`},
}

// faults lists what is wrong as "code pointer".
func faults(err error) []string {
	var invalid saga.InvalidError
	if err == nil {
		return nil
	}
	if !errors.As(err, &invalid) {
		return []string{"another error: " + err.Error()}
	}
	var list []string
	for _, f := range invalid {
		if f.Detail == "" {
			list = append(list, "no detail:")
		}
		list = append(list, strings.TrimSpace(string(f.Code)+" "+f.Pointer))
	}
	return list
}

func text(s string) string { return `"` + s + `"` }

func list(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

func refs(n int, value string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"r%d":%q`, i, value)
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

func TestParseDraftField(t *testing.T) {
	const ok = ""
	for _, tt := range []struct{ name, value, fault string }{
		{"snapshot_id", ``, ok},
		{"snapshot_id", text(strings.ToUpper(snapshotID)), ok},
		{"snapshot_id", `null`, "invalid_field /snapshot_id"},
		{"snapshot_id", `""`, "invalid_field /snapshot_id"},
		{"snapshot_id", text("{" + snapshotID + "}"), "invalid_field /snapshot_id"},

		{"saga_id", ``, "missing_field /saga_id"},
		{"saga_id", `null`, "invalid_field /saga_id"},
		{"saga_id", `7`, "invalid_field /saga_id"},
		{"saga_id", text("urn:uuid:" + sagaID), "invalid_field /saga_id"},
		{"saga_id", text(strings.ReplaceAll(sagaID, "-", "")), "invalid_field /saga_id"},

		{"saga_name", ``, "missing_field /saga_name"},
		{"saga_name", `""`, "invalid_field /saga_name"},
		{"saga_name", `null`, "invalid_field /saga_name"},
		{"saga_name", `["order"]`, "invalid_field /saga_name"},
		{"saga_name", `" "`, ok},
		{"saga_name", text(strings.Repeat("x", 255)), ok},
		{"saga_name", text(strings.Repeat("x", 256)), "invalid_field /saga_name"},
		{"saga_name", text(strings.Repeat("🚀", 255)), ok}, // code points, not bytes
		{"saga_name", text(strings.Repeat("🚀", 256)), "invalid_field /saga_name"},
		{"saga_name", text(strings.Repeat(`\ud83d\ude80`, 255)), ok},
		{"saga_name", text(strings.Repeat(`\ud83d\ude80`, 256)), "invalid_field /saga_name"},
		{"step_name", ``, "missing_field /step_name"},
		{"step_name", `""`, "invalid_field /step_name"},
		{"step_name", `false`, "invalid_field /step_name"},
		{"step_name", `"__completed__"`, ok},
		{"step_name", text(strings.Repeat("é", 255)), ok},
		{"step_name", text(strings.Repeat("é", 256)), "invalid_field /step_name"},

		{"step_index", ``, "missing_field /step_index"},
		{"step_index", `null`, "invalid_field /step_index"},
		{"step_index", `"2"`, "invalid_field /step_index"},
		{"step_index", `0`, ok},
		{"step_index", `2147483647`, ok},
		{"step_index", `2147483648`, "invalid_field /step_index"},
		{"step_index", strings.Repeat("9", 400), "invalid_field /step_index"},
		{"step_index", `-1`, "invalid_field /step_index"},
		{"step_index", `-0`, "invalid_field /step_index"},
		{"step_index", `1.0`, "invalid_field /step_index"},
		{"step_index", `1e2`, "invalid_field /step_index"},

		{"status", ``, "missing_field /status"},
		{"status", `""`, "invalid_field /status"},
		{"status", `null`, "invalid_field /status"},
		{"status", `{}`, "invalid_field /status"},
		{"status", `"a"`, ok},
		{"status", `"my_own_2"`, ok},
		{"status", text("a" + strings.Repeat("_", 49)), ok},
		{"status", text("a" + strings.Repeat("_", 50)), "invalid_field /status"},
		{"status", `"_a"`, "invalid_field /status"},
		{"status", `"2a"`, "invalid_field /status"},
		{"status", `"Executing"`, "invalid_field /status"},
		{"status", `"SagaStatus.EXECUTING"`, "invalid_field /status"},
		{"status", `"rolled back"`, "invalid_field /status"},
		{"status", `"rolled-back"`, "invalid_field /status"},
		{"status", `"completed\n"`, "invalid_field /status"},
		{"status", `"ex\u00e9cuting"`, "invalid_field /status"},

		{"context", ``, "missing_field /context"},
		{"context", `null`, "invalid_field /context"},
		{"context", `[]`, "invalid_field /context"},
		{"context", `"{}"`, "invalid_field /context"},
		{"context", `{}`, ok},
		{"context", `{"":{"snapshot_id":null},"\ud800":"\udfff\u0000"}`, ok},
		{"context", nested(99), ok}, // the document itself is the first of 100 levels

		{"completed_steps", `[]`, ok},
		{"completed_steps", `null`, "invalid_field /completed_steps"},
		{"completed_steps", `{}`, "invalid_field /completed_steps"},
		{"completed_steps", `["a","",null]`, "invalid_field /completed_steps/2"},
		{"completed_steps", `["a",["b"]]`, "invalid_field /completed_steps/1"},
		{"completed_steps", list(10_000, `""`), ok},
		{"completed_steps", list(10_001, `""`), "invalid_field /completed_steps"},

		{"external_refs", `{}`, ok},
		{"external_refs", `null`, "invalid_field /external_refs"},
		{"external_refs", `[]`, "invalid_field /external_refs"},
		{"external_refs", `{"a":"b","c/d~":null}`, "invalid_field /external_refs/c~1d~0"},
		{"external_refs", `{"a":{"b":"c"},"d":"e","f":7}`, "invalid_field /external_refs/a, invalid_field /external_refs/f"},
		{"external_refs", refs(1_000, "x"), ok},
		{"external_refs", refs(1_001, "x"), "invalid_field /external_refs"},
		{"external_refs", refs(1, strings.Repeat("é", 4_096)), ok},
		{"external_refs", refs(1, strings.Repeat("é", 4_097)), "invalid_field /external_refs/r0"},

		{"created_at", `"2026-11-22T22:08:59Z"`, ok},
		{"created_at", `"2026-11-22T22:08:59"`, "invalid_field /created_at"},
		{"created_at", `null`, "invalid_field /created_at"},
		{"created_at", `1795385339`, "invalid_field /created_at"},
		{"retention_until", `null`, ok},
		{"retention_until", `"1999-12-31T00:00:00Z"`, ok},
		{"retention_until", `""`, "invalid_field /retention_until"},
		{"retention_until", `0`, "invalid_field /retention_until"},
		{"retention_until", `false`, "invalid_field /retention_until"},

		{"size_bytes", `1`, "unknown_field /size_bytes"},
		{"Status", `"executing"`, "unknown_field /Status"},
		{"a/b~", `null`, "unknown_field /a~1b~0"},
		{"", `null`, "unknown_field /"},
	} {
		_, err := saga.ParseDraft([]byte(object(required, tt.name, tt.value)))
		if got := strings.Join(faults(err), ", "); got != tt.fault {
			t.Errorf("%s %.60s: %q (%v), want %q", tt.name, tt.value, got, err, tt.fault)
		}
	}
}

func TestParseDraftRefusesControlCharacters(t *testing.T) {
	for c := rune(0); c < 0x120; c++ {
		control := c < 0x20 || c >= 0x7f && c < 0xa0
		for _, name := range []string{"saga_name", "step_name"} {
			_, err := saga.ParseDraft([]byte(object(required, name, fmt.Sprintf(`"a\u%04xb"`, c))))
			if got := len(faults(err)) == 1; got != control {
				t.Errorf("U+%04X in %s: %v", c, name, err)
			}
		}
	}
	for _, lone := range []string{`\ud800`, `\udfff`, `\ud83dx`, `\ude80\ud83d`} {
		_, err := saga.ParseDraft([]byte(object(required, "saga_name", text(lone), "step_name", text("a"+lone))))
		if got, want := faults(err), []string{"invalid_field /saga_name", "invalid_field /step_name"}; !slices.Equal(got, want) {
			t.Errorf("lone surrogate %s: %q", lone, got)
		}
	}
}

func TestParseDraftNamesAllThatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		body string
		want []string
	}{
		{`{}`, []string{
			"missing_field /saga_id", "missing_field /saga_name", "missing_field /step_name",
			"missing_field /step_index", "missing_field /status", "missing_field /context",
		}},
		{object(required, "saga_id", `1`, "step_index", `-1`, "status", ``, "created_at", `""`, "conText", `{}`), []string{
			"invalid_field /saga_id", "invalid_field /step_index", "invalid_field /created_at",
			"unknown_field /conText", "missing_field /status",
		}},
		// Too long references are named in the order in which they stand.
		{object(required, "external_refs", refs(20, strings.Repeat("x", 4_097))), func() (all []string) {
			for i := range 20 {
				all = append(all, fmt.Sprintf("invalid_field /external_refs/r%d", i))
			}
			return all
		}()},

		{``, []string{"invalid_json"}},
		{`null`, []string{"invalid_json"}},
		{`[]`, []string{"invalid_json"}},
		{object(required) + "{}", []string{"invalid_json"}},
		{object(required) + "\n\t ", nil},
		{object(required, "step_index", "007"), []string{"invalid_json"}},
		{object(required, "step_index", "+1"), []string{"invalid_json /step_index"}},
		{object(required, "context", `{"x": NaN}`), []string{"invalid_json /context/x"}},
		{object(required, "context", "{\"x\": \"\xff\"}"), []string{"invalid_json"}},
		{object(required, "context", nested(100)), []string{"too_deep /context" + strings.Repeat("/a", 99)}},
		{`{"status": "failed", "stat\u0075s": "failed"}`, []string{"duplicate_field /status"}},
		{object(required, "context", `{"a":{"b":1,"\u0062":2}}`), []string{"duplicate_field /context/a/b"}},
		{object(required, "external_refs", `{"a":"b","a":"c"}`), []string{"duplicate_field /external_refs/a"}},
	} {
		d, err := saga.ParseDraft([]byte(tt.body))
		got := faults(err)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%.80s:\ngot  %q\nwant %q", tt.body, got, tt.want)
		}
		if (d == nil) != (len(got) == 1 && (strings.HasPrefix(got[0], "invalid_json") || strings.HasPrefix(got[0], "duplicate") || strings.HasPrefix(got[0], "too_deep"))) {
			t.Errorf("%.80s: draft %v beside %q", tt.body, d, got)
		}
	}
}

func TestInvalidErrorNeverQuotesValues(t *testing.T) {
	_, err := saga.ParseDraft([]byte(object(required,
		"saga_id", `"hunter2"`, "step_index", `"hunter2"`, "status", `"Hunter2 hunter2"`,
		"saga_name", `"hunter2\u0000"`, "created_at", `"hunter2"`, "completed_steps", `"hunter2"`, "external_refs", `["hunter2"]`)))
	if len(faults(err)) != 7 || strings.Contains(strings.ToLower(err.Error()), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestParseDraftDefaults(t *testing.T) {
	d, err := saga.ParseDraft([]byte(object(required)))
	if err != nil {
		t.Fatal(err)
	}
	if d.HasID || d.HasCreatedAt || d.HasRetention {
		t.Errorf("says what was not sent: %+v", d)
	}
	if d.RetentionUntil != saga.Never || string(d.CompletedSteps) != "[]" || string(d.ExternalRefs) != "{}" {
		t.Errorf("defaults: %s %s %d", d.CompletedSteps, d.ExternalRefs, d.RetentionUntil)
	}
	if d.SagaID.String() != sagaID || d.SagaName != "order" || d.StepName != "charge" || d.StepIndex != 2 ||
		d.Status != "executing" || string(d.Context) != `{"amount": 1.0}` {
		t.Errorf("read as %+v", d.Snapshot)
	}

	d, err = saga.ParseDraft([]byte(object(required, "snapshot_id", text(strings.ToUpper(snapshotID)),
		"created_at", `"2026-11-22T22:08:59.1234567+01:00"`, "retention_until", `null`, "saga_name", `"\u00e9 \ud83d\ude80"`)))
	if err != nil {
		t.Fatal(err)
	}
	if !d.HasID || !d.HasCreatedAt || !d.HasRetention || d.ID.String() != snapshotID ||
		d.CreatedAt != parseTime(t, "2026-11-22T21:08:59.123456Z") || d.RetentionUntil != saga.Never || d.SagaName != "é 🚀" {
		t.Errorf("read as %+v", d)
	}
}
