package storetest

import (
	"context"
	"slices"

	"pgregory.net/rapid"

	"snapshotd/internal/saga"
)

func drawReplay(t *rapid.T) *saga.Replay {
	r := newReplay(anySaga.Draw(t, "saga"))
	r.ID, r.NewSagaID = anyReplay.Draw(t, "id"), nth(7)
	r.CreatedAt, r.Status = anyTime.Draw(t, "created"), anyState.Draw(t, "status")
	r.ErrorMessage = maybe(rapid.String()).Draw(t, "error")
	if rapid.Bool().Draw(t, "override") {
		r.ContextOverride = []byte(`{"amount":1.0}`)
	}
	return r
}

func (m *machine) putReplay(t *rapid.T) {
	r := drawReplay(t)
	err := m.store.PutReplay(context.Background(), r, nil)
	if m.replays[r.ID] != nil {
		wants(t, err, saga.ErrExists)
		return
	}
	no(t, err)
	m.replays[r.ID] = r
}

func (m *machine) replaceReplay(t *rapid.T) {
	r := drawReplay(t)
	stored := m.replays[r.ID]
	expect := drawReplay(t)
	if stored != nil && rapid.Bool().Draw(t, "as expected") {
		expect = stored
	}
	if stored != nil {
		// Where a replay belongs never changes.
		r.OriginalSagaID, r.CreatedAt = stored.OriginalSagaID, stored.CreatedAt
	}
	err := m.store.PutReplay(context.Background(), r, expect)
	if stored == nil || !stored.Equal(expect) {
		wants(t, err, saga.ErrReplayChanged)
		return
	}
	no(t, err)
	m.replays[r.ID] = r
}

func (m *machine) getReplay(t *rapid.T) {
	id := anyReplay.Draw(t, "id")
	got, err := m.store.GetReplay(context.Background(), id)
	if m.replays[id] == nil {
		wants(t, err, saga.ErrReplayNotFound)
		return
	}
	no(t, err)
	checkReplay(t, got, m.replays[id])
}

func checkReplay(t *rapid.T, got, want *saga.Replay) {
	t.Helper()
	if !equalReplays(got, want) {
		t.Fatalf("replay %s, want %s", got.AppendJSON(nil, false), want.AppendJSON(nil, false))
	}
}

func (m *machine) listReplays(t *rapid.T) {
	q := anyQuery.Draw(t, "query")
	q.SagaID = valid(anySaga.Draw(t, "saga"))
	if q.From != nil {
		q.From.StepIndex, q.From.ID = 0, anyReplay.Draw(t, "from id")
	}
	page, err := m.store.ListReplays(context.Background(), q)
	no(t, err)
	all := m.replaysOf(q)
	equal(t, len(page.Replays), min(q.Limit, len(all)))
	for i, r := range page.Replays {
		checkReplay(t, r, all[i])
	}
	checkNext(t, page.Next, q.Limit, all, func(r **saga.Replay) saga.Position { return (*r).Position() })
}

func (m *machine) deleteReplays(t *rapid.T) {
	q := &saga.Query{SagaID: valid(anySaga.Draw(t, "saga"))}
	n, err := m.store.DeleteReplays(context.Background(), q.SagaID.UUID)
	no(t, err)
	gone := slices.Clone(m.replaysOf(q))
	equal(t, n, len(gone))
	for _, r := range gone {
		delete(m.replays, r.ID)
	}
}
