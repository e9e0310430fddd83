package api

import (
	"errors"
	"net/http"

	"github.com/google/uuid"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
)

func putSnapshot(c *call) error {
	id, err := c.id("snapshot_id")
	if err != nil {
		return err
	}
	d, err := decode(c, saga.ParseDraft)
	if err != nil {
		return err
	}
	if d.HasID && d.ID != id {
		return mismatch("snapshot_id")
	}
	d.ID, d.HasID = id, true
	r, created, err := c.save(d)
	if err != nil {
		return err
	}
	return c.json(createdOrOK(created), r)
}

func postSnapshot(c *call) error {
	d, err := decode(c, saga.ParseDraft)
	if err != nil {
		return err
	}
	r, created, err := c.save(d)
	if err != nil {
		return err
	}
	if created {
		c.w.Header().Set("Location", "/v1/snapshots/"+r.ID.String())
	}
	return c.json(createdOrOK(created), r)
}

func (c *call) save(d *saga.Draft) (*archive.Receipt, bool, error) {
	createOnly, err := c.createOnly()
	if err != nil {
		return nil, false, err
	}
	return c.archive.Save(c.ctx(), d, createOnly)
}

func getSnapshot(c *call) error {
	id, err := c.id("snapshot_id")
	if err != nil {
		return err
	}
	return c.sendDocument(func(gzipped bool) (*archive.Item, *archive.Document, error) {
		item, err := c.archive.Snapshot(c.ctx(), id)
		if err != nil {
			return nil, nil, err
		}
		doc, err := item.Open(c.ctx(), gzipped)
		return item, doc, err
	})
}

func latestSnapshot(c *call) error {
	sagaID, err := c.id("saga_id")
	if err != nil {
		return err
	}
	q, err := c.listQuery(uuid.NullUUID{UUID: sagaID, Valid: true})
	if err != nil {
		return err
	}
	err = c.sendDocument(func(gzipped bool) (*archive.Item, *archive.Document, error) { return c.openLatest(q, gzipped) })
	if errors.Is(err, saga.ErrSnapshotNotFound) {
		return problemf(http.StatusNotFound, "snapshot_not_found", "No snapshot of this saga is what was asked for.")
	}
	return err
}

// openLatest passes over snapshots that vanish before they are opened.
func (c *call) openLatest(q *saga.Query, gzipped bool) (*archive.Item, *archive.Document, error) {
	for {
		item, err := c.archive.Latest(c.ctx(), q)
		if err != nil {
			return nil, nil, err
		}
		doc, err := item.Open(c.ctx(), gzipped)
		if !errors.Is(err, saga.ErrSnapshotNotFound) {
			return item, doc, err
		}
		at := item.Position()
		q.From = &at
	}
}

func deleteSnapshot(c *call) error {
	id, err := c.id("snapshot_id")
	if err != nil {
		return err
	}
	if err := c.archive.DeleteSnapshot(c.ctx(), id); err != nil {
		return err
	}
	c.start(http.StatusNoContent, "")
	return nil
}

func searchSnapshots(c *call) error { return c.sendSnapshots(uuid.NullUUID{}, false) }

func listSnapshots(c *call) error {
	id, err := c.id("saga_id")
	if err != nil {
		return err
	}
	return c.sendSnapshots(uuid.NullUUID{UUID: id, Valid: true}, true)
}

// A summaryPage is a page of snapshots without their documents.
type summaryPage struct {
	Snapshots  []saga.Summary `json:"snapshots"`
	NextCursor *string        `json:"next_cursor"`
	Unreadable []uuid.UUID    `json:"unreadable,omitempty"`
}

func (c *call) sendSnapshots(sagaID uuid.NullUUID, fullByDefault bool) error {
	full, err := c.full(fullByDefault)
	if err != nil {
		return err
	}
	q, err := c.listQuery(sagaID)
	if err != nil {
		return err
	}
	page, err := c.archive.Snapshots(c.ctx(), q)
	if err != nil {
		return err
	}
	if full {
		return c.sendDocuments(page, q)
	}
	answer := summaryPage{
		Snapshots:  make([]saga.Summary, len(page.Items)),
		NextCursor: c.next(page.Next, q),
		Unreadable: page.Unreadable,
	}
	for i := range page.Items {
		answer.Snapshots[i] = page.Items[i].Summary
	}
	return c.json(http.StatusOK, &answer)
}
