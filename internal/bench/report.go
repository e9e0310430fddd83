package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is what was measured.
type Report struct {
	Title    string
	Plan     Plan
	Document int      // bytes of a document, about
	Baseline string   // the subject that ratios are to
	Subject  string   // the one compared with every other; "" = none is
	Notes    []string // what a reader must know; sentences
	Cells    []*Cell
}

// WriteTable writes the report for people. Cells without a round are left out.
func (r *Report) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", r.Title)
	aligned(&b, r.writeCells)
	r.writeComparison(&b)
	fmt.Fprintf(&b, "\nMedians of %s of %v each, in rotation; documents of about %d bytes; %s, %s/%s, %d CPUs.\n",
		counted(r.Plan.Rounds, "round"), r.Plan.Time, r.Document, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, note := range r.Notes {
		fmt.Fprintln(&b, note)
	}
	for _, c := range r.Cells {
		if n, first := c.Errors(); n > 0 {
			fmt.Fprintf(&b, "%s: %s; the first: %v\n", title(&loop{operation: c.Operation, subject: c.Subject}, c.Clients), counted(n, "error"), first)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) writeCells(table *tabwriter.Writer) {
	flushes := slices.ContainsFunc(r.Cells, func(c *Cell) bool { _, known := c.FlushesPerOperation(); return known })
	operations := slices.ContainsFunc(r.Cells, func(c *Cell) bool { return c.Operation != "" })
	operationWidth, subjectWidth := len("operation"), 0
	for _, c := range r.Cells {
		operationWidth = max(operationWidth, len(c.Operation))
		subjectWidth = max(subjectWidth, len(c.Subject))
	}
	left := func(operation, subject string) []string {
		if !operations {
			return []string{pad(subject, subjectWidth)}
		}
		return []string{pad(operation, operationWidth), pad(subject, subjectWidth)}
	}
	heads := []string{"clients", "ops/s", "of " + r.Baseline, "p50", "p99", "p99.9"}
	if flushes {
		heads = append(heads, "flushes/op")
	}
	row(table, append(left("operation", ""), append(heads, "errors")...)...)
	last := ""
	for _, c := range r.Cells {
		if len(c.Rounds) == 0 {
			continue
		}
		if operations && last != "" && last != c.Operation {
			row(table, append(left("", ""), make([]string, len(heads)+1)...)...)
		}
		last = c.Operation
		ratio := ""
		if base := r.cell(c.Operation, r.Baseline, c.Clients); base != nil && base != c {
			if rate, _, ok := c.Of(base); ok {
				ratio = fmt.Sprintf("%.2f", rate)
			}
		}
		columns := []string{strconv.Itoa(c.Clients), perSecond(c.PerSecond()), ratio, latency(c.P50()), latency(c.P99()), latency(c.P999())}
		if flushes {
			text := ""
			if n, known := c.FlushesPerOperation(); known {
				text = fmt.Sprintf("%.2f", n)
			}
			columns = append(columns, text)
		}
		n, _ := c.Errors()
		row(table, append(left(c.Operation, c.Subject), append(columns, strconv.Itoa(n))...)...)
	}
}

// writeComparison holds one subject against all others.
func (r *Report) writeComparison(b *bytes.Buffer) {
	var others []string
	for _, c := range r.Cells {
		if c.Subject != r.Subject && c.Subject != r.Baseline && !slices.Contains(others, c.Subject) {
			others = append(others, c.Subject)
		}
	}
	if r.Subject == "" || len(others) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s as a multiple of the others: operations a second / p50\n\n", r.Subject)
	aligned(b, func(table *tabwriter.Writer) {
		row(table, append([]string{pad("operation", len("operation")), "clients"}, others...)...)
		for _, c := range r.Cells {
			if c.Subject != r.Subject {
				continue
			}
			columns := []string{pad(c.Operation, len("operation")), strconv.Itoa(c.Clients)}
			for _, name := range others {
				text := ""
				if other := r.cell(c.Operation, name, c.Clients); other != nil {
					if rate, p50, ok := c.Of(other); ok {
						text = fmt.Sprintf("%.2f / %.2f", rate, p50)
					}
				}
				columns = append(columns, text)
			}
			row(table, columns...)
		}
	})
}

// aligned lays out what write writes in columns. They are aligned right; what is
// to stand left comes padded.
func aligned(b *bytes.Buffer, write func(*tabwriter.Writer)) {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	write(table)
	_ = table.Flush() // to memory
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(b, strings.TrimRight(strings.TrimPrefix(line, "  "), " \n"))
	}
}

func row(table *tabwriter.Writer, columns ...string) {
	_, _ = fmt.Fprintln(table, strings.Join(columns, "\t")+"\t")
}

func (r *Report) cell(operation, subject string, clients int) *Cell {
	for _, c := range r.Cells {
		if c.Operation == operation && c.Subject == subject && c.Clients == clients {
			return c
		}
	}
	return nil
}

// The shape of a report for machines. Times are in microseconds; what is not
// known is null.
type (
	jsonReport struct {
		Title         string     `json:"title"`
		Seconds       float64    `json:"seconds"`
		Rounds        int        `json:"rounds"`
		Clients       []int      `json:"clients"`
		DocumentBytes int        `json:"document_bytes"`
		Baseline      string     `json:"baseline"`
		GoVersion     string     `json:"go_version"`
		OS            string     `json:"os"`
		Arch          string     `json:"arch"`
		CPUs          int        `json:"cpus"`
		Notes         []string   `json:"notes"`
		Cells         []jsonCell `json:"cells"`
	}
	jsonCell struct {
		Operation  string       `json:"operation,omitempty"`
		Subject    string       `json:"subject"`
		Clients    int          `json:"clients"`
		jsonFigure              // medians
		OfBaseline *float64     `json:"of_baseline"`
		FirstError *string      `json:"first_error"`
		Rounds     []jsonFigure `json:"by_round"`
	}
	jsonFigure struct {
		PerSecond float64  `json:"operations_per_second"`
		P50       float64  `json:"p50_us"`
		P99       float64  `json:"p99_us"`
		P999      float64  `json:"p999_us"`
		Errors    int      `json:"errors"`
		Flushes   *float64 `json:"flushes_per_operation"`
	}
)

// WriteJSON writes the report for machines: one object, with every round.
func (r *Report) WriteJSON(w io.Writer) error {
	out := jsonReport{
		Title: r.Title, Seconds: r.Plan.Time.Seconds(), Rounds: r.Plan.Rounds, Clients: r.Plan.Clients,
		DocumentBytes: r.Document, Baseline: r.Baseline, GoVersion: runtime.Version(),
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		Notes: append([]string{}, r.Notes...), Cells: []jsonCell{},
	}
	for _, c := range r.Cells {
		if len(c.Rounds) == 0 {
			continue
		}
		cell := jsonCell{Operation: c.Operation, Subject: c.Subject, Clients: c.Clients, jsonFigure: figure(c)}
		if base := r.cell(c.Operation, r.Baseline, c.Clients); base != nil && base != c {
			if rate, _, ok := c.Of(base); ok {
				rate = rounded(rate)
				cell.OfBaseline = &rate
			}
		}
		if _, first := c.Errors(); first != nil {
			text := first.Error()
			cell.FirstError = &text
		}
		for _, round := range c.Rounds {
			cell.Rounds = append(cell.Rounds, figure(&Cell{Rounds: []Round{round}}))
		}
		out.Cells = append(out.Cells, cell)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}

func figure(c *Cell) jsonFigure {
	micros := func(d time.Duration) float64 { return rounded(float64(d) / 1e3) }
	f := jsonFigure{PerSecond: rounded(c.PerSecond()), P50: micros(c.P50()), P99: micros(c.P99()), P999: micros(c.P999())}
	f.Errors, _ = c.Errors()
	if n, known := c.FlushesPerOperation(); known {
		n = rounded(n)
		f.Flushes = &n
	}
	return f
}

// rounded cuts digits that mean nothing.
func rounded(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// perSecond spells a rate with three significant digits and thousands apart.
func perSecond(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	step := math.Pow(10, math.Floor(math.Log10(v))-2)
	digits := strconv.FormatFloat(math.Round(v/step)*step, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// latency spells a time in one of two units, with about three digits.
func latency(d time.Duration) string {
	switch ms := float64(d) / 1e6; {
	case d <= 0:
		return ""
	case ms < 1:
		return fmt.Sprintf("%.0f us", ms*1e3)
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	default:
		return fmt.Sprintf("%.0f ms", ms)
	}
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

func pad(text string, width int) string { return fmt.Sprintf("%-*s", width, text) }
