package saga_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// sagazFields are a document as sagaz writes it; ours has all keys in our
// spelling.
var sagazFields = []field{
	{"snapshot_id", text(snapshotID)},
	{"saga_id", text(sagaID)},
	{"saga_name", `"order"`},
	{"step_name", `"charge"`},
	{"step_index", `2`},
	{"status", `"executing"`},
	{"context", `{"amount": 1.0, "who": "\u00e9"}`},
	{"completed_steps", `["reserve"]`},
	{"external_refs", `{"pdf": "s3://b/k"}`},
	{"created_at", `"2026-11-22T22:08:59.119505+00:00"`},
	{"retention_until", `"2026-12-22T22:08:59+00:00"`},
}

func TestReadSnapshot(t *testing.T) {
	s, ours, err := saga.ReadSnapshot([]byte(object(sagazFields)))
	if err != nil || !ours {
		t.Fatalf("ours %t, %v", ours, err)
	}
	want := saga.Summary{
		ID: s.ID, SagaID: s.SagaID, SagaName: "order", StepName: "charge", StepIndex: 2, Status: "executing",
		CreatedAt: parseTime(t, "2026-11-22T22:08:59.119505Z"), RetentionUntil: parseTime(t, "2026-12-22T22:08:59Z"),
	}
	if s.Summary != want || s.ID.String() != snapshotID || s.SagaID.String() != sagaID {
		t.Errorf("read %+v, want %+v", s.Summary, want)
	}
	if string(s.Context) != `{"amount": 1.0, "who": "\u00e9"}` || string(s.CompletedSteps) != `["reserve"]` ||
		string(s.ExternalRefs) != `{"pdf": "s3://b/k"}` || len(s.Extra) != 0 {
		t.Errorf("read %s %s %s %v", s.Context, s.CompletedSteps, s.ExternalRefs, s.Extra)
	}
}

func TestReadSnapshotRefuses(t *testing.T) {
	for _, change := range [][]string{
		{"snapshot_id", ``}, {"saga_id", ``}, {"saga_name", ``}, {"step_name", ``},
		{"step_index", ``}, {"status", ``}, {"context", ``}, {"created_at", ``},
		{"snapshot_id", `7`}, {"saga_id", `null`}, {"saga_id", `""`}, {"saga_id", text("{" + sagaID + "}")},
		{"saga_name", `null`}, {"step_name", `1`}, {"status", `null`}, {"status", `3`},
		{"step_index", `"2"`}, {"step_index", `null`}, {"step_index", `-1`}, {"step_index", `1.0`}, {"step_index", `1e2`}, {"step_index", `2147483648`},
		{"context", `null`}, {"context", `[]`}, {"context", `{"x":NaN}`}, {"context", `{"x":-Infinity}`}, {"context", `{"a":1,"a":2}`}, {"context", nested(100)},
		{"completed_steps", `[1]`}, {"completed_steps", `{}`},
		{"external_refs", `[]`},
		{"created_at", `null`}, {"created_at", `"2026-11-22 22:08:59"`}, {"created_at", `"yesterday"`}, {"created_at", `1795385339.1`},
		{"retention_until", `"never"`}, {"retention_until", `0`},
	} {
		doc := []byte(object(sagazFields, change...))
		if _, ours, err := saga.ReadSnapshot(doc); err == nil {
			t.Errorf("%q is read, as ours: %t", change, ours)
		} else if strings.Contains(err.Error(), "yesterday") {
			t.Errorf("%q: quotes the value: %v", change, err)
		}
		if _, err := saga.Respell(doc); err == nil {
			t.Errorf("%q is spelled anew", change)
		}
	}
	for _, doc := range []string{``, `{`, `null`, `[]`, object(sagazFields)[:200], object(sagazFields) + "x", "\ufeff" + object(sagazFields), "\x1f\x8b"} {
		if _, _, err := saga.ReadSnapshot([]byte(doc)); err == nil {
			t.Errorf("%.40q is read", doc)
		}
	}
}

