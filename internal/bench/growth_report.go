package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"text/tabwriter"
	"time"
)

// A GrowthReport is what was measured by Growth.
type GrowthReport struct {
	Time           time.Duration // of an operation in a round
	Rounds         int
	Stored, InSaga *Series // nil = not measured
}

// A Series is what operations cost as a number grows.
type Series struct {
	Of     string
	Counts []int
	Rows   []Row
}

// A Row is one operation: for each count its p50 in each round, in microseconds, or
// what it takes of the memory, in bytes.
type Row struct {
	Operation string
	Bytes     bool
	Rounds    [][]float64
	P999      []float64 // medians, in microseconds; nil = not known
}

func rowOf(operation string, cells []*Cell) Row {
	row := Row{Operation: operation}
	for _, c := range cells {
		var p50s []float64
		for i := range c.Rounds {
			p50s = append(p50s, float64(c.Rounds[i].P50)/1e3)
		}
		row.Rounds = append(row.Rounds, p50s)
		row.P999 = append(row.P999, float64(c.P999())/1e3)
	}
	return row
}

func micros(times []time.Duration) (list []float64) {
	for _, t := range times {
		list = append(list, float64(t)/1e3)
	}
	return list
}

// Value is the median of the rounds.
func (r *Row) Value(i int) float64 { return median(r.Rounds[i]) }

// Ratio is how many times the cost at a base it is: the median of the rounds, of which
// each was measured side by side.
func (r *Row) Ratio(i, base int) float64 {
	var ratios []float64
	for round := range min(len(r.Rounds[i]), len(r.Rounds[base])) {
		ratios = append(ratios, r.Rounds[i][round]/r.Rounds[base][round])
	}
	return median(ratios)
}

// WriteTable writes the report for people.
func (g *GrowthReport) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, "What operations cost as the number of snapshots grows: p50 with one client, and")
	fmt.Fprintln(&b, "how many times that of the first column it is")
	for _, s := range []*Series{g.Stored, g.InSaga} {
		if s != nil {
			fmt.Fprintln(&b)
			aligned(&b, s.write)
		}
	}
	if s := g.Stored; s != nil {
		fmt.Fprintln(&b, "\np99.9 of the same")
		fmt.Fprintln(&b)
		aligned(&b, s.writeP999)
		if each := s.bytesEach(); each > 0 {
			fmt.Fprintf(&b, "\nEach snapshot more takes %.0f bytes of the process's memory.", each)
		}
	}
	fmt.Fprintf(&b, "\nMedians of %s of %v each, in rotation; documents of about %d bytes, ten to a saga; %s, %s/%s, %d CPUs.\n",
		counted(g.Rounds, "round"), g.Time, documentSize, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintf(&b, "Reads are of %s, evenly among those stored, but where it says any.\n", counted(readOften, "snapshot"))
	fmt.Fprintln(&b, "Saves are durable. Starts are warm: what was filled is in the page cache.")
	_, err := w.Write(b.Bytes())
	return err
}

const operationWidth = len(searchNone)

func (s *Series) write(table *tabwriter.Writer) {
	s.writeHead(table, true)
	for i := range s.Rows {
		r := &s.Rows[i]
		columns := []string{pad(r.Operation, operationWidth)}
		for n := range r.Rounds {
			columns = append(columns, r.spell(r.Value(n)))
			if n > 0 {
				columns = append(columns, fmt.Sprintf("%.2f", r.Ratio(n, 0)))
			}
		}
		row(table, columns...)
	}
}

func (s *Series) writeHead(table *tabwriter.Writer, ratios bool) {
	head := []string{pad(s.Of, operationWidth)}
	for i, n := range s.Counts {
		head = append(head, perSecond(float64(n)))
		if ratios && i > 0 {
			head = append(head, "ratio")
		}
	}
	row(table, head...)
}

func (s *Series) writeP999(table *tabwriter.Writer) {
	s.writeHead(table, false)
	for _, r := range s.Rows {
		if r.P999 == nil {
			continue
		}
		columns := []string{pad(r.Operation, operationWidth)}
		for _, v := range r.P999 {
			columns = append(columns, r.spell(v))
		}
		row(table, columns...)
	}
}

func (r *Row) spell(v float64) string {
	if r.Bytes {
		return fmt.Sprintf("%.0f MiB", v/(1<<20))
	}
	return latency(time.Duration(v * 1e3))
}

// bytesEach answers what a snapshot more takes of the memory, 0 if that is not known.
func (s *Series) bytesEach() float64 {
	last := len(s.Counts) - 1
	for i := range s.Rows {
		if r := &s.Rows[i]; r.Bytes && last > 0 {
			return (r.Value(last) - r.Value(0)) / float64(s.Counts[last]-s.Counts[0])
		}
	}
	return 0
}

// The shape of the report for machines: p50 in microseconds, or bytes.
type (
	jsonGrowth struct {
		Seconds   float64      `json:"seconds"`
		Rounds    int          `json:"rounds"`
		GoVersion string       `json:"go_version"`
		CPUs      int          `json:"cpus"`
		Series    []jsonSeries `json:"series"`
	}
	jsonSeries struct {
		Of     string    `json:"of"`
		Counts []int     `json:"counts"`
		Rows   []jsonRow `json:"rows"`
	}
	jsonRow struct {
		Operation string      `json:"operation"`
		Unit      string      `json:"unit"`
		Values    []float64   `json:"values"`
		Ratios    []float64   `json:"ratios"`
		P999      []float64   `json:"p999,omitempty"`
		Rounds    [][]float64 `json:"by_round"`
	}
)

// WriteJSON writes the report for machines.
func (g *GrowthReport) WriteJSON(w io.Writer) error {
	out := jsonGrowth{Seconds: g.Time.Seconds(), Rounds: g.Rounds, GoVersion: runtime.Version(), CPUs: runtime.NumCPU(), Series: []jsonSeries{}}
	for _, s := range []*Series{g.Stored, g.InSaga} {
		if s == nil {
			continue
		}
		series := jsonSeries{Of: s.Of, Counts: s.Counts, Rows: []jsonRow{}}
		for i := range s.Rows {
			r := &s.Rows[i]
			row := jsonRow{Operation: r.Operation, Unit: "us", P999: r.P999, Rounds: r.Rounds}
			if r.Bytes {
				row.Unit = "bytes"
			}
			for n := range r.Rounds {
				row.Values = append(row.Values, rounded(r.Value(n)))
				row.Ratios = append(row.Ratios, rounded(finite(r.Ratio(n, 0))))
			}
			series.Rows = append(series.Rows, row)
		}
		out.Series = append(out.Series, series)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
