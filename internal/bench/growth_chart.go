package bench

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"time"
)

// Measures of the chart, in pixels.
const (
	chartWidth, chartHeight = 500, 420 // of one series
	chartLeft, chartRight   = 64, 190
	chartTop, chartBottom   = 40, 44
	labelHeight             = 14
)

// The colours can be told apart, and be seen on white and on black.
var chartColours = []string{"#3b82f6", "#ef7d1a", "#16a34a", "#d946ef", "#0ea5a4", "#e11d48", "#a16207", "#8b5cf6", "#65a30d", "#64748b", "#db2777", "#0369a1"}

// WriteChart draws what was measured as an SVG: times against numbers, both
// logarithmic, so that what does not grow is level.
func (g *GrowthReport) WriteChart(w io.Writer) error {
	var b bytes.Buffer
	series := slices.DeleteFunc([]*Series{g.Stored, g.InSaga}, func(s *Series) bool { return s == nil })
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		chartWidth*len(series), chartHeight)
	fmt.Fprintln(&b, `<style>text{fill:#6e7781}line{stroke:#8c959f;stroke-opacity:.35}polyline{fill:none;stroke-width:2}`+
		`@media(prefers-color-scheme:dark){text{fill:#b1bac4}}</style>`)
	for i, s := range series {
		fmt.Fprintf(&b, `<g transform="translate(%d,0)">`+"\n", i*chartWidth)
		s.draw(&b)
		fmt.Fprintln(&b, "</g>")
	}
	fmt.Fprintln(&b, "</svg>")
	_, err := w.Write(b.Bytes())
	return err
}

func (s *Series) draw(b *bytes.Buffer) {
	low, high := math.Inf(1), math.Inf(-1)
	for i := range s.Rows {
		for n := range s.Rows[i].Rounds {
			if v := s.Rows[i].Value(n); !s.Rows[i].Bytes && v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	right := math.Log10(float64(s.Counts[len(s.Counts)-1]))
	left := min(math.Log10(float64(s.Counts[0])), right-1)
	x := func(count float64) float64 {
		return chartLeft + (math.Log10(count)-left)/(right-left)*(chartWidth-chartLeft-chartRight)
	}
	y := func(us float64) float64 {
		return chartHeight - chartBottom - (math.Log10(us)-low)/(high-low)*(chartHeight-chartTop-chartBottom)
	}
	text := func(x, y float64, anchor, style, text string) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(text))
	}
	text(chartLeft, 18, "start", ` font-weight="600"`, "p50 against "+s.Of)
	for e := low; e <= high; e++ {
		at := y(math.Pow(10, e))
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", chartLeft, chartWidth-chartRight, at, at)
		text(chartLeft-8, at+4, "end", "", tick(time.Duration(math.Pow(10, e)*1e3)))
	}
	for _, n := range s.Counts {
		at := x(float64(n))
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", at, at, chartTop, chartHeight-chartBottom)
		text(at, chartHeight-chartBottom+18, "middle", "", perSecond(float64(n)))
	}
	type label struct {
		at           float64
		text, colour string
	}
	var labels []label
	for i := range s.Rows {
		r := &s.Rows[i]
		if r.Bytes {
			continue
		}
		colour := chartColours[i%len(chartColours)]
		fmt.Fprintf(b, `<polyline stroke="%s" points="`, colour)
		for n, count := range s.Counts {
			fmt.Fprintf(b, "%.1f,%.1f ", x(float64(count)), y(max(r.Value(n), 1)))
		}
		fmt.Fprintln(b, `"/>`)
		labels = append(labels, label{y(max(r.Value(len(s.Counts)-1), 1)), r.Operation, colour})
	}
	// Labels that would cover each other move up, beginning with the lowest.
	slices.SortFunc(labels, func(a, b label) int { return int(b.at*10) - int(a.at*10) })
	floor := float64(chartHeight - chartBottom)
	for _, l := range labels {
		at := min(l.at, floor)
		floor = at - labelHeight
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" style="stroke:%s;stroke-opacity:1"/>`+"\n",
			chartWidth-chartRight, chartWidth-chartRight+12, l.at, at, l.colour)
		text(chartWidth-chartRight+16, at+4, "start", "", l.text)
	}
}

// tick spells a power of ten.
func tick(d time.Duration) string { return d.String() }
