// Package saga is the domain: snapshots and replays, their shape and its
// validation, their order, and what can go wrong. It does no I/O and reads no
// clock.
package saga

import (
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"snapshotd/internal/document"
)

// A Summary holds the fields of a snapshot that find it.
type Summary struct {
	ID             uuid.UUID `json:"snapshot_id"`
	SagaID         uuid.UUID `json:"saga_id"`
	SagaName       string    `json:"saga_name"`
	StepName       string    `json:"step_name"`
	StepIndex      int32     `json:"step_index"`
	Status         string    `json:"status"`
	CreatedAt      Time      `json:"created_at"`
	RetentionUntil Time      `json:"retention_until"` // Never = kept for ever
	SizeBytes      int64     `json:"size_bytes"`      // as stored, compressed where it is
}

// Position is the snapshot's place in its lists.
func (s *Summary) Position() Position {
	return Position{CreatedAt: s.CreatedAt, StepIndex: s.StepIndex, ID: s.ID}
}

// Expired reports whether the retention ended before now.
func (s *Summary) Expired(now Time) bool { return s.RetentionUntil < now }

// Statuses are the statuses that sagas are known to have; others pass.
var Statuses = []string{
	"pending", "executing", "completed", "compensating", "failed",
	"rolled_back", "partially_committed", "forward_recovery",
}

// A Snapshot is a whole record. Its JSON values keep the spelling they came
// with and may alias the document they were read from.
type Snapshot struct {
	Summary
	Context        []byte            // an object
	CompletedSteps []byte            // an array of strings
	ExternalRefs   []byte            // an object of strings
	Extra          []document.Member // keys of a stored file that are not ours
}

// AppendJSON appends the record as a document that ends in a newline: keys in
// their fixed order, indented or compact.
func (s *Snapshot) AppendJSON(dst []byte, indent bool) []byte {
	o := document.NewObject(dst, indent)
	o.String("snapshot_id", s.ID.String())
	o.String("saga_id", s.SagaID.String())
	o.String("saga_name", s.SagaName)
	o.String("step_name", s.StepName)
	o.Raw("step_index", strconv.AppendInt(nil, int64(s.StepIndex), 10))
	o.String("status", s.Status)
	o.Raw("context", s.Context)
	o.Raw("completed_steps", s.CompletedSteps)
	o.Raw("external_refs", s.ExternalRefs)
	o.Raw("created_at", s.CreatedAt.AppendJSON(nil))
	o.Raw("retention_until", s.RetentionUntil.AppendJSON(nil))
	for _, m := range s.Extra {
		o.Member(m)
	}
	return append(o.End(), '\n')
}

// A Draft is a snapshot as a client sent it: what is missing has its default,
// except the fields that only the archive can fill in.
type Draft struct {
	Snapshot
	HasID, HasCreatedAt, HasRetention bool // whether the client sent snapshot_id, created_at, retention_until
	hasSteps, hasRefs                 bool
}

// SameContent reports whether every field the client sent equals what is
// stored: times and ids by value, the context token by token.
func (d *Draft) SameContent(stored *Snapshot) bool {
	return d.SagaID == stored.SagaID &&
		d.SagaName == stored.SagaName &&
		d.StepName == stored.StepName &&
		d.StepIndex == stored.StepIndex &&
		d.Status == stored.Status &&
		(!d.HasID || d.ID == stored.ID) &&
		(!d.HasCreatedAt || d.CreatedAt == stored.CreatedAt) &&
		(!d.HasRetention || d.RetentionUntil == stored.RetentionUntil) &&
		(!d.hasSteps || sameStrings(d.CompletedSteps, stored.CompletedSteps)) &&
		(!d.hasRefs || sameRefs(d.ExternalRefs, stored.ExternalRefs)) &&
		document.Equal(d.Context, stored.Context)
}

func sameStrings(a, b []byte) bool {
	x, _, _ := document.Strings(a)
	y, _, _ := document.Strings(b)
	return slices.Equal(x, y)
}

func sameRefs(a, b []byte) bool {
	x, _, errX := document.StringMap(a)
	y, _, errY := document.StringMap(b) // may have come from another writer
	return errX == nil && errY == nil && maps.Equal(x, y)
}

// ParseDraft reads the snapshot a client wants to save. Errors are
// InvalidError and list all that is wrong.
func ParseDraft(body []byte) (*Draft, error) {
	members, err := document.Members(body, make([]document.Member, 0, 16))
	if err != nil {
		return nil, invalidDocument(err)
	}
	d := &Draft{Snapshot: Snapshot{
		Summary:        Summary{RetentionUntil: Never},
		CompletedSteps: []byte("[]"),
		ExternalRefs:   []byte("{}"),
	}}
	r := reader{}
	for _, m := range members {
		switch name := string(m.Name); name {
		case "snapshot_id":
			d.ID, d.HasID = r.id(m), true
		case "saga_id":
			d.SagaID = r.id(m)
		case "saga_name":
			d.SagaName = r.name(m)
		case "step_name":
			d.StepName = r.name(m)
		case "step_index":
			d.StepIndex = r.index(m)
		case "status":
			d.Status = r.status(m)
		case "context":
			d.Context = r.object(m)
		case "completed_steps":
			d.CompletedSteps, d.hasSteps = r.strings(m), true
		case "external_refs":
			d.ExternalRefs, d.hasRefs = r.refs(m), true
		case "created_at":
			d.CreatedAt, d.HasCreatedAt = r.time(m), true
		case "retention_until":
			d.RetentionUntil, d.HasRetention = r.timeOrNull(m), true
		default:
			r.unknown(m)
		}
	}
	r.require(members, "saga_id", "saga_name", "step_name", "step_index", "status", "context")
	return d, r.err()
}
