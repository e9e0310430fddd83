package saga_test

import (
	"slices"
	"strings"
	"testing"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

var digits = strings.Repeat("1234567890", 40)

func TestSnapshotAppendJSON(t *testing.T) {
	d, err := saga.ParseDraft([]byte(`{
		"retention_until":"2026-12-22T23:08:59+01:00", "created_at": "2026-11-22T22:08:59.119505Z",
		"external_refs": {"z":"s3:\/\/bucket\/k" , "a":"\u00e9"}, "completed_steps":["\u00e9","é" ],
		"context": {"z":` + digits + `,"a" : 1.0, "e": 1E+2, "u": "\u00e9\ud800\/<é>", "n":{"b":[ ],"a":[1,
			{}]}, "\u006b": -0},
		"status":"\u0065xecuting", "step_index": 3, "step_name":"a \"step\" <\u00e9>\\", "saga_name":"\u006frder",
		"saga_id":"` + strings.ToUpper(sagaID) + `", "snapshot_id":"` + snapshotID + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	extra, err := document.Members([]byte(`{"ext\u0072a":{"a":[1,2.0]}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := d.Snapshot
	s.Extra = extra

	pretty := `{
  "snapshot_id": "` + snapshotID + `",
  "saga_id": "` + sagaID + `",
  "saga_name": "order",
  "step_name": "a \"step\" <é>\\",
  "step_index": 3,
  "status": "executing",
  "context": {
    "z": ` + digits + `,
    "a": 1.0,
    "e": 1E+2,
    "u": "\u00e9\ud800\/<é>",
    "n": {
      "b": [],
      "a": [
        1,
        {}
      ]
    },
    "\u006b": -0
  },
  "completed_steps": [
    "\u00e9",
    "é"
  ],
  "external_refs": {
    "z": "s3:\/\/bucket\/k",
    "a": "\u00e9"
  },
  "created_at": "2026-11-22T22:08:59.119505+00:00",
  "retention_until": "2026-12-22T22:08:59+00:00",
  "ext\u0072a": {
    "a": [
      1,
      2.0
    ]
  }
}
`
	if got := string(s.AppendJSON([]byte("behind"), true)); got != "behind"+pretty {
		t.Errorf("pretty:\n%s\nwant\n%s", got, pretty)
	}
	compact := `{"snapshot_id":"` + snapshotID + `","saga_id":"` + sagaID + `","saga_name":"order","step_name":"a \"step\" <é>\\",` +
		`"step_index":3,"status":"executing","context":{"z":` + digits + `,"a":1.0,"e":1E+2,"u":"\u00e9\ud800\/<é>","n":{"b":[],"a":[1,{}]},"\u006b":-0},` +
		`"completed_steps":["\u00e9","é"],"external_refs":{"z":"s3:\/\/bucket\/k","a":"\u00e9"},` +
		`"created_at":"2026-11-22T22:08:59.119505+00:00","retention_until":"2026-12-22T22:08:59+00:00","ext\u0072a":{"a":[1,2.0]}}` + "\n"
	if got := string(s.AppendJSON(nil, false)); got != compact {
		t.Errorf("compact:\n%s\nwant\n%s", got, compact)
	}

	// What we write is ours, and says the same.
	for _, doc := range []string{pretty, compact} {
		back, ours, err := saga.ReadSnapshot([]byte(doc))
		if err != nil || !ours {
			t.Errorf("ours %t, %v", ours, err)
		} else if again := string(back.AppendJSON(nil, false)); again != compact {
			t.Errorf("comes back as\n%s", again)
		}
	}
}

func TestSnapshotKeptForEver(t *testing.T) {
	d, err := saga.ParseDraft([]byte(object(required, "created_at", `"2026-11-22T22:08:59Z"`)))
	if err != nil {
		t.Fatal(err)
	}
	doc := string(d.AppendJSON(nil, false))
	want := `"completed_steps":[],"external_refs":{},"created_at":"2026-11-22T22:08:59+00:00","retention_until":null}` + "\n"
	if !strings.HasSuffix(doc, want) {
		t.Errorf("%s\nshould end in\n%s", doc, want)
	}
}

func TestExpiredIsStrictlyBefore(t *testing.T) {
	for _, tt := range []struct {
		until saga.Time
		want  bool
	}{{99, true}, {100, false}, {101, false}, {saga.Never, false}, {-1, true}} {
		s := saga.Summary{RetentionUntil: tt.until, CreatedAt: 1000}
		if got := s.Expired(100); got != tt.want {
			t.Errorf("retention until %d, at 100: %t", tt.until, got)
		}
	}
	if s := (saga.Summary{RetentionUntil: saga.Never}); s.Expired(saga.Never) {
		t.Error("what is kept for ever expires at the end of time")
	}
}

// Every field the client sent equals what is stored.
func TestSameContent(t *testing.T) {
	full := append(slices.Clone(required),
		field{"snapshot_id", text(snapshotID)},
		field{"completed_steps", `["a","\u00e9"]`},
		field{"external_refs", `{"a":"b","c":"\u00e9"}`},
		field{"created_at", `"2026-11-22T22:08:59.119505Z"`},
		field{"retention_until", `"2026-12-22T22:08:59Z"`},
	)
	context := []string{"context", `{"n":1.0,"s":"\u00e9","o":{"a":1,"b":[1,2]}}`}
	d, err := saga.ParseDraft([]byte(object(full, context...)))
	if err != nil {
		t.Fatal(err)
	}
	stored, _, err := saga.ReadSnapshot(d.AppendJSON(nil, true))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"snapshot_id", text(strings.ToUpper(snapshotID)), true},
		{"snapshot_id", ``, true},
		{"snapshot_id", text(otherID), false},
		{"saga_id", text(strings.ToUpper(sagaID)), true},
		{"saga_id", text(otherID), false},
		{"saga_name", `"\u006frder"`, true},
		{"saga_name", `"Order"`, false},
		{"step_name", `"ship"`, false},
		{"step_index", `3`, false},
		{"status", `"failed"`, false},

		{"context", `{ "n" :1.0,"s":"\u00e9","o":{"a":1,"b":[1,2]} }`, true},
		{"context", `{"n":1,"s":"\u00e9","o":{"a":1,"b":[1,2]}}`, false},
		{"context", `{"n":1.0,"s":"é","o":{"a":1,"b":[1,2]}}`, false},
		{"context", `{"s":"\u00e9","n":1.0,"o":{"a":1,"b":[1,2]}}`, false},
		{"context", `{"n":1.0,"s":"\u00e9","o":{"b":[1,2],"a":1}}`, false},
		{"context", `{"n":1.0,"s":"\u00e9","o":{"a":1,"b":[1,2]},"x":null}`, false},
		{"context", `{"n":1.0,"s":"\u00e9"}`, false},
		{"context", `{}`, false},

		{"completed_steps", ``, true},
		{"completed_steps", `["\u0061", "é"]`, true},
		{"completed_steps", `["é","a"]`, false},
		{"completed_steps", `["a"]`, false},
		{"completed_steps", `[]`, false},
		{"external_refs", ``, true},
		{"external_refs", `{"c":"é", "\u0061":"b"}`, true},
		{"external_refs", `{"a":"b"}`, false},
		{"external_refs", `{"a":"b","c":"e"}`, false},
		{"external_refs", `{}`, false},

		{"created_at", ``, true},
		{"created_at", `"2026-11-22T23:08:59.119505999+01:00"`, true},
		{"created_at", `"2026-11-22T22:08:59.119506Z"`, false},
		{"retention_until", ``, true},
		{"retention_until", `"2026-12-22T22:08:59.000Z"`, true},
		{"retention_until", `"2026-12-22T22:09:00Z"`, false},
		{"retention_until", `null`, false},
	} {
		again, err := saga.ParseDraft([]byte(object(full, append(context, tt.name, tt.value)...)))
		if err != nil {
			t.Fatalf("%s %s: %v", tt.name, tt.value, err)
		}
		if got := again.SameContent(stored); got != tt.want {
			t.Errorf("%s %s is the same: %t", tt.name, tt.value, got)
		}
	}
}

// A file of another writer may hold what we would not take.
func TestSameContentAsAForeignFile(t *testing.T) {
	foreign := append(slices.Clone(required), field{"snapshot_id", text(strings.ToUpper(snapshotID))}, field{"created_at", `"2026-11-22T22:08:59"`})
	for _, tt := range []struct {
		sent, stored []string
		want         bool
	}{
		{[]string{"status", `"executing"`}, []string{"status", `"SagaStatus.EXECUTING"`}, true},
		{[]string{"created_at", `"2026-11-22T23:08:59+01:00"`}, nil, true},
		{[]string{"external_refs", `{}`, "completed_steps", `[]`, "retention_until", `null`}, nil, true},
		{nil, []string{"their_own", `[1]`}, true},
		{[]string{"external_refs", `{}`}, []string{"external_refs", `{"a":1}`}, false},
		{nil, []string{"external_refs", `{"a":1}`}, true},
	} {
		stored, _, err := saga.ReadSnapshot([]byte(object(foreign, tt.stored...)))
		if err != nil {
			t.Fatalf("%q: %v", tt.stored, err)
		}
		d, err := saga.ParseDraft([]byte(object(required, tt.sent...)))
		if err != nil {
			t.Fatalf("%q: %v", tt.sent, err)
		}
		if got := d.SameContent(stored); got != tt.want {
			t.Errorf("sent %q, stored %q: the same is %t", tt.sent, tt.stored, got)
		}
	}
}
