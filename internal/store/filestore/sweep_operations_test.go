package filestore_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
)

var sweepEpoch = saga.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

func nthID(kind byte, n int) (id uuid.UUID) {
	id[0], id[6], id[8] = kind, 0x40, 0x80
	binary.BigEndian.PutUint32(id[12:], uint32(n))
	return id
}

func sagaOf(n int) uuid.UUID     { return nthID(0x5a, n) }
func snapshotID(n int) uuid.UUID { return nthID(0xd0, n) }
func replayID(n int) uuid.UUID   { return nthID(0x4e, n) }

// aSnapshot is the n-th snapshot, of about 500 bytes. Texts make it another one, or larger.
func aSnapshot(sagaID uuid.UUID, n int, texts ...string) *saga.Snapshot {
	return &saga.Snapshot{
		Summary: saga.Summary{
			ID: snapshotID(n), SagaID: sagaID, SagaName: "order", StepName: "charge", StepIndex: int32(n), Status: "executing",
			CreatedAt: sweepEpoch.Add(time.Duration(n) * time.Second), RetentionUntil: saga.Never,
		},
		Context:        []byte(`{"text":"` + strings.Repeat("a", 100) + strings.Join(texts, "") + `"}`),
		CompletedSteps: []byte(`[]`), ExternalRefs: []byte(`{}`),
	}
}

func expiring(s *saga.Snapshot) *saga.Snapshot {
	s.RetentionUntil = s.CreatedAt
	return s
}

func aReplay(n int, status saga.ReplayStatus, texts ...string) *saga.Replay {
	r := &saga.Replay{
		ID: replayID(n), OriginalSagaID: sagaOf(1), NewSagaID: sagaOf(2), CheckpointStep: "charge", Status: status,
		InitiatedBy: "ops", CreatedAt: sweepEpoch.Add(time.Duration(n) * time.Second), CompletedAt: saga.Never,
	}
	if texts != nil {
		r.ContextOverride = []byte(`{"text":"` + strings.Join(texts, "") + `"}`)
	}
	return r
}

var large = strings.Repeat("large ", 500) // larger than a record of the log may be

// An operation is what the sweep does under faults and crashes, after what is
// done in peace before.
type operation struct {
	name   string
	config func(*filestore.Config)
	before func(*world)
	under  func(*world) // on a store that is open, unless start
	start  bool         // the store is closed before, or killed if it is not
	killed bool
	last   func(*world) // on the directory, when the store is closed or killed
	noisy  bool         // the log may tell of errors
}

func some(n ...int) func(*world) {
	return func(w *world) {
		for _, n := range n {
			w.put(aSnapshot(sagaOf(1), n))
		}
	}
}

func compressed(c *filestore.Config)  { c.Compress = true }
func syncingEach(c *filestore.Config) { *c = c.SyncingEach() }
func relaxed(c *filestore.Config)     { c.Relaxed = true }

// everything makes the log hold records of every kind.
func everything(w *world) {
	some(1, 2, 3)(w)
	w.put(aSnapshot(sagaOf(2), 4))
	w.put(aSnapshot(sagaOf(2), 5, large))
	w.delete(snapshotID(1))
	w.delete(snapshotID(5))
	w.put(aSnapshot(sagaOf(3), 5))
	w.delete(snapshotID(4))
	w.putReplay(aReplay(1, saga.ReplayPending), nil)
	w.putReplay(aReplay(1, saga.ReplayRunning), aReplay(1, saga.ReplayPending))
	w.putReplay(aReplay(2, saga.ReplayPending), nil)
	w.put(aSnapshot(sagaOf(2), 6, large))
}

