package wal_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"snapshotd/internal/store/filestore/wal"
)

// Tickets may be waited for in any order, and not at all: others commit what they are for.
func TestTicketsNeedNotBeWaitedFor(t *testing.T) {
	const size = 64 << 10
	dir := t.TempDir()
	l := open(t, dir, size)
	var tickets []wal.Ticket
	var want []string
	for _, letter := range []string{"a", "b", "c"} { // each fills a commit
		want = append(want, strings.Repeat(letter, size/2-200))
		ticket, err := l.Append([]byte(want[len(want)-1]))
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for _, i := range []int{1, 0} {
		if err := tickets[i].Wait(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, recovered(t, dir), want[:2]...)
	if err := l.Release(l.Next()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append([]byte("the last")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, recovered(t, dir), want[2], "the last")
}

// Close lets a commit that is under way end, before it closes the files.
func TestCloseWaitsForTheCommitUnderWay(t *testing.T) {
	cfg := config(t.TempDir(), 4096)
	began, gate := make(chan struct{}), make(chan struct{})
	var order []string
	cfg.Synced = func(time.Duration) {
		close(began)
		<-gate
		order = append(order, "committed")
	}
	l := wal.New(cfg, recovered(t, cfg.Dir))
	ticket, err := l.Append([]byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	waited, closed := make(chan error), make(chan error)
	go func() { waited <- ticket.Wait() }()
	<-began
	go func() {
		err := l.Close()
		order = append(order, "closed")
		closed <- err
	}()
	time.Sleep(10 * time.Millisecond) // for a Close that does not wait
	close(gate)
	if err := errors.Join(<-waited, <-closed); err != nil || !slices.Equal(order, []string{"committed", "closed"}) {
		t.Error(order, err)
	}
}

// A panic in a commit, which a server may survive, leaves a log that has failed and
// says so, not one that everybody waits for.
func TestAPanicInACommitFailsTheLog(t *testing.T) {
	cfg := config(t.TempDir(), 4096)
	failed := 0
	cfg.Synced = func(time.Duration) { panic("on purpose") }
	cfg.Failed = func(error) { failed++ }
	l := wal.New(cfg, recovered(t, cfg.Dir))
	for range 2 {
		ticket, err := l.Append([]byte("one"))
		if err == nil {
			func() {
				defer func() { _ = recover() }()
				err = ticket.Wait()
			}()
		}
		if failure := (*wal.FailedError)(nil); err != nil && !errors.As(err, &failure) {
			t.Error(err)
		}
	}
	if l.Err() == nil || failed != 1 {
		t.Errorf("%v, told %d times", l.Err(), failed)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
