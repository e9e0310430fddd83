package main

import (
	"fmt"
	"strings"
)

// curves are what is drawn, one above the other. A level is by how much the last
// third may exceed the second.
var curves = []struct {
	name, colour string
	level        float64 // 0 = may do as it likes
	of           func(*sample) float64
}{
	{"memory, MiB", "#1f77b4", 1.15, func(s *sample) float64 { return s.memory }},
	{"goroutines", "#2ca02c", 1.15, func(s *sample) float64 { return s.goroutines }},
	{"descriptors", "#9467bd", 1.15, func(s *sample) float64 { return s.descriptors }},
	{"requests per second", "#7f7f7f", 0, func(s *sample) float64 { return float64(s.requests) }},
	{"latency, p50, ms", "#ff7f0e", 0, func(s *sample) float64 { return s.p50 }},
	{"latency, p99, ms", "#d62728", 0, func(s *sample) float64 { return s.p99 }},
}

// draw answers the curves over time as SVG.
func (s *series) draw() []byte {
	const width, height, left, gap = 900, 110, 70, 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		left+width+20, len(curves)*(height+gap)+20)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, curve := range curves {
		top := i*(height+gap) + 25
		most := highest(s.samples, curve.of)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left, top-6, curve.colour, curve.name)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%.4g</text><text x="%d" y="%d" text-anchor="end">0</text>`+"\n",
			left-6, top+10, most, left-6, top+height)
		fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="#ccc"/>`+"\n", left, top, top+height, left+width)
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" points="`, curve.colour)
		for n := range s.samples {
			x := float64(left) + float64(width*n)/float64(max(len(s.samples)-1, 1))
			y := float64(top+height) - curve.of(&s.samples[n])/max(most, 1e-9)*height
			fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
		}
		b.WriteString(`"/>` + "\n")
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%d s</text>`+"\n", left+width, top+height+14, len(s.samples))
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}
