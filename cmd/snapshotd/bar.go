package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A bar shows on a terminal how much is done; elsewhere it shows nothing.
type bar struct {
	w  io.Writer
	on bool

	mu    sync.Mutex
	next  time.Time // when it is drawn again
	shown bool
}

const (
	barWidth    = 40
	barInterval = 100 * time.Millisecond
)

// update may be called by several goroutines at once.
func (b *bar) update(done, total int) {
	if !b.on || total == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.next) {
		return
	}
	b.next, b.shown = now.Add(barInterval), true
	full := barWidth * min(done, total) / total
	_, _ = fmt.Fprintf(b.w, "\r[%s%s] %d of %d", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, total)
}

// end leaves nothing behind.
func (b *bar) end() {
	if b.shown {
		_, _ = fmt.Fprintf(b.w, "\r%-*s\r", barWidth+30, "")
	}
}
