package api

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// methods are those that some route takes, in the order of an Allow header.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// headAsGet routes HEAD to the handlers of GET; net/http leaves out the body.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			chi.RouteContext(r.Context()).RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// An exchange is a request's context, with what the access log wants to know of it.
type exchange struct {
	context.Context
	id     string
	route  string // a pattern of the table
	caller string // whose token it was; "" = not known
	err    error  // what the answer is a problem for
	answer recorder
}

type exchangeKey struct{}

func (e *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return e
	}
	return e.Context.Value(key)
}

func exchangeOf(r *http.Request) *exchange {
	e, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return e
}

// observe gives a request its id, counts it and writes its line of the log.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		e := &exchange{
			Context: r.Context(), id: r.Header.Get("X-Request-Id"), route: "other",
			answer: recorder{ResponseWriter: w, head: r.Method == http.MethodHead},
		}
		e.answer.conn, _ = r.Context().Value(corkedKey{}).(*corkedConn)
		if !isRequestID(e.id) {
			e.id = s.cfg.NewRequestID()
		}
		h := w.Header()
		h.Set("X-Request-Id", e.id)
		h["X-Content-Type-Options"] = nosniff
		h["Content-Security-Policy"] = noContent
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			h["Cache-Control"] = privateNoCache
		}
		r = r.WithContext(e)
		rec := &e.answer
		aborted := true
		s.cfg.InFlight(1)
		defer func() {
			s.cfg.InFlight(-1)
			if rec.status == 0 {
				rec.status = http.StatusOK // as net/http has it
				if aborted {
					rec.status = http.StatusInternalServerError
				}
			}
			took := time.Since(start)
			s.cfg.Observe(r.Method, e.route, rec.status, took)
			s.logAccess(r, e, took, aborted)
		}()
		next.ServeHTTP(rec, r)
		aborted = false
	})
}

// isRequestID reports whether s is 1 to 128 visible ASCII characters.
func isRequestID(s string) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func newRequestID() string { return rand.Text() }

// logAccess writes the one line that every request leaves.
func (s *Server) logAccess(r *http.Request, e *exchange, took time.Duration, aborted bool) {
	status := e.answer.status
	level := slog.LevelInfo
	switch {
	case e.route == "/healthz" || e.route == "/readyz" || e.route == "/metrics":
		level = slog.LevelDebug
	case status == http.StatusInternalServerError:
		level = slog.LevelError
	case status > http.StatusInternalServerError || aborted:
		level = slog.LevelWarn
	}
	lines := s.log.Handler()
	if !lines.Enabled(e, level) {
		return
	}
	// Past the Logger, which would find out the line of code that this is.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	line.AddAttrs(
		slog.String("method", r.Method), slog.String("route", e.route), slog.String("path", r.URL.Path),
		slog.Int("status", status), slog.Int64("bytes", e.answer.bytes), slog.String("duration", took.String()),
		slog.String("remote", remoteHost(r)))
	if parent := r.Header.Get("Traceparent"); isRequestID(parent) {
		line.AddAttrs(slog.String("traceparent", parent))
	}
	if aborted {
		line.AddAttrs(slog.Bool("aborted", true))
	}
	if e.err != nil && (status >= http.StatusInternalServerError || aborted) {
		line.AddAttrs(slog.Any("err", e.err))
	}
	_ = lines.Handle(e, line) // which adds whose request it was; if it fails there is nobody to tell
}

func remoteHost(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// A recorder remembers what went out.
type recorder struct {
	http.ResponseWriter
	conn   *corkedConn
	head   bool // the body is left out
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.conn.cork(true)
	n, err := r.ResponseWriter.Write(b)
	r.conn.cork(false)
	if !r.head {
		r.bytes += int64(n)
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// RequestIDHandler adds the id of the request in whose context a line is logged,
// and whose token it brought.
func RequestIDHandler(next slog.Handler) slog.Handler {
	if h, ok := next.(requestIDHandler); ok {
		return h
	}
	return requestIDHandler{next}
}

type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", e.id))
		if e.caller != "" {
			record.AddAttrs(slog.String("caller", e.caller))
		}
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}
