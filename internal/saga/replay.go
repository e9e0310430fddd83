package saga

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"snapshotd/internal/document"
)

// A ReplayStatus is how far a replay has come.
type ReplayStatus string

// Statuses of a replay; the last three are final.
const (
	ReplayPending   ReplayStatus = "pending"
	ReplayRunning   ReplayStatus = "running"
	ReplaySuccess   ReplayStatus = "success"
	ReplayFailed    ReplayStatus = "failed"
	ReplayCancelled ReplayStatus = "cancelled"
)

// ReplayStatuses are all there are, in the order of their progress.
var ReplayStatuses = []ReplayStatus{ReplayPending, ReplayRunning, ReplaySuccess, ReplayFailed, ReplayCancelled}

// Final reports whether a replay in this status stays in it.
func (s ReplayStatus) Final() bool { return s.rank() == 2 }

func (s ReplayStatus) rank() int {
	switch s {
	case ReplayPending:
		return 0
	case ReplayRunning:
		return 1
	default:
		return 2
	}
}

// CanBecome reports whether a replay may go from s to next: forward, also past
// running, but never back, and never out of a final status.
func (s ReplayStatus) CanBecome(next ReplayStatus) bool { return next.rank() > s.rank() }

// takesError reports whether an error message goes with the status.
func (s ReplayStatus) takesError() bool { return s == ReplayFailed || s == ReplayCancelled }

// A Replay records that a saga was run again from a checkpoint.
type Replay struct {
	ID              uuid.UUID
	OriginalSagaID  uuid.UUID
	NewSagaID       uuid.UUID
	CheckpointStep  string
	Status          ReplayStatus
	InitiatedBy     string
	ContextOverride []byte  // an object as spelled; nil = null
	ErrorMessage    *string // nil = null
	CreatedAt       Time
	CompletedAt     Time // Never = not completed
	SnapshotID      uuid.NullUUID
	DryRun          bool
	Extra           []document.Member // keys of a stored file that are not ours
}

// Position is the replay's place in its lists.
func (r *Replay) Position() Position { return Position{CreatedAt: r.CreatedAt, ID: r.ID} }

// AppendJSON appends the record, keys in their fixed order, indented or
// compact, without a newline.
func (r *Replay) AppendJSON(dst []byte, indent bool) []byte {
	o := document.NewObject(dst, indent)
	o.String("replay_id", r.ID.String())
	o.String("original_saga_id", r.OriginalSagaID.String())
	o.String("new_saga_id", r.NewSagaID.String())
	o.String("checkpoint_step", r.CheckpointStep)
	o.String("replay_status", string(r.Status))
	o.String("initiated_by", r.InitiatedBy)
	o.Raw("context_override", orNull(r.ContextOverride))
	if r.ErrorMessage != nil {
		o.String("error_message", *r.ErrorMessage)
	} else {
		o.Raw("error_message", orNull(nil))
	}
	o.Raw("created_at", r.CreatedAt.AppendJSON(nil))
	o.Raw("completed_at", r.CompletedAt.AppendJSON(nil))
	if r.SnapshotID.Valid {
		o.String("snapshot_id", r.SnapshotID.UUID.String())
	} else {
		o.Raw("snapshot_id", orNull(nil))
	}
	o.Raw("dry_run", boolean(r.DryRun))
	for _, m := range r.Extra {
		o.Member(m)
	}
	return o.End()
}

// MarshalJSON is AppendJSON for encoding/json.
func (r *Replay) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil, false), nil }

// Equal reports whether two records are spelled alike but for white space.
func (r *Replay) Equal(o *Replay) bool {
	spelled := func(r *Replay) []byte { return document.AppendCompact(nil, r.AppendJSON(nil, false)) }
	return bytes.Equal(spelled(r), spelled(o))
}

func orNull(value []byte) []byte {
	if value == nil {
		return []byte("null")
	}
	return value
}

func boolean(b bool) []byte {
	if b {
		return []byte("true")
	}
	return []byte("false")
}

