package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Buckets in seconds. A read from memory takes microseconds, a save at least
// one flush of the disk; a request some 100 µs more than its calls of the store.
var (
	storeBuckets   = []float64{.00001, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}
	httpBuckets    = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	cleanUpBuckets = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30}
)

// A Description says what one metric is.
type Description struct {
	Name   string
	Type   string // gauge, counter, histogram
	Labels []string
	Help   string
}

// Table describes every metric of ours, in a fixed order; those of the Go
// runtime and of the process are the client library's.
func (m *Metrics) Table() []Description { return slices.Clone(m.table) }

// The functions below make a metric and describe it; no metric is made
// otherwise.

func (m *Metrics) describe(kind, name, help string, labels []string) {
	m.table = append(m.table, Description{Name: name, Type: kind, Labels: labels, Help: help})
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	m.describe("counter", name, help, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	return m.counters(name, help).WithLabelValues()
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	m.describe("gauge", name, help, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	return m.gauges(name, help).WithLabelValues()
}

func (m *Metrics) gaugeFunc(name, help string, value func() float64) {
	m.describe("gauge", name, help, nil)
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	m.describe("histogram", name, help, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Observer {
	return m.histograms(name, help, buckets).WithLabelValues()
}

// constGauge describes a gauge that a collector answers at each scrape.
func (m *Metrics) constGauge(name, help string, labels ...string) *prometheus.Desc {
	m.describe("gauge", name, help, labels)
	return prometheus.NewDesc(name, help, labels, nil)
}
