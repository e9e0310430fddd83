package metrics

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// statsTimeout bounds how long a scrape waits for the store.
const statsTimeout = 5 * time.Second

// content answers what is stored, of one call of Stats per scrape. Before a
// store is there, and after it was closed, it answers nothing rather than zeros.
type content struct {
	metrics *Metrics

	snapshots, sagas, replays          *prometheus.Desc
	size, uncompressed                 *prometheus.Desc
	unreadable, expired                *prometheus.Desc
	diskSize, diskAvail, files, filesF *prometheus.Desc
}

func (m *Metrics) addContent() {
	m.registry.MustRegister(&content{
		metrics:      m,
		snapshots:    m.constGauge("snapshotd_store_snapshots", "Snapshots stored; statuses that are not among the known ones are other.", "status"),
		sagas:        m.constGauge("snapshotd_store_sagas", "Sagas with snapshots."),
		replays:      m.constGauge("snapshotd_store_replays", "Replay records stored.", "status"),
		size:         m.constGauge("snapshotd_store_size_bytes", "Bytes of the files of snapshots, indexes, replays and the log, as stored.", "kind"),
		uncompressed: m.constGauge("snapshotd_store_uncompressed_size_bytes", "Bytes of the documents in the files of snapshots, before compression.", "kind"),
		unreadable:   m.constGauge("snapshotd_store_unreadable_files", "Files that are named like a record but cannot be read as one.", "kind"),
		expired:      m.constGauge("snapshotd_snapshots_expired", "Snapshots whose retention has ended, waiting for a clean-up."),
		diskSize:     m.constGauge("snapshotd_filesystem_size_bytes", "Size of the filesystem below the store."),
		diskAvail:    m.constGauge("snapshotd_filesystem_avail_bytes", "Bytes that the daemon may still take of the filesystem below the store."),
		files:        m.constGauge("snapshotd_filesystem_files", "Inodes of the filesystem below the store, where it counts them."),
		filesF:       m.constGauge("snapshotd_filesystem_files_free", "Inodes still free in the filesystem below the store, where it counts them."),
	})
}

func (c *content) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.snapshots, c.sagas, c.replays, c.size, c.uncompressed, c.unreadable, c.expired,
		c.diskSize, c.diskAvail, c.files, c.filesF,
	} {
		ch <- d
	}
}

func (c *content) Collect(ch chan<- prometheus.Metric) {
	s := c.metrics.store.Load()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	stats, err := (*s).Stats(ctx, saga.At(c.metrics.now()))
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.sagas, err)
		return
	}
	c.send(ch, stats)
}

func (c *content) send(ch chan<- prometheus.Metric, stats *store.Stats) {
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	unknown := 0
	for status, n := range stats.SnapshotsByStatus {
		if !slices.Contains(saga.Statuses, status) {
			unknown += n
		}
	}
	for _, status := range saga.Statuses {
		gauge(c.snapshots, int64(stats.SnapshotsByStatus[status]), status)
	}
	gauge(c.snapshots, int64(unknown), other)
	gauge(c.sagas, int64(stats.Sagas))
	for _, status := range saga.ReplayStatuses {
		gauge(c.replays, int64(stats.ReplaysByStatus[status]), string(status))
	}
	gauge(c.size, stats.SnapshotBytes, "snapshot")
	gauge(c.size, stats.IndexBytes, "index")
	gauge(c.size, stats.ReplayBytes, "replay")
	gauge(c.size, stats.LogBytes, "log")
	gauge(c.uncompressed, stats.UncompressedBytes, "snapshot")
	gauge(c.unreadable, int64(stats.UnreadableSnapshots), "snapshot")
	gauge(c.unreadable, int64(stats.UnreadableReplays), "replay")
	gauge(c.expired, int64(stats.Expired))
	if disk := stats.Disk; disk.SizeBytes > 0 {
		gauge(c.diskSize, disk.SizeBytes)
		gauge(c.diskAvail, disk.AvailableBytes)
		if disk.Files > 0 {
			gauge(c.files, disk.Files)
			gauge(c.filesF, disk.FreeFiles)
		}
	}
}
