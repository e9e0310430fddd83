package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	spec "snapshotd/api"
	"snapshotd/internal/api"
	"snapshotd/internal/store/memstore"
)

func TestStats(t *testing.T) {
	overStores(t, func(w *world) {
		empty := w.get("/v1/stats").is(200).holds("null", "oldest_created_at").holds("null", "newest_created_at").holds("0", "total_size_mb")
		var keys []string
		d := json.NewDecoder(strings.NewReader(empty.body))
		for depth := 0; ; {
			tok, err := d.Token()
			if err != nil {
				break
			}
			if delim, ok := tok.(json.Delim); ok {
				if depth += map[json.Delim]int{'{': 1, '}': -1}[delim]; depth == 0 {
					break
				}
			} else if name, ok := tok.(string); ok && depth == 1 && strings.Contains(empty.body, `"`+name+`":`) {
				keys = append(keys, name)
			}
		}
		want := strings.Fields(`storage_type base_path compression_enabled total_sagas total_snapshots total_replays total_size_bytes
			total_size_mb snapshots_by_status replays_by_status oldest_created_at newest_created_at expired_snapshots unreadable_files
			uncompressed_size_bytes index_size_bytes replay_size_bytes disk_size_bytes disk_available_bytes durability`)
		if !slices.Equal(keys, want) {
			t.Errorf("keys %v", keys)
		}

		w.fill(3)
		w.do("POST", "/v1/snapshots", strings.Replace(draft(3, 3, `"retention_until": "2026-01-01T00:00:00Z"`), "executing", "zz_own", 1)).is(201)
		w.do("POST", "/v1/snapshots", strings.Replace(draft(3, 4, ""), "executing", "aa_own", 1)).is(201)
		w.do("POST", "/v1/sagas/"+sagaID(0)+"/replays", `{"checkpoint_step": "step-0"}`).is(201)
		s := w.get("/v1/stats").is(200).
			holds("3", "total_sagas").holds("5", "total_snapshots").holds("1", "total_replays").holds("1", "expired_snapshots").
			holds("0", "unreadable_files").holds(`"2026-11-22T10:00:00+00:00"`, "oldest_created_at").
			holds(`"2026-11-22T22:08:59.119505+00:00"`, "newest_created_at")
		if !strings.Contains(s.body, `"snapshots_by_status":{"pending":0,"executing":2,"completed":0,"compensating":0,"failed":1,`+
			`"rolled_back":0,"partially_committed":0,"forward_recovery":0,"aa_own":1,"zz_own":1},`+
			`"replays_by_status":{"pending":1,"running":0,"success":0,"failed":0,"cancelled":0}`) {
			t.Error(s.body)
		}
		if memory := s.field("storage_type") == `"memory"`; memory != (s.field("base_path") == "null") || memory != (s.field("disk_size_bytes") == "null") {
			t.Error(s.body)
		}
	})
}

func TestSizesInMegabytes(t *testing.T) {
	w := newWorld(t, memstore.New())
	w.do("POST", "/v1/snapshots", whole("context", `{"a": "`+strings.Repeat("x", 3<<19)+`"}`)).is(201)
	w.get("/v1/stats").holds("1.5", "total_size_mb")
}

func TestCleanUp(t *testing.T) {
	overStores(t, func(w *world) {
		w.do("POST", "/v1/cleanup?dry_run=true", "").is(200).
			says(`{"dry_run":true,"deleted":0,"expired":0,"reclaimable_bytes":0,"sample":[]}` + "\n")
		w.do("POST", "/v1/cleanup", "").is(200).says(`{"dry_run":false,"deleted":0,"reclaimed_bytes":0,"remaining":0}` + "\n")
		total := 0
		for i := range 25 {
			receipt := w.do("PUT", "/v1/snapshots/"+snapshotID(i), draft(1, i, fmt.Sprintf(`"retention_until": "2026-11-22T22:%02d:00Z"`, i))).is(201)
			var size int
			fmt.Sscan(receipt.field("size_bytes"), &size)
			total += size
		}
		w.do("PUT", "/v1/snapshots/"+snapshotID(30), draft(1, 30, "")).is(201)
		w.now = time.Date(2026, 11, 22, 22, 24, 0, 0, time.UTC) // exactly when the last one ends, which is not strictly before
		w.do("POST", "/v1/cleanup?dry_run", "").is(200).holds("24", "expired").holds("0", "deleted")
		w.now = w.now.Add(time.Microsecond)
		dry := w.do("POST", "/v1/cleanup?dry_run=true&pretty=false", "").is(200).
			holds("true", "dry_run").holds("0", "deleted").holds("25", "expired").holds(fmt.Sprint(total), "reclaimable_bytes")
		sample := dry.ids("sample", "snapshot_id")
		if len(sample) != 20 || sample[0] != snapshotID(0) {
			t.Error(sample)
		}
		w.do("POST", "/v1/cleanup", `{"dry_run":true}`).problem(400, "invalid_parameter")
		w.do("POST", "/v1/cleanup", "").is(200).
			says(fmt.Sprintf(`{"dry_run":false,"deleted":25,"reclaimed_bytes":%d,"remaining":0}`+"\n", total))
		w.get("/v1/snapshots").snapshots(30)
	})
}

