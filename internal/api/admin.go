package api

import (
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	spec "snapshotd/api"
	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// stats are the keys and their order.
type stats struct {
	StorageType        string      `json:"storage_type"`
	BasePath           *string     `json:"base_path"`
	CompressionEnabled bool        `json:"compression_enabled"`
	TotalSagas         int         `json:"total_sagas"`
	TotalSnapshots     int         `json:"total_snapshots"`
	TotalReplays       int         `json:"total_replays"`
	TotalSizeBytes     int64       `json:"total_size_bytes"`
	TotalSizeMB        float64     `json:"total_size_mb"`
	SnapshotsByStatus  statusCount `json:"snapshots_by_status"`
	ReplaysByStatus    statusCount `json:"replays_by_status"`
	OldestCreatedAt    saga.Time   `json:"oldest_created_at"`
	NewestCreatedAt    saga.Time   `json:"newest_created_at"`
	ExpiredSnapshots   int         `json:"expired_snapshots"`
	UnreadableFiles    int         `json:"unreadable_files"`
	UncompressedBytes  int64       `json:"uncompressed_size_bytes"`
	IndexBytes         int64       `json:"index_size_bytes"`
	ReplayBytes        int64       `json:"replay_size_bytes"`
	DiskBytes          *int64      `json:"disk_size_bytes"` // null where there is no filesystem below
	DiskAvailableBytes *int64      `json:"disk_available_bytes"`
	Durability         string      `json:"durability"`
}

func getStats(c *call) error {
	s, err := c.archive.Stats(c.ctx())
	if err != nil {
		return err
	}
	answer := stats{
		StorageType: s.Type, CompressionEnabled: s.Gzip,
		TotalSagas: s.Sagas, TotalSnapshots: s.Snapshots, TotalReplays: s.Replays,
		TotalSizeBytes:    s.SnapshotBytes,
		TotalSizeMB:       math.Round(float64(s.SnapshotBytes)/(1<<20)*100) / 100,
		SnapshotsByStatus: countStatuses(saga.Statuses, s.SnapshotsByStatus),
		ReplaysByStatus:   countStatuses(saga.ReplayStatuses, s.ReplaysByStatus),
		OldestCreatedAt:   s.Oldest, NewestCreatedAt: s.Newest,
		ExpiredSnapshots: s.Expired, UnreadableFiles: s.UnreadableSnapshots + s.UnreadableReplays,
		UncompressedBytes: s.UncompressedBytes, IndexBytes: s.IndexBytes, ReplayBytes: s.ReplayBytes,
		Durability: s.Durability,
	}
	if s.BasePath != "" {
		answer.BasePath = &s.BasePath
	}
	if s.Disk.SizeBytes > 0 {
		answer.DiskBytes, answer.DiskAvailableBytes = &s.Disk.SizeBytes, &s.Disk.AvailableBytes
	}
	return c.json(http.StatusOK, &answer)
}

// A statusCount is an object of numbers in a fixed order.
type statusCount []struct {
	status string
	n      int
}

func (s statusCount) MarshalJSON() ([]byte, error) {
	o := document.NewObject(nil, false)
	for _, c := range s {
		o.Raw(c.status, strconv.AppendInt(nil, int64(c.n), 10))
	}
	return o.End(), nil
}

// countStatuses puts the known ones first, also those that nothing has.
func countStatuses[S ~string](known []S, counts map[S]int) statusCount {
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(s S) bool { return slices.Contains(known, s) })
	var list statusCount
	for _, s := range slices.Concat(known, others) {
		list = append(list, struct {
			status string
			n      int
		}{string(s), counts[s]})
	}
	return list
}

type cleanUpAnswer struct {
	DryRun         bool  `json:"dry_run"`
	Deleted        int   `json:"deleted"`
	ReclaimedBytes int64 `json:"reclaimed_bytes"`
	Remaining      int   `json:"remaining"`
}

