package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"snapshotd/internal/access"
	"snapshotd/internal/archive"
	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// A call is one request under way: what handlers read from and answer to.
type call struct {
	server  *Server
	archive *archive.Archive // nil outside /v1
	w       http.ResponseWriter
	r       *http.Request
	route   *route
	caller  *access.Caller // nil where nobody was asked for, see authorize
	query   url.Values
	pretty  bool
	started bool    // the header has been written
	reading bool    // somebody has begun to read the body
	body    *[]byte // borrowed; see readBody
	sent    bodyReader
	entered bool  // counted as under way
	held    int64 // bytes of memory that are counted; see hold
	beside  int64 // of these, what is held beside the buffer that is being filled
}

func (c *call) ctx() context.Context { return c.r.Context() }

// endpoint turns a row of the table into a handler.
func (s *Server) endpoint(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{server: s, w: w, r: r, route: &rt}
		exchangeOf(r).route = rt.pattern
		defer c.leave()
		defer c.recoverPanic()
		err := c.prepare()
		if err == nil {
			err = rt.handle(c)
		}
		if err != nil {
			c.fail(err)
		}
	}
}

// prepare checks what is the same for every route.
func (c *call) prepare() error {
	if err := c.authorize(); err != nil {
		c.pretty = wantsPretty(c.r)
		return err
	}
	if c.route.needsArchive() {
		if err := c.server.gate(); err != nil {
			return err
		}
		if err := c.enter(); err != nil {
			return err
		}
		c.archive = c.server.archive.Load()
	}
	return c.parseQuery()
}

// gate refuses requests that the archive is not there for.
func (s *Server) gate() error {
	switch {
	case s.draining.Load():
		return problemf(http.StatusServiceUnavailable, codeDraining, "The server is shutting down; another one, or this one after its restart, takes the request.")
	case s.archive.Load() == nil:
		return problemf(http.StatusServiceUnavailable, codeStarting, "The server is starting: %s.", *s.loading.Load())
	}
	return nil
}

// recoverPanic turns a panic into a 500 problem, or where the answer has begun into
// a connection that breaks off.
func (c *call) recoverPanic() {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	c.server.log.ErrorContext(c.ctx(), "panic", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	c.fail(fmt.Errorf("panic: %v", v))
}

// id reads a UUID from the path.
func (c *call) id(name string) (uuid.UUID, error) {
	text := chi.URLParam(c.r, name)
	if strings.Contains(text, "%") {
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
	}
	id, err := saga.ParseID(text)
	if err != nil {
		return id, problemf(http.StatusBadRequest, "invalid_id", "%s in the path: %v.", name, err)
	}
	return id, nil
}

// decode reads the body and parses it. The result may alias the body and is
// valid until the call ends.
func decode[T any](c *call, parse func([]byte) (T, error)) (T, error) {
	body, err := c.readBody()
	if err != nil {
		var none T
		return none, err
	}
	return parse(body)
}

// mismatch says that the body names another record than the path.
func mismatch(field string) error {
	return saga.InvalidError{{
		Code: saga.IDMismatch, Pointer: "/" + field,
		Detail: "the same id as in the path was expected, or none",
	}}
}

// createOnly reports whether the client wants to save only what is new.
func (c *call) createOnly() (bool, error) {
	switch strings.TrimSpace(strings.Join(c.r.Header.Values("If-None-Match"), ",")) {
	case "":
		return false, nil
	case "*":
		return true, nil
	default:
		return false, problemf(http.StatusBadRequest, "invalid_parameter", "A save takes no other If-None-Match than *.")
	}
}

func createdOrOK(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

const jsonType = "application/json"

// Stored values keep their spelling inside composed answers, whatever it is.
var compactJSON = json.JoinOptions(
	jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true))

func (c *call) marshal(v any) ([]byte, error) {
	text, err := json.Marshal(v, compactJSON)
	if c.pretty {
		text = document.AppendIndent(nil, text, 0)
	}
	return append(text, '\n'), err
}

// json answers with a composed value.
func (c *call) json(status int, v any) error {
	text, err := c.marshal(v)
	if err != nil {
		return err
	}
	c.write(status, jsonType, text)
	return nil
}

// write sends a whole body.
func (c *call) write(status int, contentType string, body []byte) {
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.start(status, contentType)
	// An error here means that the client is gone; there is nobody to tell.
	_, _ = c.w.Write(body)
}

// start sends the header. From here on a failure can only break off.
func (c *call) start(status int, contentType string) {
	c.started = true
	if contentType != "" {
		c.w.Header().Set("Content-Type", contentType)
	}
	c.w.WriteHeader(status)
}

// statusClientGone is logged when the client hung up before it was answered.
const statusClientGone = 499

// fail answers with a problem document.
func (c *call) fail(err error) {
	exchangeOf(c.r).err = err
	if c.started {
		panic(http.ErrAbortHandler)
	}
	if c.ctx().Err() != nil && errors.Is(err, context.Canceled) {
		c.start(statusClientGone, "")
		return
	}
	for _, name := range []string{"Content-Encoding", "ETag", "Link"} {
		c.w.Header().Del(name) // of the answer that it was to be
	}
	p := *problemOf(err)
	p.Title = http.StatusText(p.Status)
	p.RequestID = exchangeOf(c.r).id
	if after, ok := retryAfter[p.Code]; ok {
		c.w.Header().Set("Retry-After", after)
	}
	if p.rejected() {
		c.server.cfg.Rejected(p.Code)
	}
	for name, value := range p.header {
		c.w.Header().Set(name, value)
	}
	c.letGo()
	c.discardBody(p.Code)
	text, err := c.marshal(&p)
	if err != nil {
		panic(err)
	}
	c.write(p.Status, "application/problem+json", text)
}
