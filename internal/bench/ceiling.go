package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-chi/chi/v5"
)

// ceilingName is what the report calls the ceiling.
const ceilingName = "ceiling"

// A Ceiling is what any server on net/http and chi could do at best: it routes a
// request as ours does, reads the body, and answers bytes it has in memory. It
// has no middleware, looks at nothing and stores nothing.
type Ceiling struct {
	mux     *chi.Mux
	answers map[string]*atomic.Pointer[answer]
	bodies  sync.Pool
}

type answer struct {
	status int
	body   []byte
}

// The routes that the operations take, as package api has them.
var patterns = map[string]struct{ method, pattern string }{
	Save:   {http.MethodPut, "/v1/snapshots/{snapshot_id}"},
	Get:    {http.MethodGet, "/v1/snapshots/{snapshot_id}"},
	Latest: {http.MethodGet, "/v1/sagas/{saga_id}/snapshots/latest"},
	List:   {http.MethodGet, "/v1/sagas/{saga_id}/snapshots"},
	Replay: {http.MethodPost, "/v1/sagas/{saga_id}/replays"},
}

// NewCeiling returns one that answers 404 until it was taught.
func NewCeiling() *Ceiling {
	c := &Ceiling{mux: chi.NewMux(), answers: map[string]*atomic.Pointer[answer]{}}
	c.bodies.New = func() any { return new(bytes.Buffer) }
	for operation, route := range patterns {
		taught := new(atomic.Pointer[answer])
		c.answers[operation] = taught
		c.mux.Method(route.method, route.pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.answer(w, r, taught.Load())
		}))
	}
	c.mux.Put("/answers/{operation}/{status}", c.learn)
	c.mux.Get("/readyz", func(http.ResponseWriter, *http.Request) {})
	return c
}

func (c *Ceiling) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

func (c *Ceiling) answer(w http.ResponseWriter, r *http.Request, a *answer) {
	body := c.bodies.Get().(*bytes.Buffer)
	defer c.bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(r.Body); err != nil || a == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // else the client is gone
}

// learn keeps a request's body as the answer to an operation.
func (c *Ceiling) learn(w http.ResponseWriter, r *http.Request) {
	status, err := strconv.Atoi(chi.URLParam(r, "status"))
	taught := c.answers[chi.URLParam(r, "operation")]
	if err != nil || taught == nil {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	taught.Store(&answer{status, body})
	w.WriteHeader(http.StatusNoContent)
}

// teach has a ceiling answer each operation with the bytes a daemon does.
func (s *Server) teach(ctx context.Context, from *subject) error {
	c, err := from.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	daemon, ok := c.(*session)
	if !ok {
		return fmt.Errorf("%s is no daemon", from.Name())
	}
	for _, operation := range Operations {
		one := &storeClient{subject: from, operation: operation, session: daemon, random: fixedRandom(0)}
		if err := one.do(ctx); err != nil {
			return err
		}
		status := http.StatusOK
		if operation == Save || operation == Replay {
			status = http.StatusCreated
		}
		path := fmt.Sprintf("/answers/%s/%d", operation, status)
		if _, err := s.ask(ctx, http.MethodPut, path, daemon.answer, http.StatusNoContent); err != nil {
			return err
		}
	}
	return nil
}
