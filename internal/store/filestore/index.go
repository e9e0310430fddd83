package filestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
	"snapshotd/internal/store/filestore/failpoint"
)

// How long index files may be behind.
const (
	indexQuiet     = time.Second      // after the last change of a saga
	indexBusy      = 10 * time.Second // after the first one, of a saga that is not quiet
	indexLarge     = time.Minute      // between two versions of a large file, for each indexLargeSize of it
	indexLargest   = time.Hour        // however large it is
	indexLargeSize = 1 << 20
	indexTick      = 250 * time.Millisecond
)

// An indexer writes index files behind the changes they follow.
type indexer struct {
	disk    *disk
	catalog *catalog.Catalog
	sagas   *sagaLocks
	log     *slog.Logger
	size    atomic.Int64 // of all index files, in bytes

	mu     sync.Mutex
	behind map[uuid.UUID]*lag
	large  map[uuid.UUID]time.Time // until when a large file is left as it is
	wake   chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup
}

// A lag says since when an index file is behind.
type lag struct{ first, last time.Time }

func newIndexer(d *disk, c *catalog.Catalog, sagas *sagaLocks, log *slog.Logger) *indexer {
	return &indexer{
		disk: d, catalog: c, sagas: sagas, log: log,
		behind: map[uuid.UUID]*lag{}, large: map[uuid.UUID]time.Time{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
}

// changed notes that a saga's index file is behind.
func (x *indexer) changed(sagaID uuid.UUID) {
	now := time.Now()
	x.mu.Lock()
	if l := x.behind[sagaID]; l != nil {
		l.last = now
	} else {
		x.behind[sagaID] = &lag{first: now, last: now}
	}
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *indexer) start() { x.done.Go(x.run) }

// close writes what is behind and stops.
func (x *indexer) close() {
	close(x.stop)
	x.done.Wait()
	x.flush(func(uuid.UUID, *lag) bool { return true })
}

func (x *indexer) run() {
	for {
		select {
		case <-x.wake:
		case <-x.stop:
			return
		}
		for x.pending() {
			select {
			case <-time.After(indexTick):
			case <-x.stop:
				return
			}
			now := time.Now()
			x.flush(func(id uuid.UUID, l *lag) bool { return x.due(now, id, l) })
		}
	}
}

func (x *indexer) pending() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.behind) > 0
}

func (x *indexer) due(now time.Time, id uuid.UUID, l *lag) bool {
	if until, ok := x.large[id]; ok && now.Before(until) {
		return false
	}
	return now.Sub(l.last) >= indexQuiet || now.Sub(l.first) >= indexBusy
}

// flush writes the index files that due chooses.
func (x *indexer) flush(due func(uuid.UUID, *lag) bool) {
	x.mu.Lock()
	var ids []uuid.UUID
	for id, l := range x.behind {
		if due(id, l) {
			ids = append(ids, id)
			delete(x.behind, id)
		}
	}
	x.mu.Unlock()
	for _, id := range ids {
		if err := x.write(id); err != nil {
			x.log.Warn("an index file could not be written; it is tried again", "path", x.disk.index(id), "err", err)
			if !x.stopping() {
				x.changed(id)
			}
		}
	}
}

func (x *indexer) stopping() bool {
	select {
	case <-x.stop:
		return true
	default:
		return false
	}
}

// write brings one index file up to date. It is derived, so nothing is synced:
// the next start would find it torn or missing and write it again.
func (x *indexer) write(id uuid.UUID) error {
	lock := x.sagas.of(id) // lest the saga goes, and its index with it, before ours is written
	lock.RLock()
	defer lock.RUnlock()
	path := x.disk.index(id)
	records, changed := x.disk.directoryTime(id, func() []catalog.Record { return x.catalog.Snapshots(id) })
	if len(records) == 0 && !exists(x.disk.saga(id)) {
		return x.remove(id)
	}
	text := appendIndex(nil, id, changed, records)
	var before int64
	if info, err := os.Lstat(path); err == nil {
		before = info.Size()
	}
	if err := x.replace(id, text); err != nil {
		return err
	}
	x.size.Add(int64(len(text)) - before)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(text) >= indexLargeSize {
		// So that a saga's index costs no more than so much of the disk, whatever its size.
		x.large[id] = time.Now().Add(min(indexLarge*time.Duration(len(text)/indexLargeSize), indexLargest))
	} else {
		delete(x.large, id)
	}
	return nil
}

