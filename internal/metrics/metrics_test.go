package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/memstore"
)

// disked is a memory store that claims to have a disk below it.
type disked struct {
	store.Store
	asked int
}

func (s *disked) Stats(ctx context.Context, now saga.Time) (*store.Stats, error) {
	s.asked++
	stats, err := s.Store.Stats(ctx, now)
	if err == nil {
		stats.Disk = store.Disk{SizeBytes: 1000, AvailableBytes: 400, Files: 100, FreeFiles: 40}
	}
	return stats, err
}

// newArchive is an archive above a measured store in memory.
func newArchive(t *testing.T, cfg Config) (*Metrics, *archive.Archive, *disked) {
	t.Helper()
	m := New(cfg)
	s := &disked{Store: memstore.New()}
	return m, archive.New(archive.Config{Store: m.Wrap(s), Observer: m.Archive(), Now: cfg.Now}), s
}

func save(t *testing.T, a *archive.Archive, fields string) *archive.Receipt {
	t.Helper()
	d, err := saga.ParseDraft(fmt.Appendf(nil, `{"saga_id":%q,"saga_name":"order","step_name":"pay","step_index":1,"context":{}%s}`,
		uuid.New(), fields))
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := a.Save(context.Background(), d, false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func gather(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName
}

// value finds a series by the values of its labels, in the order of their names.
func value(t *testing.T, m *Metrics, name string, labels ...string) float64 {
	t.Helper()
	for _, series := range gather(t, m)[name].GetMetric() {
		var values []string
		for _, pair := range series.GetLabel() {
			values = append(values, pair.GetValue())
		}
		if !slices.Equal(values, labels) {
			continue
		}
		switch {
		case series.Counter != nil:
			return series.GetCounter().GetValue()
		case series.Histogram != nil:
			return float64(series.GetHistogram().GetSampleCount())
		default:
			return series.GetGauge().GetValue()
		}
	}
	t.Fatalf("%s%v is not there", name, labels)
	return 0
}

func countSeries(t *testing.T, m *Metrics) int {
	t.Helper()
	n := 0
	for name, family := range gather(t, m) {
		if strings.HasPrefix(name, "snapshotd_") {
			n += len(family.GetMetric())
		}
	}
	return n
}

func TestCountersStartAtZero(t *testing.T) {
	m := New(Config{WatchedFiles: []string{"tokens"}, RejectReasons: []string{"overloaded"}})
	families := gather(t, m)
	for _, d := range m.Table() {
		if d.Type != "counter" {
			continue
		}
		if len(families[d.Name].GetMetric()) == 0 {
			t.Errorf("%s has no series at the start", d.Name)
		}
		for _, series := range families[d.Name].GetMetric() {
			if series.GetCounter().GetValue() != 0 {
				t.Errorf("%v starts at %v", series.GetLabel(), series.GetCounter().GetValue())
			}
		}
	}
	for name, want := range map[string]int{
		"snapshotd_store_operations_total":   14 * 9,
		"snapshotd_snapshots_saved_total":    4,
		"snapshotd_snapshots_deleted_total":  4,
		"snapshotd_replay_transitions_total": 5,
		"snapshotd_cleanup_runs_total":       2 * 4,
	} {
		if got := len(families[name].GetMetric()); got != want {
			t.Errorf("%s has %d series at the start, not %d", name, got, want)
		}
	}
	if families["snapshotd_store_sagas"] != nil {
		t.Error("sagas are counted before there is a store")
	}
}

func TestContent(t *testing.T) {
	m, a, s := newArchive(t, Config{})
	save(t, a, `,"status":"completed"`)
	save(t, a, `,"status":"completed","retention_until":"2001-01-01T00:00:00Z"`)
	last := save(t, a, `,"status":"my_own"`)
	if _, _, err := a.PrepareReplay(context.Background(), last.SagaID, &saga.ReplayRequest{CheckpointStep: "pay", InitiatedBy: "me"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		name, label string
		value       float64
	}{
		{"snapshotd_store_sagas", "", 3},
		{"snapshotd_store_snapshots", "completed", 2},
		{"snapshotd_store_snapshots", "failed", 0},
		{"snapshotd_store_snapshots", "other", 1},
		{"snapshotd_store_replays", "pending", 1},
		{"snapshotd_snapshots_expired", "", 1},
		{"snapshotd_store_unreadable_files", "replay", 0},
		{"snapshotd_filesystem_size_bytes", "", 1000},
		{"snapshotd_filesystem_avail_bytes", "", 400},
		{"snapshotd_filesystem_files", "", 100},
		{"snapshotd_filesystem_files_free", "", 40},
	} {
		var labels []string
		if want.label != "" {
			labels = []string{want.label}
		}
		if got := value(t, m, want.name, labels...); got != want.value {
			t.Errorf("%s%v is %v, not %v", want.name, labels, got, want.value)
		}
	}
	if got := value(t, m, "snapshotd_store_size_bytes", "snapshot"); got < 3*100 {
		t.Errorf("three snapshots have %v bytes", got)
	}
	s.asked = 0
	gather(t, m)
	if s.asked != 1 {
		t.Errorf("a scrape asked the store %d times", s.asked)
	}
}

// TestSeriesDoNotGrow saves sagas with names and statuses of their own.
func TestSeriesDoNotGrow(t *testing.T) {
	m, a, _ := newArchive(t, Config{})
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			r := save(t, a, fmt.Sprintf(`,"status":"s%d"`, i))
			m.Observe("GET", "/v1/sagas/{saga_id}", 200, time.Millisecond)
			m.Observe(fmt.Sprintf("VERB%d", i), other, 1000+i, time.Millisecond)
			if _, err := a.Saga(context.Background(), r.SagaID); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(0, 1)
	one := countSeries(t, m)
	fill(1, 200)
	if got := countSeries(t, m); got != one {
		t.Errorf("200 sagas have %d series, one had %d", got, one)
	}
	if got := value(t, m, "snapshotd_http_request_duration_seconds", other, other, other); got != 200 {
		t.Errorf("%v requests of others", got)
	}
}

func TestObserver(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m, a, _ := newArchive(t, Config{Now: func() time.Time { return now }})
	first := save(t, a, `,"status":"failed"`)
	save(t, a, `,"status":"failed","retention_until":"2026-11-22T11:59:59Z"`)
	ctx := context.Background()
	if err := a.DeleteSnapshot(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CleanUp(ctx, false); err != nil {
		t.Fatal(err)
	}
	m.Archive().CleanedUp(archive.CleanUpRun{Trigger: archive.TriggerTimer, Result: archive.RunSkipped})
	for name, want := range map[string]float64{
		"snapshotd_snapshots_saved_total created":          2,
		"snapshotd_snapshot_size_bytes":                    2,
		"snapshotd_snapshots_deleted_total request":        1,
		"snapshotd_snapshots_deleted_total expired":        1,
		"snapshotd_cleanup_runs_total ok request":          1,
		"snapshotd_cleanup_runs_total skipped timer":       1,
		"snapshotd_cleanup_duration_seconds ok request":    1,
		"snapshotd_cleanup_duration_seconds ok timer":      0,
		"snapshotd_cleanup_deleted_snapshots_total":        1,
		"snapshotd_cleanup_last_success_timestamp_seconds": float64(now.Unix()),
	} {
		labels := strings.Fields(name)
		if got := value(t, m, labels[0], labels[1:]...); got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	if value(t, m, "snapshotd_cleanup_reclaimed_bytes_total") == 0 {
		t.Error("no bytes were reclaimed")
	}
}

func TestOthersAreTold(t *testing.T) {
	m := New(Config{
		Version: "v1.2.3", Revision: "abc", Store: "filesystem", Durability: "full", Compression: true,
		CleanUpInterval: 90 * time.Second, RejectReasons: []string{"overloaded"},
		Ready: func() bool { return true },
	})
	m.SyncObserved("file", time.Millisecond)
	m.Degraded()
	m.InFlight(1)
	m.InFlight(1)
	m.InFlight(-1)
	m.Rejected("overloaded")
	m.Observe("PUT", "/v1/snapshots/{snapshot_id}", 201, time.Millisecond)
	for name, want := range map[string]float64{
		"snapshotd_store_info true full filesystem":                                   1,
		"snapshotd_store_sync_duration_seconds file":                                  1,
		"snapshotd_store_degraded":                                                    1,
		"snapshotd_http_requests_in_flight":                                           1,
		"snapshotd_http_requests_rejected_total overloaded":                           1,
		"snapshotd_http_request_duration_seconds 201 PUT /v1/snapshots/{snapshot_id}": 1,
		"snapshotd_cleanup_interval_seconds":                                          90,
		"snapshotd_ready":                                                             1,
	} {
		labels := strings.Fields(name)
		if got := value(t, m, labels[0], labels[1:]...); got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
}

// TestScrape asks the handler as Prometheus does, also of a store that does not
// answer and of one that is closed.
func TestScrape(t *testing.T) {
	m := New(Config{Version: "v1.2.3"})
	handler := m.Handler()
	scrape := func() (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		body, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Code, string(body)
	}
	s := m.Wrap(memstore.New())
	if code, body := scrape(); code != 200 || !strings.Contains(body, "\nsnapshotd_store_sagas 0\n") {
		t.Errorf("%d\n%s", code, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := scrape(); code != 200 || strings.Contains(body, "\nsnapshotd_store_sagas") {
		t.Errorf("after the store was closed: %d\n%s", code, body)
	}
	m.Wrap(broken{})
	code, body := scrape()
	if code != 200 || strings.Contains(body, "\nsnapshotd_store_sagas") || !strings.Contains(body, `version="v1.2.3"`) {
		t.Errorf("with a broken store: %d\n%s", code, body)
	}
	if !strings.Contains(body, `promhttp_metric_handler_errors_total{cause="gathering"} `) {
		t.Error("the failed scrape is not counted")
	}
}

// broken is a store that fails whatever it is asked.
type broken struct{ store.Store }

func (broken) Stats(context.Context, saga.Time) (*store.Stats, error) {
	return nil, errors.New("planted")
}

func TestReloads(t *testing.T) {
	m := New(Config{WatchedFiles: []string{"tokens", "certificate"}})
	const attempts, last = "snapshotd_config_reloads_total", "snapshotd_config_last_reload_successful"
	if value(t, m, last, "tokens") != 1 || value(t, m, attempts, "tokens", "error") != 0 {
		t.Error("at the start something has failed")
	}
	m.Reloaded("tokens", false)
	m.Reloaded("certificate", true)
	if value(t, m, last, "tokens") != 0 || value(t, m, attempts, "tokens", "error") != 1 || value(t, m, last, "certificate") != 1 {
		t.Error("a failure does not show")
	}
	m.Reloaded("tokens", true)
	if value(t, m, last, "tokens") != 1 || value(t, m, attempts, "tokens", "ok") != 1 {
		t.Error("the end of a failure does not show")
	}
}
