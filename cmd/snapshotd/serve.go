package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"snapshotd/internal/access"
	"snapshotd/internal/api"
	"snapshotd/internal/archive"
	"snapshotd/internal/metrics"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/memstore"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 64 << 10
	answerTimeout  = 60 * time.Second // to make an answer: a clean-up takes up to 30 s
	slowestClient  = 256 << 10        // bytes per second; one that sends or reads slower is cut off
	readyTimeout   = 2 * time.Second
	drainPoll      = 10 * time.Millisecond
	cutOffGrace    = time.Second // for requests that were cut off to notice
)

// A daemon is one run of serve.
type daemon struct {
	options *serveOptions
	log     *slog.Logger
	metrics *metrics.Metrics
	api     *api.Server
	http    *http.Server
	serving atomic.Pointer[store.Store] // nil while loading and draining

	operator    *http.Server   // of metrics and health; nil = they have none of their own
	tokens      *access.Tokens // nil = none are asked for
	certificate *certificate   // nil = no TLS
	hangUp      chan os.Signal // SIGHUP; nil = nobody hangs up

	underWay atomic.Int64 // requests

	// users is held for reading by every request and by the janitor, so that the
	// store is closed behind the last of them.
	users sync.RWMutex
}

// serve runs the daemon until ctx ends. It answers exitFailure when it cannot
// listen or open the store; for the log to say why.
func (p *process) serve(ctx context.Context, o *serveOptions, unknown []string) int {
	handler, flush := newLogHandler(p.stderr, o, p.environ)
	defer flush()
	log := slog.New(api.RequestIDHandler(handler))
	for _, name := range unknown {
		log.Warn("a variable sets no option", "name", name)
	}
	limitMemory(log)
	d := newDaemon(o, log)
	d.hangUp = p.hangUp
	if err := d.run(ctx, p.started); err != nil {
		log.Error("snapshotd has failed", "err", err)
		return exitFailure
	}
	return exitOK
}

func newDaemon(o *serveOptions, log *slog.Logger) *daemon {
	b := buildInfo()
	d := &daemon{options: o, log: log, tokens: newTokens(o)}
	durability, compression := o.Durability, o.EnableCompression
	if o.Store == "memory" {
		durability, compression = "none", false
	}
	d.metrics = metrics.New(metrics.Config{
		Version: b.version, Revision: b.revision,
		Store: o.Store, Durability: durability, Compression: compression,
		CleanUpInterval: time.Duration(o.CleanupInterval),
		SyncTargets:     filestore.SyncTargets,
		RejectReasons:   api.RejectReasons,
		WatchedFiles:    watchedFiles,
		Ready:           d.ready,
		Logger:          log,
	})
	d.api = api.New(api.Config{
		Logger:       log,
		MaxBodySize:  int64(o.MaxBodySize),
		MaxPageBytes: int64(o.MaxPageBytes),
		AllowedHosts: o.allowedHosts(),
		CORSOrigins:  o.CORSOrigins.list(),
		Tokens:       d.tokens,
		Redact:       o.Redact,

		MaxInFlight:      int(o.MaxInFlight),
		MaxInFlightBytes: o.maxInFlightBytes(log),
		BodyTime:         func(n int64) time.Duration { return headerTimeout + transferTime(size(n)) },

		Version:      api.VersionInfo{Version: b.version, Revision: b.revision, GoVersion: b.goVersion},
		Metrics:      d.metrics.Handler(),
		MetricsApart: o.MetricsListen != "",
		Observe:      d.metrics.Observe,
		InFlight:     d.metrics.InFlight,
		Rejected:     d.metrics.Rejected,
	})
	d.http = d.newServer(d.api)
	if o.TLSCert != "" {
		d.certificate = &certificate{}
		d.certificate.serve(d.http)
	}
	if o.MetricsListen != "" {
		d.operator = d.newServer(d.api.Operator())
	}
	return d
}

func (d *daemon) newServer(handler http.Handler) *http.Server {
	o := d.options
	return &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.handle(handler, w, r) }),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout + transferTime(o.MaxBodySize),
		WriteTimeout:      headerTimeout + transferTime(o.MaxBodySize) + answerTimeout + transferTime(o.MaxPageBytes),
		IdleTimeout:       idleTimeout,
		ConnContext:       api.ConnContext,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
}

// transferTime is how long the slowest client may take for so many bytes, a day
// at most.
func transferTime(s size) time.Duration {
	return min(time.Duration(int64(s)/slowestClient), 24*60*60) * time.Second
}

func (d *daemon) handle(handler http.Handler, w http.ResponseWriter, r *http.Request) {
	if !d.users.TryRLock() {
		panic(http.ErrAbortHandler) // the store is being closed
	}
	defer d.users.RUnlock()
	d.underWay.Add(1)
	defer d.underWay.Add(-1)
	handler.ServeHTTP(w, r)
}

// ready is what /readyz says, for a scrape: the store is asked unmeasured.
func (d *daemon) ready() bool {
	s := d.serving.Load()
	if s == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	return (*s).Ping(ctx) == nil
}

