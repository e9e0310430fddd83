package saga

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"snapshotd/internal/document"
)

// snapshotKeys are a snapshot's keys in the order of files and answers.
var snapshotKeys = []string{
	"snapshot_id", "saga_id", "saga_name", "step_name", "step_index", "status", "context",
	"completed_steps", "external_refs", "created_at", "retention_until",
}

// ReadSnapshot reads a document that is already stored, by us or by another
// writer, who may have left out keys that have a default, written times without
// an offset (UTC), UUIDs in upper case, a status such as SagaStatus.EXECUTING,
// and keys of his own. ours is false when a value is spelled in a way in which we
// do not answer it; Respell mends that.
func ReadSnapshot(doc []byte) (s *Snapshot, ours bool, err error) {
	members, err := document.Members(doc, make([]document.Member, 0, 16))
	if err != nil {
		return nil, false, err
	}
	s = &Snapshot{
		Summary:        Summary{RetentionUntil: Never},
		CompletedSteps: []byte("[]"),
		ExternalRefs:   []byte("{}"),
	}
	r := storedReader{ours: true}
	for _, m := range members {
		switch string(m.Name) {
		case "snapshot_id":
			s.ID = r.id(m)
		case "saga_id":
			s.SagaID = r.id(m)
		case "saga_name":
			s.SagaName = r.string(m)
		case "step_name":
			s.StepName = r.string(m)
		case "step_index":
			s.StepIndex = r.index(m)
		case "status":
			s.Status = r.status(m)
		case "context":
			s.Context = r.object(m)
		case "completed_steps":
			s.CompletedSteps = r.orDefault(m, s.CompletedSteps, r.strings)
		case "external_refs":
			s.ExternalRefs = r.orDefault(m, s.ExternalRefs, r.object)
		case "created_at":
			s.CreatedAt = r.time(m)
		case "retention_until":
			s.RetentionUntil = r.timeOrNull(m)
		default:
			s.Extra = append(s.Extra, m)
			r.found--
		}
		r.found++
	}
	for _, name := range []string{"snapshot_id", "saga_id", "saga_name", "step_name", "step_index", "status", "context", "created_at"} {
		r.require(members, name)
	}
	return s, r.ours && r.found == len(snapshotKeys), r.err
}

// Respell answers a stored document in our spelling: values that ReadSnapshot
// understood but that we write in another way are replaced, missing keys are put
// in their place, and every other byte stays.
func Respell(doc []byte) ([]byte, error) {
	s, ours, err := ReadSnapshot(doc)
	if err != nil || ours {
		return doc, err
	}
	members, err := document.Members(doc, nil)
	if err != nil {
		return nil, err
	}
	value := map[string][]byte{
		"snapshot_id":     quoted(s.ID.String()),
		"saga_id":         quoted(s.SagaID.String()),
		"step_index":      strconv.AppendInt(nil, int64(s.StepIndex), 10),
		"status":          quoted(s.Status),
		"completed_steps": s.CompletedSteps,
		"external_refs":   s.ExternalRefs,
		"created_at":      s.CreatedAt.AppendJSON(nil),
		"retention_until": s.RetentionUntil.AppendJSON(nil),
	}
	missing := map[string][]string{} // behind which key which keys are missing
	present := map[string]bool{}
	for _, m := range members {
		present[string(m.Name)] = true
	}
	for i, key := range snapshotKeys {
		if !present[key] {
			before := i - 1
			for !present[snapshotKeys[before]] {
				before--
			}
			missing[snapshotKeys[before]] = append(missing[snapshotKeys[before]], key)
		}
	}
	// The white space between two members, as this document has it.
	_, gap, _ := bytes.Cut(doc[members[0].End:], []byte{','})
	gap = gap[:bytes.IndexByte(gap, '"')]

	out := make([]byte, 0, len(doc)+128)
	at := 0
	for _, m := range members {
		start := m.End - len(m.Value)
		out = append(out, doc[at:start]...)
		if v, ok := value[string(m.Name)]; ok {
			out = append(out, v...)
		} else {
			out = append(out, m.Value...)
		}
		for _, key := range missing[string(m.Name)] {
			out = append(append(append(out, ','), gap...), quoted(key)...)
			out = append(append(out, ": "...), value[key]...)
		}
		at = m.End
	}
	return append(out, doc[at:]...), nil
}

func quoted(s string) []byte { return document.AppendString(nil, s) }

// A storedReader takes values out of a document that was stored before; the
// first one that cannot be understood is its error.
type storedReader struct {
	ours  bool // every value so far is spelled as we spell it
	found int
	err   error
}

func (r *storedReader) fail(m document.Member, expected string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s was expected, not %s", m.Name, expected, document.KindName(m.Value))
	}
}

// misspelled is fail for a value of the right type, or one that has failed
// already.
func (r *storedReader) misspelled(m document.Member, expected string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s was expected", m.Name, expected)
	}
}

func (r *storedReader) require(members []document.Member, name string) {
	for _, m := range members {
		if string(m.Name) == name {
			return
		}
	}
	if r.err == nil {
		r.err = errors.New(name + " is missing")
	}
}

func (r *storedReader) string(m document.Member) string {
	s, ok := document.String(m.Value)
	if !ok {
		r.fail(m, "a string")
	}
	return s
}

// spelled notes whether the value stands as we would write it.
func (r *storedReader) spelled(m document.Member, ours string) {
	if string(m.Value) != ours {
		r.ours = false
	}
}

func (r *storedReader) id(m document.Member) uuid.UUID {
	id, err := ParseID(r.string(m))
	if err != nil {
		r.misspelled(m, "a UUID")
		return id
	}
	r.spelled(m, `"`+id.String()+`"`)
	return id
}

func (r *storedReader) index(m document.Member) int32 {
	n, err := strconv.ParseInt(string(m.Value), 10, 32)
	if err != nil || n < 0 {
		r.misspelled(m, "a whole number from 0 to 2147483647")
	}
	r.spelled(m, strconv.FormatInt(n, 10)) // -0
	return int32(n)
}

// status takes the name of a Python enumeration's member for its value.
func (r *storedReader) status(m document.Member) string {
	s := r.string(m)
	if name, ok := strings.CutPrefix(s, "SagaStatus."); ok {
		r.ours = false
		return strings.ToLower(name)
	}
	return s
}

func (r *storedReader) object(m document.Member) []byte {
	if m.Value[0] != '{' {
		r.fail(m, "an object")
	}
	return m.Value
}

// bool takes null for false.
func (r *storedReader) bool(m document.Member) bool {
	switch string(m.Value) {
	case "true":
		return true
	case "false", "null":
	default:
		r.fail(m, "true or false")
	}
	return false
}

func (r *storedReader) strings(m document.Member) []byte {
	if _, _, err := document.Strings(m.Value); err != nil {
		r.fail(m, "an array of strings")
	}
	return m.Value
}

// orDefault takes null for a value that was left out.
func (r *storedReader) orDefault(m document.Member, value []byte, read func(document.Member) []byte) []byte {
	if document.IsNull(m.Value) {
		r.ours = false
		return value
	}
	return read(m)
}

func (r *storedReader) time(m document.Member) Time {
	t, err := ParseStoredTime(r.string(m))
	if err != nil {
		r.misspelled(m, "a time")
		return t
	}
	r.spelled(m, `"`+t.String()+`"`)
	return t
}

func (r *storedReader) timeOrNull(m document.Member) Time {
	if document.IsNull(m.Value) {
		return Never
	}
	return r.time(m)
}