func (x *indexer) replace(id uuid.UUID, text []byte) error {
	tmp, _, err := x.disk.temporary(text, false)
	if err != nil {
		return err
	}
	if err := x.disk.fs.Rename(tmp, x.disk.index(id)); err != nil {
		return errors.Join(err, x.disk.remove(tmp))
	}
	failpoint.Here(failpoint.IndexWritten)
	return nil
}

// remove takes away the index file of a saga that has nothing left. The caller
// holds the saga's lock.
func (x *indexer) remove(id uuid.UUID) error {
	path := x.disk.index(id)
	info, err := os.Lstat(path)
	if err == nil {
		err = x.disk.remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		x.size.Add(-info.Size())
		x.mu.Lock()
		delete(x.large, id)
		x.mu.Unlock()
	}
	return err
}

// An index is an index file. Entries hold what the library we come from expects
// in them, and what spares us reading the snapshot at the next start.
type index struct {
	SagaID             uuid.NullUUID `json:"saga_id"`
	DirectoryChangedNS int64         `json:"directory_changed_ns"` // since the Unix epoch; 0 = it must be read
	Snapshots          []indexEntry  `json:"snapshots"`
	Checksum           string        `json:"crc32c"` // of all before it; "" = none, of another writer's
}

type indexEntry struct {
	ID        uuid.NullUUID `json:"snapshot_id"`
	CreatedAt string        `json:"created_at"`

	SagaName          string  `json:"saga_name"`
	StepName          string  `json:"step_name"`
	StepIndex         int32   `json:"step_index"`
	Status            string  `json:"status"`
	RetentionUntil    *string `json:"retention_until"`
	SizeBytes         int64   `json:"size_bytes"`
	UncompressedBytes int64   `json:"uncompressed_size_bytes"`
	ModifiedNS        int64   `json:"modified_ns"` // of the file, since the Unix epoch; 0 = the file must be read
}

// describes reports whether the entry was made of the file as it is now.
func (e *indexEntry) describes(info fs.FileInfo) bool {
	return e != nil && e.ModifiedNS != 0 && e.ModifiedNS == info.ModTime().UnixNano() && e.SizeBytes == info.Size()
}

// record answers what the entry says of the snapshot, nil if it says nothing
// sensible.
func (e *indexEntry) record(sagaID uuid.UUID, gzip bool) *catalog.Record {
	created, err := saga.ParseTime(e.CreatedAt)
	if err != nil {
		return nil
	}
	retention := saga.Never
	if e.RetentionUntil != nil {
		if retention, err = saga.ParseTime(*e.RetentionUntil); err != nil {
			return nil
		}
	}
	return &catalog.Record{
		Summary: saga.Summary{
			ID: e.ID.UUID, SagaID: sagaID, SagaName: e.SagaName, StepName: e.StepName, StepIndex: e.StepIndex,
			Status: e.Status, CreatedAt: created, RetentionUntil: retention, SizeBytes: e.SizeBytes,
		},
		Location: catalog.Location{RawSize: e.UncompressedBytes, Modified: e.ModifiedNS, Gzip: gzip, GzipName: gzip},
	}
}

func readIndex(path string) (*index, error) {
	x := &index{}
	text, _, _, err := read(path)
	if err != nil {
		return x, err
	}
	if err := json.Unmarshal(text, x); err != nil {
		return &index{}, err
	}
	if at := bytes.LastIndex(text, []byte(indexTail)); x.Checksum != "" && (at < 0 || x.Checksum != indexChecksum(text[:at])) {
		return &index{}, errIndexChanged
	}
	return x, nil
}

var errIndexChanged = errors.New("it is not as we wrote it: its checksum is wrong")

