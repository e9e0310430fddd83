package saga_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"snapshotd/internal/saga"
)

func TestParseTime(t *testing.T) {
	for _, tt := range []struct{ text, want string }{ // want "" = refused
		{"2026-11-22T22:08:59.119505+00:00", "2026-11-22T22:08:59.119505+00:00"},
		{"2026-11-22T22:08:59+00:00", "2026-11-22T22:08:59+00:00"},
		{"2026-11-22T22:08:59Z", "2026-11-22T22:08:59+00:00"},
		{"2026-11-22T22:08:59-00:00", "2026-11-22T22:08:59+00:00"},
		{"2026-11-22T22:08:59.000Z", "2026-11-22T22:08:59+00:00"},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00"},

		// 1 to 9 digits of fraction, cut, not rounded.
		{"2026-11-22T22:08:59.1Z", "2026-11-22T22:08:59.100000+00:00"},
		{"2026-11-22T22:08:59.0000019Z", "2026-11-22T22:08:59.000001+00:00"},
		{"2026-11-22T22:08:59.999999999Z", "2026-11-22T22:08:59.999999+00:00"},
		{"2026-11-22T22:08:59.000000999Z", "2026-11-22T22:08:59+00:00"},
		{"1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999+00:00"},
		{"2026-11-22T22:08:59.Z", ""},
		{"2026-11-22T22:08:59.1234567890Z", ""},
		{"2026-11-22T22:08:59,5Z", ""},

		// Offsets.
		{"2026-11-22T22:08:59+23:59", "2026-11-21T22:09:59+00:00"},
		{"2026-11-22T22:08:59-23:59", "2026-11-23T22:07:59+00:00"},
		{"2026-11-22T22:08:59.5+05:30", "2026-11-22T16:38:59.500000+00:00"},
		{"2026-11-22T22:08:59+24:00", ""},
		{"2026-11-22T22:08:59-24:00", ""},
		{"2026-11-22T22:08:59+00:60", ""},
		{"2026-11-22T22:08:59", ""},
		{"2026-11-22T22:08:59+1:00", ""},
		{"2026-11-22T22:08:59+0100", ""},
		{"2026-11-22T22:08:59+01", ""},
		{"2026-11-22T22:08:59+01:00:00", ""},
		{"2026-11-22T22:08:59 01:00", ""},
		{"2026-11-22T22:08:59\u221201:00", ""},
		{"2026-11-22T22:08:59ZZ", ""},
		{"2026-11-22T22:08:59 UTC", ""},

		// The years 0001 to 9999, in UTC.
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"},
		{"9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999+00:00"},
		{"0000-12-31T23:30:00-01:00", "0001-01-01T00:30:00+00:00"},
		{"0001-01-01T00:30:00+01:00", ""},
		{"0000-12-31T23:59:59.999999Z", ""},
		{"0000-06-01T00:00:00Z", ""},
		{"9999-12-31T23:59:59-00:01", ""},
		{"-001-01-01T00:00:00Z", ""},
		{"-2026-01-01T00:00:00Z", ""},
		{"+2026-01-01T00:00:00Z", ""},
		{"12026-01-01T00:00:00Z", ""},

		// Fields of two digits, in range.
		{"2026-1-02T03:04:05Z", ""},
		{"2026-01-2T03:04:05Z", ""},
		{"2026-01-02T3:04:05Z", ""},
		{"2026-01-02T03:4:05Z", ""},
		{"2026-01-02T03:04:5Z", ""},
		{"2026-01-02T03:04Z", ""},
		{"2026-00-02T03:04:05Z", ""},
		{"2026-13-02T03:04:05Z", ""},
		{"2026-02-29T03:04:05Z", ""},
		{"2026-04-31T03:04:05Z", ""},
		{"2026-01-00T03:04:05Z", ""},
		{"2026-01-02T24:00:00Z", ""},
		{"2026-01-02T23:60:00Z", ""},
		{"2026-12-31T23:59:60Z", ""},

		// Nothing else.
		{"2026-11-22t22:08:59Z", ""},
		{"2026-11-22T22:08:59z", ""},
		{"2026-11-22 22:08:59Z", ""},
		{" 2026-11-22T22:08:59Z", ""},
		{"2026-11-22T22:08:59Z ", ""},
		{"2026-11-22T22:08:59Z\x00", ""},
		{"\uff12026-11-22T22:08:59Z", ""},
		{"2026-11-22", ""},
		{"1795385339", ""},
		{"now", ""},
		{"", ""},
	} {
		got, err := saga.ParseTime(tt.text)
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%q is accepted as %s", tt.text, got)
		case tt.want != "" && err != nil:
			t.Errorf("%q: %v", tt.text, err)
		case tt.want != "" && got.String() != tt.want:
			t.Errorf("%q is %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestParseStoredTimeTakesNoOffsetAsUTC(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-22T22:08:59.119505":     "2026-11-22T22:08:59.119505+00:00",
		"2026-11-22T22:08:59":            "2026-11-22T22:08:59+00:00",
		"2026-11-22T22:08:59.5+01:00":    "2026-11-22T21:08:59.500000+00:00",
		"2026-11-22T22:08:59Z":           "2026-11-22T22:08:59+00:00",
		"2026-11-22T22:08:59.":           "",
		"2026-11-22 22:08:59":            "",
		"2026-11-22":                     "",
		"0000-12-31T23:59:59":            "",
		"2026-11-22T22:08:59.1234567890": "",
		"":                               "",
	} {
		got, err := saga.ParseStoredTime(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q = %s, %v, want %q", text, got, err, want)
		}
	}
}

// anyTime draws from all the years that can be written, whole seconds often.
var anyTime = rapid.Custom(func(t *rapid.T) saga.Time {
	low := saga.At(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	high := saga.At(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))
	at := saga.Time(rapid.Int64Range(int64(low), int64(high)).Draw(t, "microseconds"))
	if rapid.Bool().Draw(t, "whole") {
		at = max(low, at-at%1_000_000)
	}
	return at
})

// Other readers sort the texts.
func TestTimesSortAsTheirTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyTime.Draw(t, "a")
		b := anyTime.Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = a.Add(time.Duration(rapid.IntRange(-1_500_000, 1_500_000).Draw(t, "apart")) * time.Microsecond)
		}
		if byText := strings.Compare(a.String(), b.String()); a < b && byText >= 0 || a == b && byText != 0 || a > b && byText <= 0 {
			t.Fatalf("%s and %s sort by text as %d", a, b, byText)
		}
		if back, err := saga.ParseTime(a.String()); err != nil || back != a {
			t.Fatalf("%s comes back as %s, %v", a, back, err)
		}
		if at := a.Time(); at.Location() != time.UTC || saga.At(at) != a {
			t.Fatalf("%s comes back as %s", a, saga.At(at))
		}
	})
}