type dryCleanUpAnswer struct {
	DryRun           bool           `json:"dry_run"`
	Deleted          int            `json:"deleted"`
	Expired          int            `json:"expired"`
	ReclaimableBytes int64          `json:"reclaimable_bytes"`
	Sample           []saga.Summary `json:"sample"`
}

func cleanUp(c *call) error {
	dryRun, err := c.flag("dry_run")
	if err != nil {
		return err
	}
	// Who puts dry_run into a body must not be taken for one who left it out.
	if n, _ := c.r.Body.Read(make([]byte, 1)); n > 0 {
		return problemf(http.StatusBadRequest, "invalid_parameter", "A clean-up takes no body; dry_run is a query parameter.")
	}
	done, err := c.archive.CleanUp(c.ctx(), dryRun)
	if err != nil {
		return err
	}
	if dryRun {
		return c.json(http.StatusOK, &dryCleanUpAnswer{
			DryRun: true, Expired: done.Deleted, ReclaimableBytes: done.Bytes, Sample: done.Sample,
		})
	}
	return c.json(http.StatusOK, &cleanUpAnswer{Deleted: done.Deleted, ReclaimedBytes: done.Bytes, Remaining: done.Remaining})
}

type health struct {
	Status string  `json:"status"`
	Checks []check `json:"checks,omitempty"`
}

// A check is one thing that a ready server needs.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`

	reason string
}

func healthz(c *call) error { return c.json(http.StatusOK, &health{Status: "ok"}) }

func readyz(c *call) error {
	verbose, err := c.flag("verbose")
	if err != nil {
		return err
	}
	checks := c.server.checks(c)
	shown := checks
	if !verbose {
		shown = nil
	}
	for _, check := range slices.Backward(checks) {
		if check.OK {
			continue
		}
		p := problemf(http.StatusServiceUnavailable, readyCodes[check.reason], "The server is not ready: %s.", check.Detail)
		p.Reason, p.Checks = check.reason, shown
		return p
	}
	return c.json(http.StatusOK, &health{Status: "ready", Checks: shown})
}

// readyCodes are the codes that go with the reasons of a server not ready.
var readyCodes = map[string]string{
	"draining": codeDraining, "loading": codeStarting, "degraded": codeDegraded, "no_space": codeDegraded,
}

// checks are those that can be made at the moment; of several that fail the last
// one gives the reason.
func (s *Server) checks(c *call) []check {
	loaded := check{"loaded", true, "the store is open", "loading"}
	writable := check{"writable", true, "the store takes changes", "degraded"}
	space := check{"space", true, "the store has space left", "no_space"}
	accepting := check{"accepting", true, "requests are taken", "draining"}
	if s.draining.Load() {
		accepting.OK, accepting.Detail = false, "it is shutting down"
	}
	a := s.archive.Load()
	if a == nil {
		loaded.OK, loaded.Detail = false, *s.loading.Load()
		return []check{loaded, accepting}
	}
	err := a.Ping(c.ctx())
	switch {
	case err == nil:
	case errors.Is(err, saga.ErrNoSpace):
		space.OK, space.Detail = false, "the store has no space left"
	case errors.Is(err, saga.ErrDegraded):
		writable.OK, writable.Detail = false, "the store takes no changes until it is restarted"
	default:
		exchangeOf(c.r).err = err
		writable.OK, writable.Detail = false, "the store cannot be written at the moment"
	}
	return []check{loaded, writable, space, accepting}
}

func version(c *call) error { return c.json(http.StatusOK, &c.server.cfg.Version) }

func openapiYAML(c *call) error {
	c.write(http.StatusOK, "application/yaml", spec.YAML)
	return nil
}

func openapiJSON(c *call) error {
	text, err := spec.JSON()
	if err != nil {
		return err
	}
	if c.pretty {
		text = append(document.AppendIndent(nil, text, 0), '\n')
	}
	c.write(http.StatusOK, jsonType, text)
	return nil
}

// metrics leaves the answer to the handler that was given, which compresses by
// itself.
func metrics(c *call) error {
	c.started = true
	c.server.cfg.Metrics.ServeHTTP(c.w, c.r)
	return nil
}
