package bench

import (
	"bytes"
	"context"
	"errors"
	"runtime"

	"snapshotd/internal/saga"
)

// A Filler keeps the documents that a directory is filled with, as a store does.
type Filler interface {
	Put(ctx context.Context, s *saga.Summary, doc []byte) (sizeBytes int64, err error)
	Close() error
}

// fill saves what a directory is to hold, past any daemon.
func (g *grown) fill(ctx context.Context, open func(context.Context, string) (Filler, error)) error {
	f, err := open(ctx, g.directory)
	if err != nil {
		return err
	}
	writers := runtime.GOMAXPROCS(0) + 1
	errs := make(chan error, writers)
	for i := range writers {
		go func() { errs <- g.save(ctx, f, uint64(i), uint64(writers)) }()
	}
	for range writers {
		err = errors.Join(err, <-errs)
	}
	return errors.Join(err, f.Close())
}

// save saves every nth batch of ten.
func (g *grown) save(ctx context.Context, f Filler, batch, step uint64) error {
	const size = uint64(Snapshots)
	var sent, stored []byte
	for ; batch*size < uint64(g.count); batch += step {
		for n := batch * size; n < min((batch+1)*size, uint64(g.count)); n++ {
			d := g.corpus.Document(n, sent[:0])
			sent = d.JSON
			if status := statusOf(n); status != "" {
				sent = bytes.Replace(sent, []byte(`"status":"executing"`), []byte(`"status":"`+status+`"`), 1)
			}
			draft, err := saga.ParseDraft(sent)
			if err != nil {
				return err
			}
			stored = draft.AppendJSON(stored[:0], true)
			if _, err := f.Put(ctx, &draft.Summary, stored); err != nil {
				return err
			}
		}
	}
	return nil
}

// statusOf is that of the nth snapshot of a filled directory, "" if it is the usual one.
// The only one of its kind is the latest of the oldest saga; in every other saga the
// last step but one has failed.
func statusOf(n uint64) string {
	const size = uint64(Snapshots)
	switch {
	case n == size-1:
		return rareStatus
	case n%(2*size) == size-2:
		return otherStatus
	}
	return ""
}
