//go:build faults && linux

package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// A tally is a row of the report.
type tally struct {
	part         string
	control      bool
	acknowledged int // changes that the daemon has answered with a 2xx
	lost         int // of those
	partial      int // documents that were neither absent nor whole
	cuts         int // or kills, or crash states
	seconds      float64
}

type report struct {
	mu   sync.Mutex
	rows []*tally
}

var results report

// newTally begins a row, whose clock stops with the test, or goes on with one. Rows of
// controls must show a loss, all others none.
func newTally(t *testing.T, part string) *tally {
	results.mu.Lock()
	defer results.mu.Unlock()
	i := slices.IndexFunc(results.rows, func(row *tally) bool { return row.part == part })
	if i < 0 {
		i = len(results.rows)
		results.rows = append(results.rows, &tally{part: part})
	}
	row, start := results.rows[i], time.Now()
	t.Cleanup(func() { row.seconds += time.Since(start).Seconds() })
	return row
}

func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rows) == 0 {
		return ""
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(x *tally) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1f\t\n", x.part, x.acknowledged, x.lost, x.partial, x.cuts, x.seconds)
	}
	fmt.Fprintf(w, "\tacknowledged\tlost\tpartial\tcuts\tseconds\t\n")
	sum := tally{part: "all of these"}
	for _, x := range r.rows {
		if x.control {
			continue
		}
		row(x)
		sum.acknowledged += x.acknowledged
		sum.lost += x.lost
		sum.partial += x.partial
		sum.cuts += x.cuts
		sum.seconds += x.seconds
	}
	row(&sum)
	for _, x := range r.rows {
		if x.control {
			row(x)
		}
	}
	w.Flush()
	return text.String()
}