func TestTimeAdd(t *testing.T) {
	first, last := parseTime(t, "0001-01-01T00:00:00Z"), parseTime(t, "9999-12-31T23:59:59.999999Z")
	noon := parseTime(t, "2026-03-01T12:00:00Z")
	for _, tt := range []struct {
		at   saga.Time
		by   time.Duration
		want saga.Time
	}{
		{noon, 90 * time.Minute, parseTime(t, "2026-03-01T13:30:00Z")},
		{noon, -time.Microsecond, parseTime(t, "2026-03-01T11:59:59.999999Z")},
		{noon, 999 * time.Nanosecond, noon},
		{last, time.Hour, last},
		{last, 1<<63 - 1, last},
		{first, -time.Hour, first},
		{first, -1 << 63, first},
		{saga.Never, time.Hour, saga.Never},
		{saga.Never, -time.Hour, saga.Never},
	} {
		if got := tt.at.Add(tt.by); got != tt.want {
			t.Errorf("%d + %s = %d, want %d", tt.at, tt.by, got, tt.want)
		}
	}
}

func TestTimeInJSON(t *testing.T) {
	got, err := json.Marshal([]saga.Time{parseTime(t, "2026-03-01T12:00:00Z"), parseTime(t, "2026-03-01T12:00:00.000001Z"), saga.Never})
	want := `["2026-03-01T12:00:00+00:00","2026-03-01T12:00:00.000001+00:00",null]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func parseTime(t testing.TB, text string) saga.Time {
	t.Helper()
	at, err := saga.ParseTime(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return at
}

// FuzzParseTime holds the parser against the standard library: never laxer, and
// of the same opinion about the instant.
func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"2026-11-22T22:08:59.119505+00:00", "2026-11-22T22:08:59Z", "0000-12-31T23:30:00-01:00", "9999-12-31T23:59:59.999999999Z",
		"1969-12-31T23:59:59.9999999Z", "2026-11-22T22:08:59,5Z", "2026-11-22T22:08:59+23:59", "2026-11-22T2:08:59+24:00", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := saga.ParseTime(text)
		stored, storedErr := saga.ParseStoredTime(text)
		if err != nil {
			return
		}
		oracle, oracleErr := time.Parse(time.RFC3339Nano, text)
		if oracleErr != nil {
			t.Fatalf("%q is accepted as %s, but not by time.Parse: %v", text, got, oracleErr)
		}
		if cut := oracle.UTC().Truncate(time.Microsecond); !got.Time().Equal(cut) {
			t.Fatalf("%q is %s, not %s", text, got, cut)
		}
		if year := got.Time().Year(); year < 1 || year > 9999 {
			t.Fatalf("%q is in the year %d", text, year)
		}
		if back, err := saga.ParseTime(got.String()); err != nil || back != got {
			t.Fatalf("%q comes back as %s, %v", text, back, err)
		}
		if storedErr != nil || stored != got {
			t.Fatalf("%q from a file is %s, %v", text, stored, storedErr)
		}
	})
}
