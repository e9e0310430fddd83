package metrics

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "rewrite the table of metrics in the README")

// table is the same as in the README: dashboards and alerts are built on it, so
// that a change here breaks somebody's.
const table = `
snapshotd_build_info gauge version,revision,goversion
snapshotd_ready gauge
snapshotd_config_reloads_total counter file,result
snapshotd_config_last_reload_successful gauge file
snapshotd_store_info gauge store,durability,compression
snapshotd_store_snapshots gauge status
snapshotd_store_sagas gauge
snapshotd_store_replays gauge status
snapshotd_store_size_bytes gauge kind
snapshotd_store_uncompressed_size_bytes gauge kind
snapshotd_store_unreadable_files gauge kind
snapshotd_snapshots_expired gauge
snapshotd_filesystem_size_bytes gauge
snapshotd_filesystem_avail_bytes gauge
snapshotd_filesystem_files gauge
snapshotd_filesystem_files_free gauge
snapshotd_store_operations_total counter operation,result
snapshotd_store_operation_duration_seconds histogram operation,result
snapshotd_store_sync_duration_seconds histogram target
snapshotd_store_degraded gauge
snapshotd_snapshots_saved_total counter result
snapshotd_snapshot_size_bytes histogram
snapshotd_snapshots_deleted_total counter reason
snapshotd_replay_transitions_total counter status
snapshotd_cleanup_runs_total counter trigger,result
snapshotd_cleanup_duration_seconds histogram trigger,result
snapshotd_cleanup_deleted_snapshots_total counter
snapshotd_cleanup_reclaimed_bytes_total counter
snapshotd_cleanup_last_success_timestamp_seconds gauge
snapshotd_cleanup_interval_seconds gauge
snapshotd_http_request_duration_seconds histogram method,route,code
snapshotd_http_requests_in_flight gauge
snapshotd_http_requests_rejected_total counter reason
`

func TestTable(t *testing.T) {
	var b strings.Builder
	for _, d := range New(Config{}).Table() {
		b.WriteString(strings.TrimSpace(fmt.Sprint(d.Name, " ", d.Type, " ", strings.Join(d.Labels, ","))) + "\n")
	}
	if got := "\n" + b.String(); got != table {
		t.Errorf("the metrics are\n%s\nand not\n%s", got, table)
	}
}

func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- metrics -->\n", "<!-- /metrics -->"
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("there is no README yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no block %s...%s", path, begin, end)
	}
	var b strings.Builder
	b.WriteString("| Name | Type | Labels | Meaning |\n|---|---|---|---|\n")
	for _, d := range New(Config{}).Table() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, strings.Join(d.Labels, ", "), d.Help)
	}
	want := before + begin + b.String() + end + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the table of metrics in %s is not that of the code; go test ./internal/metrics -update writes it", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGathered holds what a scrape brings against the table.
func TestGathered(t *testing.T) {
	m, a, _ := newArchive(t, Config{RejectReasons: []string{"overloaded"}, SyncTargets: []string{"file"}, WatchedFiles: []string{"tokens"}})
	save(t, a, `,"status":"completed"`)
	m.Observe("GET", "/healthz", 200, time.Millisecond)
	families := gather(t, m)
	for _, d := range m.Table() {
		family := families[d.Name]
		if family == nil {
			t.Errorf("%s is not there", d.Name)
			continue
		}
		delete(families, d.Name)
		if got := strings.ToLower(family.GetType().String()); got != d.Type {
			t.Errorf("%s is a %s, not a %s", d.Name, got, d.Type)
		}
		if family.GetHelp() != d.Help {
			t.Errorf("%s: help is %q, not %q", d.Name, family.GetHelp(), d.Help)
		}
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		if want := slices.Sorted(slices.Values(d.Labels)); !slices.Equal(labels, want) {
			t.Errorf("%s has the labels %q, not %q", d.Name, labels, want)
		}
	}
	for name := range families {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is not in the table", name)
		}
	}
	for _, name := range []string{"go_goroutines", "go_memstats_alloc_bytes"} {
		if families[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
}

func TestLint(t *testing.T) {
	m, a, _ := newArchive(t, Config{RejectReasons: []string{"overloaded"}, SyncTargets: []string{"file"}, WatchedFiles: []string{"tokens"}})
	save(t, a, `,"status":"completed"`)
	m.Observe("GET", "/healthz", 200, time.Millisecond)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