// run listens, opens the store, serves until ctx ends, and drains.
func (d *daemon) run(ctx context.Context, started func(addr string)) error {
	stop, err := d.watch()
	if err != nil {
		return err
	}
	defer stop()
	listener, err := d.listen(ctx)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		if err := d.serveOn(listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serving has failed: %w", err))
		}
	}()
	if err := d.serveOperator(ctx, fail); err != nil {
		_ = d.http.Close() // nobody has been answered anything but to wait
		return err
	}
	if started != nil {
		started(listener.Addr().String())
	}
	start := time.Now()
	s, reportOnly, err := d.open(ctx)
	if err != nil {
		d.close() // nobody has been answered anything but to wait
		if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			return ended(ctx)
		}
		return err
	}
	d.serving.Store(&s)
	s = d.metrics.Wrap(s)
	a := archive.New(archive.Config{
		Store: s, Logger: d.log, Observer: d.metrics.Archive(),
		Indent:            d.options.PrettyJSON,
		DefaultRetention:  time.Duration(d.options.DefaultRetention),
		MaxPerSaga:        int(d.options.MaxSnapshotsPerSaga),
		ReportExpiredOnly: reportOnly,
	})
	d.api.Serve(a)
	d.logContent(context.WithoutCancel(ctx), a, time.Since(start))

	d.users.RLock()
	go func() {
		defer d.users.RUnlock()
		a.RunJanitor(ctx, time.Duration(d.options.CleanupInterval))
	}()
	<-ctx.Done()
	cause := ended(ctx)
	if !d.drain(ctx) {
		return errors.Join(cause, errors.New("the store does not answer; it is left to the next start to repair"))
	}
	if err := s.Close(); err != nil {
		return errors.Join(cause, fmt.Errorf("closing the store: %w", err))
	}
	d.log.Info("stopped")
	return cause
}

// ended says why ctx did: nil when it was asked to.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (d *daemon) listen(ctx context.Context) (net.Listener, error) {
	listener, err := listenOn(ctx, "listen", d.options.Listen)
	if err != nil {
		return nil, err
	}
	d.log.Info("listening", "address", listener.Addr().String(), "version", buildInfo().version)
	d.warnOfListening(listener.Addr())
	return listener, nil
}

func listenOn(ctx context.Context, option string, at address) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(at))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program listens on %s already; choose another address with --%s or stop it", at, option)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return api.Cork(listener), nil
}

func (d *daemon) serveOn(listener net.Listener) error {
	if d.certificate != nil {
		return d.http.ServeTLS(listener, "", "")
	}
	return d.http.Serve(listener)
}

// serveOperator listens for those who ask for metrics and health alone.
func (d *daemon) serveOperator(ctx context.Context, fail context.CancelCauseFunc) error {
	if d.operator == nil {
		return nil
	}
	listener, err := listenOn(ctx, "metrics-listen", d.options.MetricsListen)
	if err != nil {
		return err
	}
	d.log.Info("listening for metrics", "address", listener.Addr().String())
	go func() {
		if err := d.operator.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serving metrics has failed: %w", err))
		}
	}()
	return nil
}

// close closes connections and listeners; if that fails there is nothing to be
// done about it.
func (d *daemon) close() {
	_ = d.http.Close()
	if d.operator != nil {
		_ = d.operator.Close()
	}
}

// open opens the store; reportOnly if its directory is new to us. This is the
// one place that names stores.
func (d *daemon) open(ctx context.Context) (s store.Store, reportOnly bool, err error) {
	switch d.options.Store {
	case "memory":
		return memstore.New(), false, nil
	default:
		fs, err := filestore.Open(ctx, filestore.Config{
			BasePath: string(d.options.BasePath),
			Compress: d.options.EnableCompression,
			Indent:   d.options.PrettyJSON,
			Relaxed:  d.options.Durability == "relaxed",
			MinFree:  int64(d.options.MinFree),
			Cache:    int64(d.options.CacheSize),
			Logger:   d.log,
			Observer: filestore.Observer{Synced: d.metrics.SyncObserved, Degraded: d.metrics.Degraded},
			Progress: d.loading,
		})
		if err != nil {
			return nil, false, err
		}
		return fs, fs.FirstOpen(), nil
	}
}

// loading hears of every ten thousand snapshots that have been found at the start.
func (d *daemon) loading(n int) {
	d.api.Loading(fmt.Sprintf("%d snapshots have been read so far", n))
	if n/10_000%10 == 0 {
		d.log.Info("loading", "snapshots", n)
	}
}

// logContent says where the data is, and how much.
func (d *daemon) logContent(ctx context.Context, a *archive.Archive, took time.Duration) {
	stats, err := a.Stats(ctx)
	if err != nil {
		d.log.Error("the store does not say what it holds", "err", err)
		return
	}
	attrs := []any{"store", stats.Type, "durability", stats.Durability}
	if stats.BasePath != "" {
		attrs = append(attrs, "base_path", stats.BasePath)
	}
	d.log.Info("ready", append(attrs,
		"sagas", stats.Sagas, "snapshots", stats.Snapshots, "replays", stats.Replays,
		"bytes", stats.SnapshotBytes, "unreadable", stats.UnreadableSnapshots+stats.UnreadableReplays,
		"took", took.Round(time.Microsecond).String())...)
}

// drain takes no more requests, lets those that are there end within the
// shutdown timeout, and cuts off the rest. It reports whether nobody uses the
// store any more.
func (d *daemon) drain(ctx context.Context) bool {
	timeout := time.Duration(d.options.ShutdownTimeout)
	d.log.Info("draining", "timeout", timeout.String())
	d.api.Drain()
	d.serving.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	// While requests are under way others are still told that we are draining;
	// Shutdown would have them refused by the system.
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for d.underWay.Load() > 0 && ctx.Err() == nil {
		select {
		case <-poll.C:
		case <-ctx.Done():
		}
	}
	err := d.http.Shutdown(ctx)
	if d.operator != nil {
		err = errors.Join(err, d.operator.Shutdown(ctx))
	}
	if err != nil {
		d.log.Warn("requests did not end in time and are cut off", "timeout", timeout.String())
		d.close()
	}
	unused := make(chan struct{})
	go func() {
		d.users.Lock()
		close(unused)
	}()
	select {
	case <-unused:
		return true
	case <-time.After(cutOffGrace):
		return false
	}
}
