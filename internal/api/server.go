// Package api serves an archive over HTTP. It knows syntax: routes, parameters,
// bodies, codings, shapes and problem documents. What a request means is decided
// in package archive.
package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"snapshotd/internal/access"
	"snapshotd/internal/archive"
	"snapshotd/internal/document"
)

// Bounds that apply where a Config leaves them at 0.
const (
	defaultMaxBodySize  = 16 << 20
	defaultMaxPageBytes = 32 << 20
)

// Config is what a Server is made of. Nil functions are not called.
type Config struct {
	Logger       *slog.Logger  // nil = discarded
	MaxBodySize  int64         // of a request after decoding, in bytes; 0 = 16 MiB
	MaxPageBytes int64         // of the documents that a page brings, in bytes before compression; 0 = 32 MiB
	Version      VersionInfo   // answered at /version
	Metrics      http.Handler  // served at /metrics; nil = there is no such route
	MetricsApart bool          // /metrics is served by Operator alone
	NewRequestID func() string // nil = random

	Tokens *access.Tokens // of those who may come; nil = everybody may do everything
	Redact []string       // pointers that are Redactable, masked for callers without the scope admin

	AllowedHosts []string // names that requests may be for besides IP addresses and localhost, see ParseHost
	CORSOrigins  []string // whose pages may call from a browser, see ParseOrigin

	MaxInFlight      int                       // requests below /v1 at once; 0 = 1024
	MaxInFlightBytes int64                     // of bodies and documents in memory at once; 0 = 256 MiB
	BodyTime         func(int64) time.Duration // that a body of so many bytes may take; nil = as long as net/http lets it

	Observe  func(method, route string, status int, took time.Duration) // route is a pattern, or "other"
	InFlight func(delta int)                                            // requests under way
	Rejected func(reason string)                                        // one of RejectReasons
}

// VersionInfo says what is running.
type VersionInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	GoVersion string `json:"go_version"`
}

// A Server answers every request from the start: until Serve with 503 starting,
// after Drain with 503 draining. It is safe for concurrent use.
type Server struct {
	cfg      Config
	log      *slog.Logger
	mux      *chi.Mux
	operator *chi.Mux
	mask     *document.Mask // nil = nothing is masked
	browser  *browser
	load     load
	archive  atomic.Pointer[archive.Archive]
	loading  atomic.Pointer[string]
	draining atomic.Bool
}

// New returns a server that has no archive yet.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxBodySize == 0 {
		cfg.MaxBodySize = defaultMaxBodySize
	}
	if cfg.MaxPageBytes == 0 {
		cfg.MaxPageBytes = defaultMaxPageBytes
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.MaxInFlightBytes == 0 {
		cfg.MaxInFlightBytes = defaultMaxInFlightBytes
	}
	if cfg.NewRequestID == nil {
		cfg.NewRequestID = newRequestID
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, int, time.Duration) {}
	}
	if cfg.InFlight == nil {
		cfg.InFlight = func(int) {}
	}
	if cfg.Rejected == nil {
		cfg.Rejected = func(string) {}
	}
	s := &Server{cfg: cfg, log: slog.New(RequestIDHandler(cfg.Logger.Handler())), mask: newMask(cfg.Redact), browser: newBrowser(cfg.AllowedHosts, cfg.CORSOrigins)}
	s.Loading("the store is being opened")
	s.mux = s.newMux(routes)
	s.operator = s.newMux(operatorRoutes)
	if cfg.Metrics != nil && !cfg.MetricsApart {
		s.mux.Method(http.MethodGet, metricsRoute.pattern, s.endpoint(metricsRoute))
	}
	if cfg.Metrics != nil {
		open := metricsRoute
		open.scope = access.Open
		s.operator.Method(http.MethodGet, open.pattern, s.endpoint(open))
	}
	return s
}

func (s *Server) newMux(routes []route) *chi.Mux {
	mux := chi.NewMux()
	mux.Use(s.observe, s.guard, compress, headAsGet)
	mux.NotFound(s.routeNotFound)
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) { s.methodNotAllowed(mux, w, r) })
	for _, rt := range routes {
		mux.Method(rt.method, rt.pattern, s.endpoint(rt))
	}
	return mux
}