// A ReplayDraft is a whole replay record as a client sent it.
type ReplayDraft struct {
	Replay
	HasID           bool
	HasInitiatedBy  bool
	HasErrorMessage bool
	HasCreatedAt    bool
	HasCompletedAt  bool // and not null
	HasDryRun       bool
}

// ParseReplayDraft reads the record a client wants to save. Errors are
// InvalidError and list all that is wrong.
func ParseReplayDraft(body []byte) (*ReplayDraft, error) {
	members, err := document.Members(body, nil)
	if err != nil {
		return nil, invalidDocument(err)
	}
	d := &ReplayDraft{Replay: Replay{InitiatedBy: "system", CompletedAt: Never}}
	r := reader{}
	for _, m := range members {
		switch string(m.Name) {
		case "replay_id":
			d.ID, d.HasID = r.id(m), true
		case "original_saga_id":
			d.OriginalSagaID = r.id(m)
		case "new_saga_id":
			d.NewSagaID = r.id(m)
		case "checkpoint_step":
			d.CheckpointStep = r.name(m)
		case "replay_status":
			d.Status = r.replayStatus(m)
		case "initiated_by":
			d.InitiatedBy, d.HasInitiatedBy = r.name(m), true
		case "context_override":
			d.ContextOverride = r.objectOrNull(m)
		case "error_message":
			d.ErrorMessage, d.HasErrorMessage = r.stringOrNull(m), true
		case "created_at":
			d.CreatedAt, d.HasCreatedAt = r.time(m), true
		case "completed_at":
			d.CompletedAt = r.timeOrNull(m)
			d.HasCompletedAt = d.CompletedAt != Never
		case "snapshot_id":
			d.SnapshotID = r.idOrNull(m)
		case "dry_run":
			if !document.IsNull(m.Value) {
				d.DryRun, d.HasDryRun = r.bool(m), true
			}
		default:
			r.unknown(m)
		}
	}
	r.require(members, "original_saga_id", "new_saga_id", "checkpoint_step", "replay_status")
	r.checkOutcome(d.Status, d.ErrorMessage)
	if d.HasCompletedAt && d.Status != "" && !d.Status.Final() {
		r.fail("/completed_at", "only a replay that has ended (success, failed, cancelled) has a time of completion")
	}
	return d, r.err()
}

// A ReplayRequest asks to prepare a replay of a saga.
type ReplayRequest struct {
	CheckpointStep  string        // this, or
	SnapshotID      uuid.NullUUID // that
	ContextOverride []byte        // an object as spelled; nil = null
	InitiatedBy     string
	HasInitiatedBy  bool
	DryRun          bool
	NewSagaID       uuid.NullUUID
	ReplayID        uuid.NullUUID
}

// ParseReplayRequest reads a request. Errors are InvalidError and list all that
// is wrong.
func ParseReplayRequest(body []byte) (*ReplayRequest, error) {
	members, err := document.Members(body, nil)
	if err != nil {
		return nil, invalidDocument(err)
	}
	q := &ReplayRequest{InitiatedBy: "system"}
	r := reader{}
	given := 0
	for _, m := range members {
		switch string(m.Name) {
		case "checkpoint_step":
			q.CheckpointStep = r.name(m)
			given++
		case "snapshot_id":
			q.SnapshotID = uuid.NullUUID{UUID: r.id(m), Valid: true}
			given++
		case "context_override":
			q.ContextOverride = r.objectOrNull(m)
		case "initiated_by":
			q.InitiatedBy, q.HasInitiatedBy = r.name(m), true
		case "dry_run":
			q.DryRun = r.bool(m)
		case "new_saga_id":
			q.NewSagaID = uuid.NullUUID{UUID: r.id(m), Valid: true}
		case "replay_id":
			q.ReplayID = uuid.NullUUID{UUID: r.id(m), Valid: true}
		default:
			r.unknown(m)
		}
	}
	switch given {
	case 0:
		r.errs = append(r.errs, FieldError{Code: MissingField, Pointer: "/checkpoint_step", Detail: "exactly one of checkpoint_step and snapshot_id is required"})
	case 2:
		r.fail("/snapshot_id", "exactly one of checkpoint_step and snapshot_id was expected, not both")
	}
	return q, r.err()
}

