package bench

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func madeUp() *Report {
	round := func(operations int, p50 time.Duration, flushes int64) Round {
		return Round{Operations: operations, Took: time.Second, P50: p50, P99: 10 * p50, P999: 25 * p50, Flushes: flushes}
	}
	failing := round(500, 2*time.Millisecond, 500)
	failing.Errors, failing.FirstError = 7, errors.New("status 507")
	cell := func(operation, subject string, r Round) *Cell {
		return &Cell{Operation: operation, Subject: subject, Clients: 1, Rounds: []Round{r}}
	}
	return &Report{
		Title: "Made up", Plan: Plan{Clients: []int{1, 64}, Time: time.Second, Rounds: 1},
		Document: 2048, Baseline: ceilingName, Subject: daemonName, Notes: []string{"A note."},
		Cells: []*Cell{
			cell(Save, ceilingName, round(10_000, 100*time.Microsecond, -1)),
			cell(Save, daemonName, failing),
			cell(Save, "other", round(1000, 800*time.Microsecond, 0)),
			cell(Latest, ceilingName, round(123_456, 8*time.Microsecond, -1)),
			cell(Latest, daemonName, round(61_728, 16*time.Microsecond, 0)),
			{Operation: Latest, Subject: "other", Clients: 1}, // was not measured any more
		},
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := madeUp().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `Made up

operation             clients    ops/s  of ceiling      p50      p99    p99.9  flushes/op  errors
save       ceiling          1   10,000               100 us  1.00 ms  2.50 ms                   0
save       snapshotd        1      500        0.05  2.00 ms    20 ms    50 ms        1.00       7
save       other            1    1,000        0.10   800 us  8.00 ms    20 ms        0.00       0

latest     ceiling          1  123,000                 8 us    80 us   200 us                   0
latest     snapshotd        1   61,700        0.50    16 us   160 us   400 us        0.00       0

snapshotd as a multiple of the others: operations a second / p50

operation  clients        other
save             1  0.50 / 2.50
latest           1
`
	got, rest, _ := strings.Cut(b.String(), "\nMedians of 1 round of 1s each")
	if got != want {
		t.Errorf("the table is\n%s\nnot\n%s", got, want)
	}
	for _, text := range []string{"2048 bytes", "\nA note.\n", "\nsave, snapshotd, 1 client: 7 errors; the first: status 507\n"} {
		if !strings.Contains(rest, text) {
			t.Errorf("%q is missing in\n%s", text, rest)
		}
	}
}

func TestTableWithoutFlushes(t *testing.T) {
	r := madeUp()
	r.Subject = ""
	for _, c := range r.Cells {
		c.Operation = ""
		for i := range c.Rounds {
			c.Rounds[i].Flushes = -1
		}
	}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, unwanted := range []string{"flushes", "operation ", "multiple"} {
		if strings.Contains(b.String(), unwanted) {
			t.Errorf("%q is in\n%s", unwanted, &b)
		}
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := madeUp().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Title    string           `json:"title"`
		Seconds  float64          `json:"seconds"`
		Clients  []int            `json:"clients"`
		Baseline string           `json:"baseline"`
		CPUs     int              `json:"cpus"`
		Cells    []map[string]any `json:"cells"`
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Title != "Made up" || got.Seconds != 1 || !slices.Equal(got.Clients, []int{1, 64}) || got.Baseline != ceilingName || got.CPUs < 1 || len(got.Cells) != 5 {
		t.Errorf("%+v", got)
	}
	for key, want := range map[string]any{
		"operation": Save, "subject": daemonName, "clients": 1.0, "operations_per_second": 500.0,
		"p50_us": 2000.0, "p99_us": 20000.0, "p999_us": 50000.0, "errors": 7.0, "first_error": "status 507",
		"flushes_per_operation": 1.0, "of_baseline": 0.05,
	} {
		if cell := got.Cells[1]; cell[key] != want {
			t.Errorf("%s is %v, not %v", key, cell[key], want)
		}
	}
	ceiling := got.Cells[0]
	if rounds, _ := ceiling["by_round"].([]any); len(rounds) != 1 {
		t.Errorf("the rounds are %v", ceiling["by_round"])
	}
	for _, key := range []string{"flushes_per_operation", "of_baseline", "first_error"} {
		if value, there := ceiling[key]; !there || value != nil {
			t.Errorf("the ceiling's %s is %v", key, value)
		}
	}
}

func TestSpelling(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.5: "0.5", 52.71: "52.7", 99.6: "99.6", 100: "100", 999.7: "1,000", 1234: "1,230", 98765: "98,800", 1234567: "1,230,000",
	} {
		if got := perSecond(v); got != want {
			t.Errorf("%v is spelled %s, not %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "", 35 * time.Microsecond: "35 us", 1270 * time.Microsecond: "1.27 ms", 12345 * time.Microsecond: "12 ms", 3 * time.Second: "3000 ms",
	} {
		if got := latency(d); got != want {
			t.Errorf("%v is spelled %q, not %q", d, got, want)
		}
	}
}
