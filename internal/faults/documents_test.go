//go:build faults && linux

package faults

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
)

// stored is a document as the daemon lays it out, so that what is read can be
// compared byte for byte with what was sent.
const stored = `{
  "snapshot_id": "%s",
  "saga_id": "%s",
  "saga_name": "order_processing",
  "step_name": "charge_payment",
  "step_index": 3,
  "status": "executing",
  "context": {
    "text": "%s"
  },
  "completed_steps": [],
  "external_refs": {},
  "created_at": "2026-01-01T00:00:00+00:00",
  "retention_until": %s
}
`

// document is what the snapshot holds. It is made anew from its seed, for large
// ones are many.
func (x *item) document() []byte {
	retention := "null"
	if x.expired {
		retention = `"2026-01-02T00:00:00+00:00"`
	}
	return fmt.Appendf(nil, stored, x.id, x.saga, text(x.seed, x.size), retention)
}

// text is so many characters of nothing in particular.
func text(seed uint64, size int) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32)})
	raw := make([]byte, size/2)
	_, _ = source.Read(raw)
	return hex.AppendEncode(make([]byte, 0, size), raw)
}

func newSnapshot(saga string, size int) *item {
	return &item{snapshot: true, saga: saga, id: newID(), seed: rand.Uint64(), size: size}
}

func newReplay(saga string) *item { return &item{saga: saga, id: newID()} }

func newID() string { return uuid.NewString() }

// replayStates are the statuses that stand for an item's states from 1 on.
var replayStates = []string{"pending", "running", "success"}

// record is the replay record in its first state.
func (x *item) record() []byte {
	return fmt.Appendf(nil, `{"original_saga_id":"%s","new_saga_id":"%s","checkpoint_step":"charge_payment",`+
		`"replay_status":"pending","initiated_by":"faults","created_at":"2026-01-01T00:00:00Z"}`, x.saga, x.id)
}

// stateOf is the state that a document shows an item to be in; false if it is not
// whole.
func (x *item) stateOf(text []byte) (int, bool) {
	if x.snapshot {
		return 1, bytes.Equal(text, x.document())
	}
	var r struct {
		ID     string `json:"replay_id"`
		Saga   string `json:"original_saga_id"`
		New    string `json:"new_saga_id"`
		Status string `json:"replay_status"`
	}
	if json.Unmarshal(text, &r) != nil || r.ID != x.id || r.Saga != x.saga || r.New != x.id {
		return 0, false
	}
	for i, status := range replayStates {
		if status == r.Status {
			return i + 1, true
		}
	}
	return 0, false
}
