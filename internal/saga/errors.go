package saga

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// What can go wrong, whatever the store. Match with errors.Is; the text is for
// people.
var (
	ErrSnapshotNotFound = errors.New("no snapshot has this id")
	ErrSagaNotFound     = errors.New("the saga has no snapshots")
	ErrReplayNotFound   = errors.New("no replay has this id")

	ErrExists         = errors.New("the id is taken")                        // by a store, of a create-only put
	ErrReplayChanged  = errors.New("the replay has changed in the meantime") // by a store, of a compare-and-set
	ErrConflict       = errors.New("the id is taken by other content")       // a snapshot never changes
	ErrReplayConflict = errors.New("the replay cannot change in this way")   // a step back, out of a final state, other ids
	ErrPrecondition   = errors.New("the snapshot exists, and If-None-Match forbids that")
	ErrCorrupt        = errors.New("the stored document cannot be read") // see CorruptError
	ErrUnsupported    = errors.New("this store cannot do that")
	ErrNoSpace        = errors.New("the store has no space left")
	ErrReadOnly       = errors.New("the store cannot be written at the moment")
	ErrDegraded       = errors.New("the store accepts no changes until it is restarted: an earlier sync to disk failed")
	ErrOutcomeUnknown = errors.New("whether the change is on disk is not known; repeat the request with the same id to settle it")
)

// A CorruptError names the record whose stored document cannot be read. It
// matches ErrCorrupt.
type CorruptError struct {
	ID  uuid.UUID
	Err error // why; for the log, not for the client
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the stored document %s cannot be read: %v", e.ID, e.Err)
}

// Is makes every CorruptError match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap answers the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// A Code is the stable word for one kind of invalid input.
type Code string

// Codes of what can be wrong with a document.
const (
	InvalidJSON    Code = "invalid_json"
	InvalidField   Code = "invalid_field"
	MissingField   Code = "missing_field"
	UnknownField   Code = "unknown_field"
	DuplicateField Code = "duplicate_field"
	IDMismatch     Code = "id_mismatch"
	TooDeep        Code = "too_deep"
)

// A FieldError says what is wrong with one value of a document.
type FieldError struct {
	Code    Code
	Pointer string // RFC 6901, "" for the whole document
	Detail  string // what was expected, and what came instead
}

// InvalidError lists everything that was found wrong with a document; it has
// at least one entry.
type InvalidError []FieldError

func (e InvalidError) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Detail
		if f.Pointer != "" {
			texts[i] = f.Pointer + ": " + f.Detail
		}
	}
	return strings.Join(texts, "; ")
}

// CheckpointNotFoundError is the answer to a replay from a step that the saga
// has no snapshot of.
type CheckpointNotFoundError struct {
	SagaID         uuid.UUID
	Step           string
	AvailableSteps []string  // the saga's steps, newest first, each once
	ReplayID       uuid.UUID // of the failed record that was left
}

func (e *CheckpointNotFoundError) Error() string {
	return fmt.Sprintf("saga %s has no snapshot at step %q", e.SagaID, e.Step)
}
