// Package store says what a place where records live must do. Stores are
// mechanism: every rule that holds for all of them is in package archive, which
// is the only caller. The conformance suite in storetest checks each clause.
package store

import (
	"context"
	"crypto/sha256"
	"io"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// A Store keeps snapshots and replay records. What is promised, beyond the
// comments of the methods:
//
//   - Every method may be called by many goroutines at once.
//   - A store shares no memory with its caller: bytes given may be reused after
//     the call, bytes answered may be changed, but for Document.Text.
//   - A change that was acknowledged (nil error) is as durable as the store can
//     make it, and every read that starts later sees it. A read sees nothing that
//     may still be lost.
//   - After any other answer the change is absent or complete, never in between.
//     With saga.ErrOutcomeUnknown either may be the case; every other error means absent.
//   - A context that is already cancelled has no effect but its error.
//   - Documents come back byte for byte as they went in. What the store found when
//     it was opened may be answered in our spelling, see saga.Respell.
//   - A document that is there but cannot be read is a *saga.CorruptError naming
//     its id, never "not found".
//   - Writing fails with saga.ErrNoSpace when the store is full, saga.ErrReadOnly
//     when it cannot be written, saga.ErrDegraded when it has given up writing
//     until a restart. Reads and, where possible, deletions go on.
//   - A method a store has no way to serve fails with saga.ErrUnsupported.
type Store interface {
	// Put stores a new snapshot: the fields that find it and its document, which
	// contains them. It answers the size as stored. A known id is saga.ErrExists,
	// whatever the content; of many concurrent puts of one id exactly one succeeds.
	Put(ctx context.Context, s *saga.Summary, doc []byte) (sizeBytes int64, err error)

	// Get finds a snapshot by its id; saga.ErrSnapshotNotFound if there is none.
	Get(ctx context.Context, id uuid.UUID) (*Item, error)

	// List answers a page of snapshots, in the order of saga.Position. A walk along
	// Page.Next sees each snapshot that is there throughout exactly once, whatever is saved
	// and deleted meanwhile.
	List(ctx context.Context, q *saga.Query) (*Page, error)

	// Sagas answers a page of sagas in the order of their latest snapshots, which
	// the filter is applied to.
	Sagas(ctx context.Context, q *saga.Query) (*SagaPage, error)

	// Saga sums up one saga; saga.ErrSagaNotFound if it has no snapshots.
	Saga(ctx context.Context, id uuid.UUID) (*saga.Saga, error)

	// Delete removes a snapshot, unreadable ones too, and answers what is known of
	// it; saga.ErrSnapshotNotFound if there is none. Afterwards the id is free.
	Delete(ctx context.Context, id uuid.UUID) (*saga.Summary, error)

	// DeleteMany removes at most sel.Limit of the snapshots that sel chooses, or with
	// sel.DryRun says what it would remove. On an error, and when the context is
	// cancelled on the way, it answers what it has removed. One that cannot be removed
	// does not keep others from it.
	DeleteMany(ctx context.Context, sel *Selection) (*Deletion, error)

	// PutReplay stores a replay record. With expect == nil it must be new, else
	// saga.ErrExists; otherwise it replaces the stored record if that still is what is
	// expected, see saga.Replay.Equal, else saga.ErrReplayChanged.
	PutReplay(ctx context.Context, r, expect *saga.Replay) error

	// GetReplay finds a replay by its id; saga.ErrReplayNotFound if there is none.
	GetReplay(ctx context.Context, id uuid.UUID) (*saga.Replay, error)

	// ListReplays answers a page of the replays whose original saga is q.SagaID.
	ListReplays(ctx context.Context, q *saga.Query) (*ReplayPage, error)

	// DeleteReplays removes the replays whose original saga is sagaID and answers
	// their number.
	DeleteReplays(ctx context.Context, sagaID uuid.UUID) (int, error)

	// Stats counts what is stored, in constant time. Expired are the snapshots whose
	// retention ended before now.
	Stats(ctx context.Context, now saga.Time) (*Stats, error)

	// Ping reports whether the store can be written: nil, or the error that a Put
	// would fail with.
	Ping(ctx context.Context) error

	// Close finishes what was put off and releases what is held. No other method
	// may be called afterwards.
	Close() error
}

// An Item is a snapshot found.
type Item struct {
	saga.Summary
	RawSize int64 // of the document before compression, in bytes
	// Open opens the document; it may be called once, or never. With gzipped it
	// answers the stored bytes where they are compressed, and says so.
	// saga.ErrSnapshotNotFound means it has been deleted since it was found.
	Open func(ctx context.Context, gzipped bool) (*Document, error)
}

// A Document is an open document. The caller closes it.
type Document struct {
	File    io.ReadCloser // what is read; nil = Text
	Text    []byte        // all of what can be read, where it is in memory already, else nil; it must not be changed
	Size    int64         // of what can be read, in bytes; -1 if it is not known
	Gzipped bool          // the bytes are a gzip stream

	read    int // bytes of Text
	derived *Derived
}

// Read reads the document from its start.
func (d *Document) Read(p []byte) (int, error) {
	if d.File != nil {
		return d.File.Read(p)
	}
	n := copy(p, d.Text[d.read:])
	d.read += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close releases what is read from.
func (d *Document) Close() error {
	if d.File != nil {
		return d.File.Close()
	}
	return nil
}

// InMemory answers a document of bytes that nobody changes any more. A store that keeps
// them keeps what is derived from them, too; others give nil.
func InMemory(text []byte, derived *Derived) *Document {
	return &Document{Text: text, Size: int64(len(text)), derived: derived}
}

// InFile answers a document of this size (see Document.Size) that is read from a file. Of
// what is derived from it only the hash is kept.
func InFile(file io.ReadCloser, size int64, gzipped bool, derived *Derived) *Document {
	return &Document{File: file, Size: size, Gzipped: gzipped, derived: derived}
}

// Derived is what has been made of a document's bytes so far.
type Derived struct {
	compact atomic.Pointer[[]byte]
	sum     atomic.Pointer[[sha256.Size]byte]
}

// AppendCompact appends the Text without white space between its tokens.
func (d *Document) AppendCompact(dst []byte) []byte {
	if d.derived == nil || d.File != nil {
		return document.AppendCompact(dst, d.Text)
	}
	text := d.derived.compact.Load()
	if text == nil {
		made := document.AppendCompact(nil, d.Text)
		text = &made
		d.derived.compact.Store(text)
	}
	return append(dst, *text...)
}

// Sum answers the hash of the Text.
func (d *Document) Sum() [sha256.Size]byte {
	if d.File == nil {
		if sum, ok := d.KnownSum(); ok {
			return sum
		}
	}
	sum := sha256.Sum256(d.Text)
	d.Hashed(sum)
	return sum
}

// KnownSum answers the hash of all that can be read, if it is known without reading it:
// from Sum or Hashed, of whatever was opened before and has not changed since.
func (d *Document) KnownSum() (sum [sha256.Size]byte, ok bool) {
	if d.derived == nil {
		return sum, false
	}
	known := d.derived.sum.Load()
	if known == nil {
		return sum, false
	}
	return *known, true
}

// Hashed is told the hash of all that could be read.
func (d *Document) Hashed(sum [sha256.Size]byte) {
	if d.derived != nil {
		known := sum
		d.derived.sum.Store(&known)
	}
}

// A Page is a part of a list of snapshots.
type Page struct {
	Items      []Item
	Next       *saga.Position // of the last item; nil at the end of the list
	Unreadable []uuid.UUID    // on the first page: what belongs to the list by its name but cannot be read, at most 1,000
}

// A SagaPage is a part of a list of sagas.
type SagaPage struct {
	Sagas []saga.Saga
	Next  *saga.Position
}

// A ReplayPage is a part of a list of replays.
type ReplayPage struct {
	Replays    []*saga.Replay
	Next       *saga.Position
	Unreadable []uuid.UUID // of this part of the list
}

// A Selection chooses snapshots to delete: exactly one of SagaID,
// ExpiredBefore, and SagaID together with KeepNewest > 0.
type Selection struct {
	SagaID        uuid.NullUUID // all of this saga, also those that cannot be read; with KeepNewest its oldest
	KeepNewest    int           // spare this many of the saga's newest
	ExpiredBefore *saga.Time    // those whose retention ended before; never one without retention
	Limit         int           // at most this many, earliest first; 0 = all
	DryRun        bool          // only say
	Sample        int           // how many summaries to answer, at most
}

// A Deletion says what was deleted, or with DryRun what would be.
type Deletion struct {
	Count      int
	Bytes      int64          // as stored
	Unreadable int            // how many of Count could not be read
	Sample     []saga.Summary // the first ones
	Kept       int            // how many it has tried to remove in vain
	Remaining  int            // how many the selection still chooses
}

// Stats counts what is stored.
type Stats struct {
	Type     string // filesystem, memory
	BasePath string // absolute; "" for a store without a directory
	Gzip     bool   // new snapshots are compressed

	// Durability is full when what is acknowledged is on stable storage, relaxed when
	// it is handed to the operating system, none when it is only in memory.
	Durability string

	Sagas, Snapshots, Replays int
	SnapshotsByStatus         map[string]int
	ReplaysByStatus           map[saga.ReplayStatus]int
	Oldest, Newest            saga.Time // Never when there are no snapshots
	Expired                   int

	SnapshotBytes     int64 // as stored
	UncompressedBytes int64
	IndexBytes        int64
	LogBytes          int64 // of the files of the log, whatever is in them
	ReplayBytes       int64

	UnreadableSnapshots, UnreadableReplays int

	Disk Disk
}

// Disk is the filesystem below a store; all zero where there is none.
type Disk struct {
	SizeBytes, AvailableBytes int64
	Files, FreeFiles          int64 // inodes; 0 where the filesystem does not count them
}
