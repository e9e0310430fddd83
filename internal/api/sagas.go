package api

import (
	"net/http"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

type sagaPage struct {
	Sagas      []saga.Saga `json:"sagas"`
	NextCursor *string     `json:"next_cursor"`
}

func listSagas(c *call) error {
	q, err := c.listQuery(uuid.NullUUID{})
	if err != nil {
		return err
	}
	page, err := c.archive.Sagas(c.ctx(), q)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, &sagaPage{Sagas: page.Sagas, NextCursor: c.next(page.Next, q)})
}

func getSaga(c *call) error {
	id, err := c.id("saga_id")
	if err != nil {
		return err
	}
	summary, err := c.archive.Saga(c.ctx(), id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, summary)
}

func deleteSaga(c *call) error {
	id, err := c.id("saga_id")
	if err != nil {
		return err
	}
	replays, err := c.flag("replays")
	if err != nil {
		return err
	}
	deletion, err := c.archive.DeleteSaga(c.ctx(), id, replays)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, deletion)
}
