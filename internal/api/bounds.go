package api

import (
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// What requests under way may cost together, where a Config leaves it at 0.
const (
	defaultMaxInFlight      = 1024
	defaultMaxInFlightBytes = 256 << 20
)

// A load is what the requests below /v1 that are under way cost together. Health,
// metrics and the document are not counted, and never refused.
type load struct {
	requests atomic.Int64
	bytes    atomic.Int64
}

// unheld is the size in bytes up to which memory for a body or a document is not
// counted; the number of requests bounds it.
const unheld = 64 << 10

// enter counts the request in, or refuses it.
func (c *call) enter() error {
	if c.server.load.requests.Add(1) > int64(c.server.cfg.MaxInFlight) {
		c.server.load.requests.Add(-1)
		return problemf(http.StatusServiceUnavailable, codeOverloaded, "Too many requests are under way; try again shortly.")
	}
	c.entered = true
	return nil
}

// isOverload reports whether an error is a refusal of enter or hold.
func isOverload(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.Code == codeOverloaded
}

// leave counts the request out, with all that it held.
func (c *call) leave() {
	c.letGo()
	if c.entered {
		c.server.load.requests.Add(-1)
	}
}

// hold counts n bytes of memory for a body or a document, instead of what the call
// held before if that was less. Before they are made; what comes of them (tokens,
// layouts, what the store writes) is twice to ten times as much; SECURITY.md has figures.
func (c *call) hold(n int64) error {
	if n <= unheld || n <= c.held {
		return nil
	}
	more := n - c.held
	if c.server.load.bytes.Add(more) > c.server.cfg.MaxInFlightBytes {
		c.server.load.bytes.Add(-more)
		return problemf(http.StatusServiceUnavailable, codeOverloaded,
			"The requests under way hold as much memory as they may; try again shortly.")
	}
	c.held = n
	return nil
}

// letGo gives back the body, and whatever was counted.
func (c *call) letGo() {
	if c.body != nil {
		buffers.put(c.body)
		c.body = nil
	}
	if c.held > 0 {
		c.server.load.bytes.Add(-c.held)
		c.held = 0
	}
}

// A bodyReader reads a body that is sent within the time its announced size may
// take. net/http bounds that by the size of the largest. The first read, which brings all
// of a small body, costs nothing.
type bodyReader struct {
	c    *call
	read bool // something has been read
	set  bool // a deadline, ours
	late bool // a deadline, ours or net/http's, has passed
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if n := b.c.r.ContentLength; b.read && !b.set && n > 0 && b.c.server.cfg.BodyTime != nil {
		b.set = true
		b.c.readUntil(time.Now().Add(b.c.server.cfg.BodyTime(n)))
	}
	n, err := b.c.r.Body.Read(p)
	b.read = true
	b.late = b.late || errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}

// done lets the request go on for as long as it takes: at a deadline for reading,
// net/http gives the request up even when there is nothing left to read.
func (b *bodyReader) done() {
	if b.set {
		b.c.readUntil(time.Time{})
	}
}

func (c *call) readUntil(deadline time.Time) {
	// Without deadlines, as in some tests, the size alone bounds a body.
	_ = http.NewResponseController(c.w).SetReadDeadline(deadline)
}