// indexChecksum answers the CRC-32C, in hexadecimal, of an index up to its tail.
func indexChecksum(text []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// wrongFor says what is wrong with an index of these records, which are in list
// order: nothing (""), if it lists each once, newest first.
func (x *index) wrongFor(sagaID uuid.UUID, records []catalog.Record) string {
	if x.SagaID.Valid && x.SagaID.UUID != sagaID {
		return "it is the index of saga " + x.SagaID.UUID.String()
	}
	created := make(map[uuid.UUID]saga.Time, len(records))
	for _, r := range records {
		created[r.ID] = r.CreatedAt
	}
	last := saga.Never
	for _, e := range x.Snapshots {
		want, ok := created[e.ID.UUID]
		at, err := saga.ParseStoredTime(e.CreatedAt)
		switch {
		case !ok && slices.ContainsFunc(records, func(r catalog.Record) bool { return r.ID == e.ID.UUID }):
			return fmt.Sprintf("it lists %s twice", e.ID.UUID)
		case !ok:
			return fmt.Sprintf("it lists %s, which is not among the snapshots that can be read", e.ID.UUID)
		case err != nil || at != want:
			return fmt.Sprintf("it says that %s was created at %q, and the file says %s", e.ID.UUID, e.CreatedAt, want)
		case want > last:
			return fmt.Sprintf("%s does not stand in its place in the order", e.ID.UUID)
		}
		delete(created, e.ID.UUID)
		last = want
	}
	for _, r := range records {
		if _, missing := created[r.ID]; missing {
			return fmt.Sprintf("%s is missing in it, one of %d", r.ID, len(created))
		}
	}
	return ""
}

// The parts of an index file. What recall reads must be spelled just so.
const (
	indexHead      = "{\n  \"saga_id\": \""
	indexChanged   = "\",\n  \"directory_changed_ns\": "
	indexSnapshots = ",\n  \"snapshots\": ["
	indexEntryHead = "\n    {\"snapshot_id\": \""
	indexCreatedAt = "\", \"created_at\": "
	indexSagaName  = ", \"saga_name\": "
	indexStepName  = ", \"step_name\": "
	indexStepIndex = ", \"step_index\": "
	indexStatus    = ", \"status\": "
	indexRetention = ", \"retention_until\": "
	indexSize      = ", \"size_bytes\": "
	indexRawSize   = ", \"uncompressed_size_bytes\": "
	indexModified  = ", \"modified_ns\": "
	indexGzip      = ", \"gzip\": true"
	indexTail      = "\n  ],\n  \"crc32c\": \""
	indexEnd       = "\"\n}\n"
)

// appendIndex lays an index file out, a line for each snapshot. The directory holds
// just these if it was last changed then; 0 = that is not known.
func appendIndex(dst []byte, sagaID uuid.UUID, changed int64, records []catalog.Record) []byte {
	start := len(dst)
	dst = appendID(append(dst, indexHead...), sagaID)
	dst = strconv.AppendInt(append(dst, indexChanged...), changed, 10)
	dst = append(dst, indexSnapshots...)
	for i := range records {
		r := &records[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendID(append(dst, indexEntryHead...), r.ID)
		dst = r.CreatedAt.AppendJSON(append(dst, indexCreatedAt...))
		dst = document.AppendString(append(dst, indexSagaName...), r.SagaName)
		dst = document.AppendString(append(dst, indexStepName...), r.StepName)
		dst = strconv.AppendInt(append(dst, indexStepIndex...), int64(r.StepIndex), 10)
		dst = document.AppendString(append(dst, indexStatus...), r.Status)
		dst = r.RetentionUntil.AppendJSON(append(dst, indexRetention...))
		dst = strconv.AppendInt(append(dst, indexSize...), r.SizeBytes, 10)
		dst = strconv.AppendInt(append(dst, indexRawSize...), r.RawSize, 10)
		modified := r.Modified
		if r.Foreign || r.Gzip != r.GzipName {
			modified = 0
		}
		dst = strconv.AppendInt(append(dst, indexModified...), modified, 10)
		if r.GzipName {
			dst = append(dst, indexGzip...)
		}
		dst = append(dst, '}')
	}
	sum := indexChecksum(dst[start:])
	return append(append(append(dst, indexTail...), sum...), indexEnd...)
}