// Loading says how far opening the store has come; /readyz?verbose shows it.
func (s *Server) Loading(progress string) { s.loading.Store(&progress) }

// Serve makes the server ready: from now on requests go to the archive.
func (s *Server) Serve(a *archive.Archive) { s.archive.Store(a) }

// Drain makes the server refuse what comes from now on; what is under way ends
// undisturbed.
func (s *Server) Drain() { s.draining.Store(true) }

// Routes are all routes, without HEAD, which works wherever GET does.
func (s *Server) Routes() chi.Routes { return s.mux }

// Operator serves metrics and health without asking for a token, for a listener
// of their own.
func (s *Server) Operator() http.Handler { return s.operator }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// A route is one row of the table below.
type route struct {
	method, pattern string
	scope           access.Scope // that a caller needs, where there are tokens
	handle          func(*call) error
	params          []string // known query parameters beside pretty
}

// parameters are all query parameters that the route knows: pretty is one
// wherever the answer is JSON.
func (rt *route) parameters() []string {
	if rt.pattern == "/metrics" || rt.pattern == "/openapi.yaml" {
		return rt.params
	}
	return append(slices.Clone(rt.params), "pretty")
}

// needsArchive is true for what is refused while starting and draining.
func (rt *route) needsArchive() bool { return strings.HasPrefix(rt.pattern, "/v1/") }

// metricsRoute is there when Config.Metrics is; at the operator's own listener it
// is open.
var metricsRoute = route{"GET", "/metrics", access.Metrics, metrics, nil}

// operatorRoutes are those of the operator's own listener, beside metricsRoute.
var operatorRoutes = []route{healthzRoute, readyzRoute}

var (
	healthzRoute = route{"GET", "/healthz", access.Open, healthz, nil}
	readyzRoute  = route{"GET", "/readyz", access.Open, readyz, []string{"verbose"}}
)

var routes = []route{
	{"PUT", "/v1/snapshots/{snapshot_id}", access.Write, putSnapshot, nil},
	{"POST", "/v1/snapshots", access.Write, postSnapshot, nil},
	{"GET", "/v1/snapshots/{snapshot_id}", access.Read, getSnapshot, []string{"pointer"}},
	{"DELETE", "/v1/snapshots/{snapshot_id}", access.Delete, deleteSnapshot, nil},
	{"GET", "/v1/snapshots", access.Read, searchSnapshots,
		[]string{"saga_name", "status", "step_name", "after", "before", "order", "limit", "cursor", "view"}},

	{"GET", "/v1/sagas", access.Read, listSagas,
		[]string{"saga_name", "status", "step_name", "after", "before", "order", "limit", "cursor"}},
	{"GET", "/v1/sagas/{saga_id}", access.Read, getSaga, nil},
	{"GET", "/v1/sagas/{saga_id}/snapshots", access.Read, listSnapshots,
		[]string{"status", "step_name", "after", "before", "order", "limit", "cursor", "view"}},
	{"GET", "/v1/sagas/{saga_id}/snapshots/latest", access.Read, latestSnapshot,
		[]string{"step_name", "at", "status", "pointer"}},
	{"DELETE", "/v1/sagas/{saga_id}/snapshots", access.Delete, deleteSaga, []string{"replays"}},

	{"POST", "/v1/sagas/{saga_id}/replays", access.Replay, prepareReplay, nil},
	{"GET", "/v1/sagas/{saga_id}/replays", access.Read, listReplays, []string{"order", "limit", "cursor"}},
	{"PUT", "/v1/replays/{replay_id}", access.Replay, putReplay, nil},
	{"PATCH", "/v1/replays/{replay_id}", access.Replay, patchReplay, nil},
	{"GET", "/v1/replays/{replay_id}", access.Read, getReplay, nil},

	{"GET", "/v1/stats", access.Read, getStats, nil},
	{"POST", "/v1/cleanup", access.Admin, cleanUp, []string{"dry_run"}},

	healthzRoute,
	readyzRoute,
	{"GET", "/version", access.Open, version, nil},
	{"GET", "/openapi.yaml", access.Open, openapiYAML, nil},
	{"GET", "/openapi.json", access.Open, openapiJSON, nil},
}