// What is legal for another writer and not for us is answered in our spelling,
// all else verbatim.
func TestRespell(t *testing.T) {
	const verbatim = "verbatim"
	for _, tt := range []struct{ name, stored, want string }{
		{"snapshot_id", text(strings.ToUpper(snapshotID)), text(snapshotID)},
		{"saga_id", text(strings.ToUpper(sagaID)), text(sagaID)},
		{"saga_id", text(`\u0031` + sagaID[1:]), text(sagaID)},
		{"status", `"SagaStatus.EXECUTING"`, `"executing"`},
		{"status", `"SagaStatus.ROLLED_BACK"`, `"rolled_back"`},
		{"status", `"SOMETHING else"`, verbatim},
		{"status", `"\u0065xecuting"`, verbatim},
		{"saga_name", `"\u006frder"`, verbatim},
		{"saga_name", text(strings.Repeat("x", 300)), verbatim},
		{"step_name", `""`, verbatim},
		{"step_name", `"a\u0000\ud800"`, verbatim},
		{"step_index", `0`, verbatim},
		{"step_index", `-0`, `0`},
		{"created_at", `"2026-11-22T22:08:59.119505"`, `"2026-11-22T22:08:59.119505+00:00"`},
		{"created_at", `"2026-11-22T22:08:59"`, `"2026-11-22T22:08:59+00:00"`},
		{"created_at", `"2026-11-22T22:08:59Z"`, `"2026-11-22T22:08:59+00:00"`},
		{"created_at", `"2026-11-22T23:08:59.100+01:00"`, `"2026-11-22T22:08:59.100000+00:00"`},
		{"created_at", `"2026-11-22T22:08:59.000000+00:00"`, `"2026-11-22T22:08:59+00:00"`},
		{"retention_until", `null`, verbatim},
		{"retention_until", `"2026-12-22T22:08:59"`, `"2026-12-22T22:08:59+00:00"`},
		{"context", `{ "n":` + digits + `, "d" : 1.0,"t":"2026-01-01 00:00:00","SagaStatus.X":"\ud800\/"}`, verbatim},
		{"completed_steps", `[ ]`, verbatim},
		{"external_refs", `{"a" :1}`, verbatim},
		{"their_own", `{"x":[1, 2.0]}`, verbatim},
		{"completed_steps", ``, `[]`},
		{"external_refs", ``, `{}`},
		{"completed_steps", `null`, `[]`}, {"external_refs", `null`, `{}`},
		{"retention_until", ``, `null`},
	} {
		doc := object(sagazFields, tt.name, tt.stored)
		want := doc
		if tt.want != verbatim {
			want = object(sagazFields, tt.name, tt.want)
		}
		for _, layout := range []func(string) string{asIs, indent, squeeze, spaceOut} {
			got, err := saga.Respell([]byte(layout(doc)))
			if err != nil || !document.Equal(got, []byte(want)) {
				t.Errorf("%s %.40s is answered as\n%s, %v, want\n%s", tt.name, tt.stored, got, err, want)
				continue
			}
			if tt.want == verbatim && string(got) != layout(doc) {
				t.Errorf("%s %.40s: other bytes\n%q\nwant\n%q", tt.name, tt.stored, got, layout(doc))
			}
			wantAsOurs(t, []byte(layout(doc)))
		}
	}
}

func asIs(doc string) string    { return doc }
func indent(doc string) string  { return string(document.AppendIndent(nil, []byte(doc), 0)) }
func squeeze(doc string) string { return string(document.AppendCompact(nil, []byte(doc))) + "\n" }
func spaceOut(doc string) string {
	return strings.NewReplacer(`, "`, " ,\r\n\t\"", `: `, ` :`).Replace("\n " + doc + " ")
}

// Missing keys are put in their place, laid out as their neighbours.
func TestRespellPutsMissingKeysInTheirPlace(t *testing.T) {
	short := object(sagazFields, "completed_steps", "", "external_refs", "", "retention_until", "", "context", `{}`)
	want := strings.NewReplacer(
		`"context": {}`, `"context": {}, "completed_steps": [], "external_refs": {}`,
		`59.119505+00:00"`, `59.119505+00:00", "retention_until": null`,
	).Replace(short)
	got, err := saga.Respell([]byte(short))
	if err != nil || string(got) != want {
		t.Errorf("compact:\n%s, %v, want\n%s", got, err, want)
	}
	got, err = saga.Respell([]byte(indent(short) + "\n"))
	if err != nil || string(got) != indent(want)+"\n" {
		t.Errorf("pretty:\n%s, %v, want\n%s", got, err, indent(want))
	}

	// The keys that are there keep the order they have.
	fields := slices.Clone(sagazFields)
	slices.Reverse(fields)
	wantAsOurs(t, []byte(object(fields, "external_refs", "", "retention_until", "", "status", `"SagaStatus.FAILED"`)))
}

