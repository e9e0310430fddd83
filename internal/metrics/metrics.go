// Package metrics is what Prometheus sees of the daemon. It has its own
// registry, and is the only package that knows the Prometheus client.
//
// Label values are route patterns, operation names and other words of ours,
// never an id, a name that a client chose, or a raw path, so the number of series
// does not grow with what is stored. Every series of a counter exists from the
// start, at 0.
package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// other stands for every label value that is not one of ours.
const other = "other"

// Config is what Metrics are made of.
type Config struct {
	Version, Revision string           // of the program
	Store             string           // filesystem, memory
	Durability        string           // how an acknowledged save is kept: full, relaxed, none
	Compression       bool             // new snapshots are compressed
	CleanUpInterval   time.Duration    // 0 = never
	RejectReasons     []string         // all that Rejected is called with
	WatchedFiles      []string         // all that Reloaded is called with
	SyncTargets       []string         // all that SyncObserved is called with
	Ready             func() bool      // asked at every scrape; nil = never ready
	Now               func() time.Time // nil = time.Now
	Logger            *slog.Logger     // hears of scrapes that failed; nil = nobody does
}

// Metrics keeps the daemon's counts. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	table    []Description
	now      func() time.Time
	logger   *slog.Logger
	store    atomic.Pointer[store.Store] // what a scrape asks; nil while there is none

	operations *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	succeeded  map[string]succeeded // the series of each operation that are used most
	syncs      *prometheus.HistogramVec
	degraded   prometheus.Gauge

	saved       *prometheus.CounterVec
	sizes       prometheus.Observer
	deleted     *prometheus.CounterVec
	transitions *prometheus.CounterVec

	runs         *prometheus.CounterVec
	runDurations *prometheus.HistogramVec
	cleaned      prometheus.Counter
	reclaimed    prometheus.Counter
	lastSuccess  prometheus.Gauge

	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	rejected *prometheus.CounterVec

	reloads    *prometheus.CounterVec
	lastReload *prometheus.GaugeVec
}

// succeeded are the series of an operation's calls that ended well.
type succeeded struct {
	calls     prometheus.Counter
	durations prometheus.Observer
}

// New returns metrics in which nothing has happened yet. What is stored joins
// them with Wrap.
func New(cfg Config) *Metrics {
	if cfg.Ready == nil {
		cfg.Ready = func() bool { return false }
	}
	m := &Metrics{registry: prometheus.NewRegistry(), now: cfg.Now, logger: cfg.Logger}
	if m.now == nil {
		m.now = time.Now
	}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.addProgram(&cfg)
	m.addStore(&cfg)
	m.addArchive(&cfg)
	m.addHTTP(&cfg)
	return m
}

func (m *Metrics) addProgram(cfg *Config) {
	m.gauges("snapshotd_build_info", "Always 1; which build this is.", "version", "revision", "goversion").
		WithLabelValues(cfg.Version, cfg.Revision, runtime.Version()).Set(1)
	m.gaugeFunc("snapshotd_ready", "1 when /readyz says ready, else 0.", func() float64 {
		if cfg.Ready() {
			return 1
		}
		return 0
	})
	m.reloads = m.counters("snapshotd_config_reloads_total", "Attempts to read a file again that had changed, or because of SIGHUP.", "file", "result")
	m.lastReload = m.gauges("snapshotd_config_last_reload_successful", "0 when a changed file cannot be used, and what it said before is in force; else 1.", "file")
	for _, file := range cfg.WatchedFiles {
		m.lastReload.WithLabelValues(file).Set(1)
		for _, result := range []string{reloadOK, reloadError} {
			m.reloads.WithLabelValues(file, result)
		}
	}
}

const reloadOK, reloadError = "ok", "error"

// Reloaded counts an attempt to read a file again.
func (m *Metrics) Reloaded(file string, ok bool) {
	result, last := reloadOK, 1.0
	if !ok {
		result, last = reloadError, 0
	}
	m.reloads.WithLabelValues(file, result).Inc()
	m.lastReload.WithLabelValues(file).Set(last)
}

func (m *Metrics) addStore(cfg *Config) {
	m.gauges("snapshotd_store_info", "Always 1; which store this is, and how it keeps snapshots.", "store", "durability", "compression").
		WithLabelValues(cfg.Store, cfg.Durability, strconv.FormatBool(cfg.Compression)).Set(1)
	m.addContent()
	m.operations = m.counters("snapshotd_store_operations_total", "Calls of the store.", "operation", "result")
	m.durations = m.histograms("snapshotd_store_operation_duration_seconds", "How long calls of the store took.", storeBuckets, "operation", "result")
	m.succeeded = make(map[string]succeeded, len(operations))
	for _, operation := range operations {
		for _, result := range results {
			m.operations.WithLabelValues(operation, result)
		}
		m.succeeded[operation] = succeeded{m.operations.WithLabelValues(operation, resultOK), m.durations.WithLabelValues(operation, resultOK)}
	}
	m.syncs = m.histograms("snapshotd_store_sync_duration_seconds", "How long it took to bring files and directories to stable storage.", storeBuckets, "target")
	for _, target := range cfg.SyncTargets {
		m.syncs.WithLabelValues(target)
	}
	m.degraded = m.gauge("snapshotd_store_degraded", "1 when the store accepts no changes until a restart, because a sync failed.")
}

