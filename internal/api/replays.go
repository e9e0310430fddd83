package api

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"snapshotd/internal/archive"
	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

func prepareReplay(c *call) error {
	id, err := c.id("saga_id")
	if err != nil {
		return err
	}
	q, err := decode(c, saga.ParseReplayRequest)
	if err != nil {
		return err
	}
	if err := c.nameRequestInitiator(q); err != nil {
		return err
	}
	prepared, created, err := c.archive.PrepareReplay(c.ctx(), id, q)
	if err != nil {
		return err
	}
	shown, err := c.redactedPrepared(prepared)
	if err != nil {
		return err
	}
	if created {
		c.w.Header().Set("Location", "/v1/replays/"+prepared.Replay.ID.String())
	}
	c.write(createdOrOK(created), jsonType, layOutPrepared(shown, c.pretty))
	return nil
}

// layOutPrepared spells out a replay and what its runtime needs.
func layOutPrepared(p *archive.PreparedReplay, indent bool) []byte {
	s := p.Resume
	resume := document.NewObject(nil, false)
	resume.String("saga_id", s.SagaID.String())
	resume.String("saga_name", s.SagaName)
	resume.String("step_name", s.StepName)
	resume.Raw("step_index", strconv.AppendInt(nil, int64(s.StepIndex), 10))
	resume.Raw("completed_steps", s.CompletedSteps)
	resume.Raw("external_refs", s.ExternalRefs)
	resume.Raw("context", s.Context)
	o := document.NewObject(nil, indent)
	o.Raw("replay", p.Replay.AppendJSON(nil, false))
	o.Raw("resume", resume.End())
	return append(o.End(), '\n')
}

func (c *call) sendReplay(status int, r *saga.Replay) error {
	r, err := c.redactedReplay(r)
	if err != nil {
		return err
	}
	c.write(status, jsonType, append(r.AppendJSON(nil, c.pretty), '\n'))
	return nil
}

func putReplay(c *call) error {
	id, err := c.id("replay_id")
	if err != nil {
		return err
	}
	d, err := decode(c, saga.ParseReplayDraft)
	if err != nil {
		return err
	}
	if d.HasID && d.ID != id {
		return mismatch("replay_id")
	}
	d.ID, d.HasID = id, true
	if err := c.nameRecordInitiator(d); err != nil {
		return err
	}
	r, created, err := c.archive.SaveReplay(c.ctx(), d)
	if err != nil {
		return err
	}
	return c.sendReplay(createdOrOK(created), r)
}

func patchReplay(c *call) error {
	id, err := c.id("replay_id")
	if err != nil {
		return err
	}
	report, err := decode(c, saga.ParseReplayReport)
	if err != nil {
		return err
	}
	r, err := c.archive.ReportReplay(c.ctx(), id, report)
	if err != nil {
		return err
	}
	return c.sendReplay(http.StatusOK, r)
}

func getReplay(c *call) error {
	id, err := c.id("replay_id")
	if err != nil {
		return err
	}
	r, err := c.archive.Replay(c.ctx(), id)
	if err != nil {
		return err
	}
	return c.sendReplay(http.StatusOK, r)
}

type replayPage struct {
	Replays    []*saga.Replay `json:"replays"`
	NextCursor *string        `json:"next_cursor"`
	Unreadable []uuid.UUID    `json:"unreadable,omitempty"`
}

func listReplays(c *call) error {
	id, err := c.id("saga_id")
	if err != nil {
		return err
	}
	q, err := c.listQuery(uuid.NullUUID{UUID: id, Valid: true})
	if err != nil {
		return err
	}
	page, err := c.replays(q)
	if err != nil {
		return err
	}
	replays, err := c.redactedReplays(page.Replays)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, &replayPage{Replays: replays, NextCursor: c.next(page.Next, q), Unreadable: page.Unreadable})
}

// replays answers a page; one of which nothing is left together with what follows it.
func (c *call) replays(q *saga.Query) (*archive.ReplayPage, error) {
	var named []uuid.UUID
	for {
		page, err := c.archive.Replays(c.ctx(), q)
		if err != nil {
			return nil, err
		}
		named = append(named, page.Unreadable...)
		if len(page.Replays) > 0 || page.Next == nil || len(named) >= mostNamed {
			page.Unreadable = named
			return page, nil
		}
		q.From = page.Next
	}
}