// wantAsOurs checks Respell's answer to a readable document: as ours, equal by
// value, and the same when it is spelled again.
func wantAsOurs(t *testing.T, doc []byte) {
	t.Helper()
	before, ours, err := saga.ReadSnapshot(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	input := bytes.Clone(doc)
	spelled, err := saga.Respell(doc)
	if err != nil || !bytes.Equal(doc, input) {
		t.Fatalf("%s: %v, document changed: %t", input, err, !bytes.Equal(doc, input))
	}
	if ours && !bytes.Equal(spelled, doc) {
		t.Fatalf("ours\n%s\nis answered as\n%s", doc, spelled)
	}
	after, ours, err := saga.ReadSnapshot(spelled)
	if err != nil || !ours {
		t.Fatalf("%s\nspelled as\n%s\nis ours: %t, %v", doc, spelled, ours, err)
	}
	if before.Summary != after.Summary || !bytes.Equal(before.AppendJSON(nil, false), after.AppendJSON(nil, false)) {
		t.Fatalf("%s\nhas other values as\n%s", doc, spelled)
	}
	for _, part := range [][2][]byte{{before.Context, after.Context}, {before.CompletedSteps, after.CompletedSteps}, {before.ExternalRefs, after.ExternalRefs}} {
		if !bytes.Equal(part[0], part[1]) {
			t.Fatalf("%s\nturned into\n%s", part[0], part[1])
		}
	}
	if len(before.Extra) != len(after.Extra) {
		t.Fatalf("%d keys of another writer turned into %d", len(before.Extra), len(after.Extra))
	}
	if again, err := saga.Respell(spelled); err != nil || !bytes.Equal(again, spelled) {
		t.Fatalf("%s\nspelled again is\n%s, %v", spelled, again, err)
	}
}

// fixtures are the files that the real library wrote, unpacked.
func fixtures(t testing.TB, kind string) (docs [][]byte) {
	t.Helper()
	for _, mode := range []string{"plain", "gzip", "compact"} {
		root := filepath.Join("..", "store", "filestore", "testdata", "sagaz-"+mode, kind)
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			doc, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if bytes.HasPrefix(doc, []byte{0x1f, 0x8b}) {
				unpacked, err := gzip.NewReader(bytes.NewReader(doc))
				if err != nil {
					return err
				}
				if doc, err = io.ReadAll(unpacked); err != nil {
					return err
				}
			}
			docs = append(docs, doc)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

// Files of the library are answered byte for byte.
func TestReadSnapshotFixtures(t *testing.T) {
	docs := fixtures(t, "snapshots")
	if len(docs) != 145 {
		t.Errorf("%d fixtures", len(docs))
	}
	for _, doc := range docs {
		if _, ours, err := saga.ReadSnapshot(doc); err != nil || !ours {
			t.Errorf("%s: ours %t, %v", doc, ours, err)
			continue
		}
		wantAsOurs(t, doc)
		if _, err := saga.ParseDraft(doc); err != nil {
			t.Errorf("cannot be saved again: %s: %v", doc, err)
		}
	}
}

// FuzzReadSnapshot: whatever can be read can be answered in our spelling.
func FuzzReadSnapshot(f *testing.F) {
	for _, doc := range fixtures(f, "snapshots") {
		f.Add(doc)
	}
	for _, change := range [][]string{
		{"status", `"SagaStatus.EXECUTING"`, "created_at", `"2026-11-22T22:08:59"`},
		{"external_refs", ``, "retention_until", ``, "snapshot_id", text(strings.ToUpper(snapshotID))},
		{"their_own", `{"x": 1}`, "completed_steps", ``}, {"step_index", `-0`},
	} {
		f.Add([]byte(object(sagazFields, change...)))
		f.Add([]byte(indent(object(sagazFields, change...))))
		f.Add([]byte(spaceOut(object(sagazFields, change...))))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if _, _, err := saga.ReadSnapshot(doc); err == nil {
			wantAsOurs(t, doc)
		} else if out, err := saga.Respell(doc); err == nil {
			t.Fatalf("unreadable, but spelled as %s", out)
		}
		if d, err := saga.ParseDraft(doc); err == nil {
			d.ID, d.CreatedAt = nth(1), 0
			wantAsOurs(t, d.AppendJSON(nil, true))
		}
	})
}