func TestDeleteASaga(t *testing.T) {
	overStores(t, func(w *world) {
		nothing := `{"deleted":0,"reclaimed_bytes":0,"deleted_replays":0}` + "\n"
		path := "/v1/sagas/" + sagaID(0) + "/snapshots"
		w.do("DELETE", path, "").is(200).says(nothing)
		w.do("DELETE", path+"?replays=", "").problem(400, "invalid_parameter")
		w.do("DELETE", path+"?replays=true", "").is(200).says(nothing)
		w.fill(4)
		w.do("POST", "/v1/sagas/"+sagaID(0)+"/replays", `{"checkpoint_step": "step-0"}`).is(201)
		size := w.get("/v1/sagas/" + sagaID(0)).field("size_bytes")
		w.do("DELETE", path+"?replays=false", "ignored").is(200).says(`{"deleted":2,"reclaimed_bytes":` + size + `,"deleted_replays":0}` + "\n")
		w.get("/v1/sagas/"+sagaID(0)).problem(404, "saga_not_found")
		w.get("/v1/snapshots").snapshots(3, 1)
		if n := len(w.get("/v1/sagas/"+sagaID(0)+"/replays").ids("replays", "replay_id")); n != 1 {
			t.Error(n)
		}
		w.do("DELETE", path+"?replays", "").is(200).says(`{"deleted":0,"reclaimed_bytes":0,"deleted_replays":1}` + "\n")
		w.get("/v1/sagas/"+sagaID(0)+"/replays").lists("replays", "replay_id")
	})
}

func TestStartingAndDraining(t *testing.T) {
	w := newWorld(t, memstore.New())
	starting := api.New(w.config)
	w.url = serveOn(t, starting)
	paths := []string{"/v1/stats", "/v1/snapshots?nonsense=1", "/v1/snapshots/" + snapshotID(1)}
	for _, path := range paths {
		w.get(path).problem(503, "starting").has("Retry-After", "1")
	}
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, "")).problem(503, "starting")
	w.get("/v1/nowhere").problem(404, "route_not_found")
	w.get("/healthz").is(200).says("{\"status\":\"ok\"}\n")
	w.get("/version").is(200).says(`{"version":"v0.0.0-test","revision":"abc","go_version":"go1.26"}` + "\n")
	w.get("/readyz").problem(503, "starting").holds(`"loading"`, "reason").holds("null", "checks")
	starting.Loading("7 of 9 sagas read")
	w.get("/readyz?verbose").problem(503, "starting").
		holds(`[{"detail":"7 of 9 sagas read","name":"loaded","ok":false},{"detail":"requests are taken","name":"accepting","ok":true}]`, "checks")

	starting.Serve(w.archive)
	w.get("/readyz").is(200).says("{\"status\":\"ready\"}\n")
	w.get("/readyz?verbose=true").is(200).says(`{"status":"ready","checks":[{"name":"loaded","ok":true,"detail":"the store is open"},` +
		`{"name":"writable","ok":true,"detail":"the store takes changes"},{"name":"space","ok":true,"detail":"the store has space left"},` +
		`{"name":"accepting","ok":true,"detail":"requests are taken"}]}` + "\n")
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, "")).is(201)

	starting.Drain()
	for _, path := range paths {
		w.get(path).problem(503, "draining")
	}
	w.get("/readyz").problem(503, "draining").holds(`"draining"`, "reason")
	w.get("/healthz").is(200)
	w.get("/metrics").is(200)
}

func TestTheContractIsServed(t *testing.T) {
	w := newWorld(t, memstore.New())
	w.get("/openapi.yaml").is(200).has("Content-Type", "application/yaml").says(string(spec.YAML))
	served := w.get("/openapi.json").is(200).has("Content-Type", "application/json")
	var fromYAML, fromJSON map[string]any
	if err := yaml.Unmarshal(spec.YAML, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(served.body), &fromJSON); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(fromYAML)
	b, _ := json.Marshal(fromJSON)
	if string(a) != string(b) {
		t.Error("the JSON says something else than the YAML")
	}
	if !strings.HasPrefix(served.body, `{"openapi":"3.1`) {
		t.Errorf("%.80s", served.body)
	}
}
