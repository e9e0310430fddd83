package filestore

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
)

// TestRecallReadsWhatWasWritten compares it with what any reader of JSON finds. What it
// does not read it leaves to that.
func TestRecallReadsWhatWasWritten(t *testing.T) {
	anyText := rapid.OneOf(rapid.SampledFrom([]string{"order", "Ünal & Söhne", `"quoted"`, `back\slash`, "<b>", "\u2028", "\t"}), rapid.StringN(1, 20, -1))
	anyTime := rapid.OneOf(rapid.Just(saga.Never), rapid.Map(rapid.Int64Range(-62135596800000000, 253402300799999999), func(n int64) saga.Time { return saga.Time(n) }),
		rapid.Map(rapid.Int64Range(1_000_000_000, 2_000_000_000), func(n int64) saga.Time { return saga.Time(n * 1_000_000) }))
	m := newRecall()
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.UUID{15: byte(rapid.IntRange(0, 9).Draw(t, "saga"))}
		records := make([]catalog.Record, rapid.IntRange(0, 5).Draw(t, "snapshots"))
		for i := range records {
			r := &records[i]
			r.SagaID, r.ID = id, uuid.UUID{3: byte(i), 9: 0xab}
			r.SagaName, r.StepName, r.Status = anyText.Draw(t, "name"), anyText.Draw(t, "step"), "executing"
			r.CreatedAt, r.RetentionUntil = anyTime.Filter(func(at saga.Time) bool { return at != saga.Never }).Draw(t, "created"), anyTime.Draw(t, "retention")
			r.StepIndex, r.SizeBytes = rapid.Int32Min(0).Draw(t, "index"), rapid.Int64Min(0).Draw(t, "size")
			r.RawSize, r.Modified = rapid.Int64Min(0).Draw(t, "raw"), rapid.Int64Min(1).Draw(t, "modified")
			r.Gzip = rapid.Bool().Draw(t, "gzip")
			r.GzipName = r.Gzip
		}
		slices.SortFunc(records, func(a, b catalog.Record) int { return b.Position().Compare(a.Position()) })
		changed := rapid.Int64Min(1).Draw(t, "changed")
		text := appendIndex(nil, id, changed, records)
		m.text = append(m.text[:0], text...)
		noted, ok := m.parse(id)
		if ok && (noted != changed || !slices.Equal(m.records, records)) {
			t.Fatalf("read %d, %+v; written were %d, %+v", noted, m.records, changed, records)
		}
		if ok {
			read++
		} else if !bytes.ContainsAny(text, `\`) {
			t.Fatalf("not read:\n%s", text)
		}
		var x index
		if err := json.Unmarshal(text, &x); err != nil || len(x.Snapshots) != len(records) || x.DirectoryChangedNS != changed {
			t.Fatalf("%v: %+v\n%s", err, x, text)
		}
		for i := range records {
			if got := x.Snapshots[i].record(id, records[i].GzipName); got == nil || *got != records[i] {
				t.Fatalf("others read %+v; written was %+v", got, records[i])
			}
		}
		// Nothing may be missing, changed in its order or added.
		cut := rapid.IntRange(0, len(text)-1).Draw(t, "cut")
		m.text = append(m.text[:0], text[:cut]...)
		if _, ok := m.parse(id); ok {
			t.Fatalf("read to the byte %d of\n%s", cut, text)
		}
		m.text = append(append(m.text[:0], text...), '\n')
		if _, ok := m.parse(id); ok {
			t.Fatal("read with something behind")
		}
		if slices.Reverse(records); len(records) > 1 {
			m.text = appendIndex(m.text[:0], id, changed, records)
			if _, ok := m.parse(id); ok {
				t.Fatal("read in the wrong order")
			}
		}
	})
	if read == 0 {
		t.Error("nothing has been read")
	}
}
