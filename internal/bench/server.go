package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Server is a Target that speaks our HTTP: a daemon, or the ceiling.
type Server struct {
	name, address string
	token         string // "" = none is sent
	directory     string
	ordinary      bool // sessions use net/http's client
}

// newServer takes the URL of a server on this machine. Any other is an error:
// it would be given as much to do as it can bear.
func newServer(name, rawURL string) (*Server, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("a URL such as http://127.0.0.1:7420 was expected, not %q", rawURL)
	}
	if err := Loopback(u.Hostname()); err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return &Server{name: name, address: net.JoinHostPort(u.Hostname(), port)}, nil
}

// Loopback is an error unless a host is this machine.
func Loopback(host string) error {
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("only what runs on this machine is measured (127.0.0.1, ::1, localhost), not %q", host)
}

// Name is what the report calls the server.
func (s *Server) Name() string { return s.name }

// Directory is where the server keeps its data; "" = not known.
func (s *Server) Directory() string { return s.directory }

// Connect opens a connection.
func (s *Server) Connect(ctx context.Context) (Session, error) {
	if s.ordinary {
		return &session{exchanger: newTransport(s.address, s.token)}, nil
	}
	c, err := dial(ctx, s.address, s.token)
	if err != nil {
		return nil, err
	}
	return &session{exchanger: c}, nil
}

// ask sends one request over a connection of its own.
func (s *Server) ask(ctx context.Context, method, path string, body []byte, want int) ([]byte, error) {
	c, err := dial(ctx, s.address, s.token)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.do(ctx, method, path, body, want)
}

// ready waits until the server says that it is.
func (s *Server) ready(ctx context.Context) error {
	for {
		_, err := s.ask(ctx, http.MethodGet, "/readyz", nil, http.StatusOK)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not get ready: %w", s.name, context.Cause(ctx)), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// findDirectory asks a daemon where it keeps its data.
func (s *Server) findDirectory(ctx context.Context) error {
	body, err := s.ask(ctx, http.MethodGet, "/v1/stats", nil, http.StatusOK)
	if err != nil {
		return err
	}
	var stats struct {
		BasePath string `json:"base_path"`
	}
	if err := json.Unmarshal(body, &stats); err != nil {
		return fmt.Errorf("the stats of %s: %w", s.name, err)
	}
	s.directory = stats.BasePath
	return nil
}

// remove deletes what was saved of a corpus, with a few clients at once.
func (s *Server) remove(ctx context.Context, c *Corpus, sagas uint64) error {
	const clients = 8
	errs := make(chan error, clients)
	for i := range uint64(clients) {
		go func() {
			conn, err := dial(ctx, s.address, s.token)
			if err != nil {
				errs <- err
				return
			}
			defer conn.close()
			for n := i; n < sagas && err == nil; n += clients {
				path := "/v1/sagas/" + c.SagaID(n).String() + "/snapshots?replays=true"
				_, err = conn.do(ctx, http.MethodDelete, path, nil, http.StatusOK)
			}
			errs <- err
		}()
	}
	var err error
	for range clients {
		err = errors.Join(err, <-errs)
	}
	return err
}

// A session is a connection to a Server.
type session struct {
	exchanger
	path   []byte // reused
	answer []byte // the last one's body
}

func (s *session) Close() { s.close() }

// Save puts a document under its id.
func (s *session) Save(ctx context.Context, d *Document) error {
	return s.send(ctx, http.MethodPut, s.pathTo("/v1/snapshots/", d.ID, ""), d.JSON)
}

func (s *session) Get(ctx context.Context, c *Corpus, snapshot uint64) error {
	return s.fetch(ctx, s.pathTo("/v1/snapshots/", c.SnapshotID(snapshot), ""))
}

func (s *session) Latest(ctx context.Context, c *Corpus, saga uint64) error {
	return s.fetch(ctx, s.pathTo("/v1/sagas/", c.SagaID(saga), "/snapshots/latest"))
}

func (s *session) List(ctx context.Context, c *Corpus, saga uint64) error {
	return s.fetch(ctx, s.pathTo("/v1/sagas/", c.SagaID(saga), "/snapshots?limit=10"))
}

var replayRequest = []byte(`{"checkpoint_step":"` + Checkpoint + `","context_override":` + Override + `}`)

func (s *session) Replay(ctx context.Context, c *Corpus, saga uint64) error {
	return s.send(ctx, http.MethodPost, s.pathTo("/v1/sagas/", c.SagaID(saga), "/replays"), replayRequest)
}

// send has the server make something new.
func (s *session) send(ctx context.Context, method, path string, body []byte) (err error) {
	s.answer, err = s.do(ctx, method, path, body, http.StatusCreated)
	return err
}

// fetch gets a document or a page of them.
func (s *session) fetch(ctx context.Context, path string) (err error) {
	s.answer, err = s.do(ctx, http.MethodGet, path, nil, http.StatusOK)
	if err == nil && !bytes.HasPrefix(s.answer, []byte("{")) {
		err = fmt.Errorf("GET %s did not bring a document", path)
	}
	return err
}

func (s *session) pathTo(before string, id uuid.UUID, after string) string {
	s.path = append(s.path[:0], before...)
	s.path = appendID(s.path, id)
	s.path = append(s.path, after...)
	return string(s.path)
}