func (m *Metrics) addArchive(cfg *Config) {
	m.saved = m.counters("snapshotd_snapshots_saved_total", "Saves that reached the store, by what became of them.", "result")
	for _, result := range []string{archive.SavedNew, archive.SavedSame, archive.SavedConflict, archive.SavedError} {
		m.saved.WithLabelValues(result)
	}
	m.sizes = m.histogram("snapshotd_snapshot_size_bytes", "Sizes of new snapshots, as stored.", prometheus.ExponentialBuckets(256, 4, 9))
	m.deleted = m.counters("snapshotd_snapshots_deleted_total", "Snapshots deleted, by the reason.", "reason")
	for _, reason := range []string{archive.ReasonRequest, archive.ReasonSaga, archive.ReasonExpired, archive.ReasonMaxPerSaga} {
		m.deleted.WithLabelValues(reason)
	}
	m.transitions = m.counters("snapshotd_replay_transitions_total", "Replay records that took on this status.", "status")
	for _, status := range saga.ReplayStatuses {
		m.transitions.WithLabelValues(string(status))
	}
	m.runs = m.counters("snapshotd_cleanup_runs_total", "Clean-ups, by who started them and how they ended.", "trigger", "result")
	m.runDurations = m.histograms("snapshotd_cleanup_duration_seconds", "How long clean-ups took, without those that were skipped.", cleanUpBuckets, "trigger", "result")
	for _, trigger := range []string{archive.TriggerTimer, archive.TriggerRequest} {
		for _, result := range []string{archive.RunOK, archive.RunPartial, archive.RunError, archive.RunSkipped} {
			m.runs.WithLabelValues(trigger, result)
		}
		m.runDurations.WithLabelValues(trigger, archive.RunOK)
	}
	m.cleaned = m.counter("snapshotd_cleanup_deleted_snapshots_total", "Expired snapshots deleted by clean-ups.")
	m.reclaimed = m.counter("snapshotd_cleanup_reclaimed_bytes_total", "Bytes of expired snapshots deleted by clean-ups, as stored.")
	m.lastSuccess = m.gauge("snapshotd_cleanup_last_success_timestamp_seconds", "When a clean-up last deleted all that had expired; 0 before the first.")
	m.gauge("snapshotd_cleanup_interval_seconds", "The configured interval of clean-ups; 0 = they are not run on a timer.").
		Set(cfg.CleanUpInterval.Seconds())
}

func (m *Metrics) addHTTP(cfg *Config) {
	m.requests = m.histograms("snapshotd_http_request_duration_seconds", "How long requests took, until their answer was sent.", httpBuckets, "method", "route", "code")
	m.inFlight = m.gauge("snapshotd_http_requests_in_flight", "Requests that are being answered.")
	m.rejected = m.counters("snapshotd_http_requests_rejected_total", "Requests that were turned away before they were looked at, by the reason.", "reason")
	for _, reason := range cfg.RejectReasons {
		m.rejected.WithLabelValues(reason)
	}
}

// Handler serves the metrics, compressed by itself. Scrapes at the same time
// share one look at the store; a store that cannot be asked costs the scrape its
// own metrics only.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:       m.registry,
		ErrorLog:       scrapeLog{m.logger},
		ErrorHandling:  promhttp.ContinueOnError,
		CoalesceGather: true,
	})
}

type scrapeLog struct{ logger *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.logger.Error("a scrape of the metrics is incomplete", "err", fmt.Sprint(v...))
}

// Archive is what an archive is to tell.
func (m *Metrics) Archive() archive.Observer {
	return archive.Observer{
		Saved: func(result string, sizeBytes int64) {
			m.saved.WithLabelValues(result).Inc()
			if result == archive.SavedNew {
				m.sizes.Observe(float64(sizeBytes))
			}
		},
		Deleted: func(reason string, n int) { m.deleted.WithLabelValues(reason).Add(float64(n)) },
		Replay:  func(status saga.ReplayStatus) { m.transitions.WithLabelValues(string(status)).Inc() },
		CleanedUp: func(run archive.CleanUpRun) {
			m.runs.WithLabelValues(run.Trigger, run.Result).Inc()
			if run.Result == archive.RunSkipped {
				return
			}
			m.runDurations.WithLabelValues(run.Trigger, run.Result).Observe(run.Took.Seconds())
			m.cleaned.Add(float64(run.Deleted))
			m.reclaimed.Add(float64(run.Bytes))
			if run.Result == archive.RunOK {
				m.lastSuccess.Set(float64(m.now().UnixMilli()) / 1000)
			}
		},
	}
}

// SyncObserved counts one sync to stable storage of target, a word such as file
// or directory.
func (m *Metrics) SyncObserved(target string, took time.Duration) {
	m.syncs.WithLabelValues(target).Observe(took.Seconds())
}

// Degraded notes that the store has given up writing until a restart.
func (m *Metrics) Degraded() { m.degraded.Set(1) }

// Observe counts a request that was answered. The route is its pattern, or "other".
func (m *Metrics) Observe(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		method = other
	}
	code := other
	if 100 <= status && status <= 599 {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(method, route, code).Observe(took.Seconds())
}

// InFlight adds delta to the number of requests that are being answered.
func (m *Metrics) InFlight(delta int) { m.inFlight.Add(float64(delta)) }

// Rejected counts a request that was turned away.
func (m *Metrics) Rejected(reason string) { m.rejected.WithLabelValues(reason).Inc() }