// A ReplayReport tells how far a replay has come.
type ReplayReport struct {
	Status       ReplayStatus
	ErrorMessage *string // nil = null, or not sent
}

// ParseReplayReport reads a report. Errors are InvalidError and list all that
// is wrong.
func ParseReplayReport(body []byte) (*ReplayReport, error) {
	members, err := document.Members(body, nil)
	if err != nil {
		return nil, invalidDocument(err)
	}
	p := &ReplayReport{}
	r := reader{}
	for _, m := range members {
		switch string(m.Name) {
		case "replay_status":
			p.Status = r.replayStatus(m)
		case "error_message":
			p.ErrorMessage = r.stringOrNull(m)
		default:
			r.unknown(m)
		}
	}
	r.require(members, "replay_status")
	r.checkOutcome(p.Status, p.ErrorMessage)
	return p, r.err()
}

func (r *reader) checkOutcome(status ReplayStatus, message *string) {
	if message != nil && status != "" && !status.takesError() {
		r.fail("/error_message", "an error message goes with failed and cancelled, not with %s", status)
	}
}

func (r *reader) replayStatus(m document.Member) ReplayStatus {
	s, ok := r.string(m)
	if ok && !slices.Contains(ReplayStatuses, ReplayStatus(s)) {
		r.fail(pointer(m.Name), "one of pending, running, success, failed, cancelled was expected")
		return ""
	}
	return ReplayStatus(s)
}

func (r *reader) objectOrNull(m document.Member) []byte {
	if document.IsNull(m.Value) {
		return nil
	}
	return r.object(m)
}

func (r *reader) stringOrNull(m document.Member) *string {
	if document.IsNull(m.Value) {
		return nil
	}
	s, _ := r.string(m)
	return &s
}

func (r *reader) idOrNull(m document.Member) uuid.NullUUID {
	if document.IsNull(m.Value) {
		return uuid.NullUUID{}
	}
	return uuid.NullUUID{UUID: r.id(m), Valid: true}
}

// ReadReplay reads a record that is already stored, by us or by another writer,
// with the same allowances as ReadSnapshot.
func ReadReplay(doc []byte) (*Replay, error) {
	members, err := document.Members(doc, nil)
	if err != nil {
		return nil, err
	}
	p := &Replay{InitiatedBy: "system", CompletedAt: Never}
	r := storedReader{}
	for _, m := range members {
		isNull := document.IsNull(m.Value)
		switch string(m.Name) {
		case "replay_id":
			p.ID = r.id(m)
		case "original_saga_id":
			p.OriginalSagaID = r.id(m)
		case "new_saga_id":
			p.NewSagaID = r.id(m)
		case "checkpoint_step":
			p.CheckpointStep = r.string(m)
		case "replay_status":
			p.Status = ReplayStatus(r.string(m))
			if !slices.Contains(ReplayStatuses, p.Status) {
				r.fail(m, "a replay status")
			}
		case "initiated_by":
			p.InitiatedBy = r.string(m)
		case "created_at":
			p.CreatedAt = r.time(m)
		case "completed_at":
			p.CompletedAt = r.timeOrNull(m)
		case "context_override":
			if !isNull {
				p.ContextOverride = r.object(m)
			}
		case "error_message":
			if !isNull {
				s := r.string(m)
				p.ErrorMessage = &s
			}
		case "snapshot_id":
			if !isNull {
				p.SnapshotID = uuid.NullUUID{UUID: r.id(m), Valid: true}
			}
		case "dry_run":
			p.DryRun = r.bool(m)
		default:
			p.Extra = append(p.Extra, m)
		}
	}
	for _, name := range []string{"replay_id", "original_saga_id", "new_saga_id", "checkpoint_step", "replay_status", "created_at"} {
		r.require(members, name)
	}
	return p, r.err
}
