package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// The operations that stores are measured by.
const (
	Save   = "save"
	Get    = "get"
	Latest = "latest"
	List   = "list"
	Replay = "replay"
)

// Operations are all of them, in the order of the report.
var Operations = []string{Save, Get, Latest, List, Replay}

// A Target is a store to measure.
type Target interface {
	Name() string
	// Connect opens a connection of its own.
	Connect(ctx context.Context) (Session, error)
	// Directory is where the store keeps its data on this machine; "" = not known.
	Directory() string
}

// A Session is one connection to a target, used by one goroutine. A read that
// does not bring what was saved is an error.
type Session interface {
	Save(ctx context.Context, d *Document) error
	Get(ctx context.Context, c *Corpus, snapshot uint64) error
	Latest(ctx context.Context, c *Corpus, saga uint64) error
	List(ctx context.Context, c *Corpus, saga uint64) error
	// Replay prepares a replay of the saga and keeps its record.
	Replay(ctx context.Context, c *Corpus, saga uint64) error
	Close()
}

// A subject is a target and what was saved to it.
type subject struct {
	Target
	corpus *Corpus
	sagas  uint64        // the first so many are complete; reads are of those
	next   atomic.Uint64 // saga to be saved
}

// fill saves the first sagas, with a few clients at once.
func (s *subject) fill(ctx context.Context, sagas int) error {
	const clients = 8
	errs := make(chan error, clients)
	for i := range clients {
		go func() { errs <- s.saveSagas(ctx, (sagas+i)/clients) }()
	}
	var err error
	for range clients {
		err = errors.Join(err, <-errs)
	}
	s.sagas = s.next.Load()
	if err != nil {
		return fmt.Errorf("filling %s: %w", s.Name(), err)
	}
	return nil
}

func (s *subject) saveSagas(ctx context.Context, n int) error {
	c, err := s.connector(Save)(ctx, 0)
	if err != nil {
		return err
	}
	defer c.close()
	for range n * Snapshots {
		if err := c.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// connector has clients that do one operation.
func (s *subject) connector(operation string) func(context.Context, int) (client, error) {
	return func(ctx context.Context, i int) (client, error) {
		session, err := s.Connect(ctx)
		if err != nil {
			return nil, err
		}
		return &storeClient{
			subject: s, operation: operation, session: session,
			random: fixedRandom(i),
		}, nil
	}
}

// A storeClient does an operation over and over: it saves saga after saga of its
// own, and reads what the subject was filled with.
type storeClient struct {
	*subject
	operation string
	session   Session
	random    *rand.Rand // reads the same in every run
	snapshot  uint64     // the next of the current saga
	buffer    []byte
}

func (c *storeClient) close() { c.session.Close() }

func (c *storeClient) do(ctx context.Context) error {
	switch c.operation {
	case Save:
		if c.snapshot%uint64(Snapshots) == 0 {
			c.snapshot = (c.next.Add(1) - 1) * uint64(Snapshots)
		}
		d := c.corpus.Document(c.snapshot, c.buffer[:0])
		c.snapshot++
		c.buffer = d.JSON
		return c.session.Save(ctx, &d)
	case Get:
		return c.session.Get(ctx, c.corpus, c.random.Uint64N(c.sagas*uint64(Snapshots)))
	case Latest:
		return c.session.Latest(ctx, c.corpus, c.random.Uint64N(c.sagas))
	case List:
		return c.session.List(ctx, c.corpus, c.random.Uint64N(c.sagas))
	case Replay:
		return c.session.Replay(ctx, c.corpus, c.random.Uint64N(c.sagas))
	default:
		return fmt.Errorf("there is no operation %q", c.operation)
	}
}

// fixedRandom is the same for a client in every run.
func fixedRandom(client int) *rand.Rand { return rand.New(rand.NewPCG(uint64(client), 7)) }