var operations = []operation{
	{name: "put in a new saga", before: some(1), under: func(w *world) { w.put(aSnapshot(sagaOf(2), 2)) }},
	{name: "put in an existing saga", before: some(1), under: some(2)},
	{name: "put again what was deleted", before: func(w *world) { some(1, 2)(w); w.delete(snapshotID(1)) },
		under: func(w *world) { w.put(aSnapshot(sagaOf(1), 1, "other")) }},
	{name: "put into the next segments", before: some(1, 2, 3, 4), under: some(5, 6, 7, 8, 9, 10, 11, 12)},
	{name: "put large in a new saga", before: some(1), under: func(w *world) { w.put(aSnapshot(sagaOf(2), 2, large)) }},
	{name: "put large in an existing saga", before: some(1), under: func(w *world) { w.put(aSnapshot(sagaOf(1), 2, large)) }},
	{name: "put large what was deleted", before: func(w *world) { some(1, 2)(w); w.delete(snapshotID(1)) },
		under: func(w *world) { w.put(aSnapshot(sagaOf(1), 1, large)) }},
	{name: "put large when a segment is full", before: some(1, 2, 3, 4, 5), under: func(w *world) {
		for n := 6; n < 16; n++ {
			w.put(aSnapshot(sagaOf(1), n, large))
		}
	}},
	{name: "put compressed", config: compressed, before: some(1), under: some(2, 3)},
	{name: "put by four at once", before: some(1), under: func(w *world) {
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() { some(10+n, 20+n)(w) })
		}
		wg.Wait()
	}},
	{name: "delete one of two", before: some(1, 2), under: func(w *world) { w.delete(snapshotID(1)) }},
	{name: "delete the last", before: some(1), under: func(w *world) { w.delete(snapshotID(1)) }},
	{name: "delete what is settled", before: func(w *world) { some(1, 2)(w); w.checkpoint() }, under: func(w *world) { w.delete(snapshotID(1)) }},
	{name: "delete a large one", before: func(w *world) { w.put(aSnapshot(sagaOf(1), 1, large)) }, under: func(w *world) { w.delete(snapshotID(1)) }},
	{name: "delete the expired", before: func(w *world) {
		some(1)(w)
		w.put(expiring(aSnapshot(sagaOf(1), 2)))
		w.put(expiring(aSnapshot(sagaOf(2), 3)))
		w.put(expiring(aSnapshot(sagaOf(2), 4)))
	}, under: func(w *world) {
		later := sweepEpoch.Add(time.Hour)
		w.deleteMany(&store.Selection{ExpiredBefore: &later}, snapshotID(2), snapshotID(3), snapshotID(4))
	}},
	{name: "delete a saga of many", before: func(w *world) {
		for n := range 40 {
			w.put(aSnapshot(sagaOf(1), n))
		}
	}, under: func(w *world) {
		var ids []uuid.UUID
		for n := range 40 {
			ids = append(ids, snapshotID(n))
		}
		w.deleteMany(&store.Selection{SagaID: uuid.NullUUID{UUID: sagaOf(1), Valid: true}}, ids...)
	}},
	{name: "put a replay", before: some(1), under: func(w *world) { w.putReplay(aReplay(1, saga.ReplayPending), nil) }},
	{name: "put a large replay", under: func(w *world) { w.putReplay(aReplay(1, saga.ReplayPending, large), nil) }},
	{name: "replace a replay", before: func(w *world) { w.putReplay(aReplay(1, saga.ReplayPending), nil) },
		under: func(w *world) { w.putReplay(aReplay(1, saga.ReplayRunning), aReplay(1, saga.ReplayPending)) }},
	{name: "replace a replay by a large one", before: func(w *world) { w.putReplay(aReplay(1, saga.ReplayPending), nil) },
		under: func(w *world) { w.putReplay(aReplay(1, saga.ReplayRunning, large), aReplay(1, saga.ReplayPending)) }},
	{name: "delete replays", before: func(w *world) {
		w.putReplay(aReplay(1, saga.ReplayPending), nil)
		w.putReplay(aReplay(2, saga.ReplayPending), nil)
	}, under: func(w *world) { w.deleteReplays(sagaOf(1), replayID(1), replayID(2)) }},
	{name: "one after the other", under: everything},
	{name: "one after the other, synced each", config: syncingEach, before: everything, under: func(w *world) { everythingGone(w); w.checkpoint() }},
	{name: "one after the other, relaxed", config: relaxed, under: everything},
	{name: "checkpoint", before: everything, under: (*world).checkpoint},
	{name: "checkpoint, synced each", config: syncingEach, before: everything, under: (*world).checkpoint},
	{name: "close", before: everything, under: func(w *world) { w.close() }},
	{name: "open a new directory", start: true},
	{name: "open what was closed", start: true, before: everything, under: func(w *world) { w.put(aSnapshot(sagaOf(1), 7)) }},
	{name: "open what was killed", start: true, killed: true, before: everything, under: func(w *world) { w.delete(snapshotID(3)) }},
	{name: "open what was killed, synced each", start: true, killed: true, config: syncingEach, before: everything,
		under: func(w *world) { w.delete(snapshotID(3)) }},
	{name: "open beside a file in the log that is not ours", start: true, killed: true, noisy: true, before: func(w *world) {
		everything(w)
		os.WriteFile(filepath.Join(w.cfg.BasePath, ".snapshotd", "log", "foreign"), []byte("foreign"), 0o600)
	}},
	{name: "open what was closed without an identity", start: true, before: everything, last: (*world).forgetLog},
	{name: "open what was killed without an identity", start: true, killed: true, before: everything, last: (*world).forgetLog},
	{name: "open relaxed what was full", start: true, killed: true, before: func(w *world) { everything(w); w.checkpoint(); everythingGone(w); w.cfg.Relaxed = true }},
}

// everythingGone deletes some of everything.
func everythingGone(w *world) {
	w.delete(snapshotID(2))
	w.delete(snapshotID(6))
	w.deleteReplays(sagaOf(1), replayID(1), replayID(2))
}

// checkpoint asks for one in the middle of everything; it answers nobody.
func (w *world) checkpoint() {
	if w.store != nil {
		w.store.Checkpoint()
	}
}

// prepare brings a world to where the operation starts.
func (o *operation) prepare(w *world) {
	w.noisy = o.noisy
	if err := w.open(); err != nil {
		w.t.Fatalf("%s: %v", w.title, err)
	}
	if o.before != nil {
		o.before(w)
	}
	switch {
	case o.killed:
		w.kill()
	case o.start:
		if err := w.close(); err != nil {
			w.errorf("close: %v", err)
		}
	}
	if o.last != nil {
		o.last(w)
	}
}

// kill ends the store as SIGKILL would: what was not synced stays in memory.
func (w *world) kill() {
	w.disk.CutAfter(0)
	w.close()
	w.disk.Revive()
}

// do does the operation. A start that fails is an answer, too.
func (o *operation) do(w *world) (started error) {
	if o.start {
		if started = w.open(); started != nil {
			return started
		}
	}
	if o.under != nil {
		o.under(w)
	}
	return nil
}
