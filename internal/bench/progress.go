package bench

import (
	"fmt"
	"io"
	"time"
)

// Progress tells people how far it is: on a terminal in one line that is written
// over and over, elsewhere in a line for each cell measured. Nil tells nobody.
type Progress struct {
	W        io.Writer
	Terminal bool

	total, done int
	each        time.Duration
	shown       int // characters of the line that stands there
}

// Stage says what is being done outside of the cells.
func (p *Progress) Stage(format string, args ...any) {
	p.line(fmt.Sprintf(format, args...), true)
}

func (p *Progress) begin(total int, each time.Duration) {
	if p != nil {
		p.total, p.done, p.each = total, 0, each
	}
}

func (p *Progress) cell(l *loop, clients, round, rounds int) {
	if p == nil || !p.Terminal {
		return
	}
	left := (time.Duration(p.total-p.done) * p.each).Round(time.Second)
	p.line(fmt.Sprintf("[%d/%d] round %d of %d, about %v left: %s", p.done+1, p.total, round, rounds, left, title(l, clients)), true)
}

func (p *Progress) measured(l *loop, clients, round int, r *Round) {
	if p == nil {
		return
	}
	p.done++
	if !p.Terminal {
		p.line(fmt.Sprintf("[%d/%d] round %d: %s: %s a second, p50 %s", p.done, p.total, round, title(l, clients), perSecond(r.PerSecond()), latency(r.P50)), false)
	}
}

// end leaves no line behind on a terminal.
func (p *Progress) end() {
	if p != nil && p.Terminal {
		p.line("", true)
	}
}

// line writes a line; passing ones stay only where there is no terminal.
func (p *Progress) line(text string, passing bool) {
	if p == nil {
		return
	}
	if !p.Terminal {
		_, _ = fmt.Fprintln(p.W, text)
		return
	}
	end := "\n"
	if passing {
		end = ""
	}
	_, _ = fmt.Fprintf(p.W, "\r%-*s\r%s%s", p.shown, "", text, end)
	p.shown = len(text)
}

func title(l *loop, clients int) string {
	text := fmt.Sprintf("%s, %d clients", l.subject, clients)
	if clients == 1 {
		text = l.subject + ", 1 client"
	}
	if l.operation != "" {
		text = l.operation + ", " + text
	}
	return text
}
