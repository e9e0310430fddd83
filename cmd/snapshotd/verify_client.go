package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

// A remote is a daemon that is asked through its API.
type remote struct {
	url    string
	token  string // "" = none is sent
	client *http.Client
}

const (
	remoteTimeout = time.Minute // for one answer
	remoteTries   = 5           // when it has no time
	remoteWait    = time.Second // unless it says for how long
	pageLimit     = 1000
)

func newRemote(target, token string) *remote {
	return &remote{url: target, token: token, client: &http.Client{
		Timeout:       remoteTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: readers}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get answers what is there. Only a status other than 200, 404 and 500 is an error.
func (r *remote) get(ctx context.Context, path string) (int, []byte, error) {
	for try := 1; ; try++ {
		status, wait, body, err := r.once(ctx, path)
		if err != nil {
			return 0, nil, err
		}
		switch status {
		case http.StatusOK, http.StatusNotFound, http.StatusInternalServerError:
			return status, body, nil
		case http.StatusTooManyRequests:
			try = 0 // we are let in as often as our token may ask
		case http.StatusServiceUnavailable:
		default:
			try = remoteTries
		}
		if try == remoteTries {
			return 0, nil, fmt.Errorf("%s answers %d: %.200s", path, status, body)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
}

// once also answers how long to wait before it is tried again.
func (r *remote) once(ctx context.Context, path string) (status int, wait time.Duration, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		return 0, 0, nil, err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return 0, 0, nil, err
	}
	defer res.Body.Close()
	wait = remoteWait
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		wait = min(time.Duration(seconds)*time.Second, remoteTimeout)
	}
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, wait, body, err
}

// decode gets a JSON value that must be there.
func (r *remote) decode(ctx context.Context, path string, into any) error {
	status, body, err := r.get(ctx, path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s answers %d: %.200s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// A remotePage is a page of any list.
type remotePage struct {
	Sagas      []remoteSaga      `json:"sagas"`
	Snapshots  []remoteSummary   `json:"snapshots"`
	Replays    []json.RawMessage `json:"replays"`
	Next       *string           `json:"next_cursor"`
	Unreadable []uuid.UUID       `json:"unreadable"`
}

// pages yields the pages of a list until the first error.
func (r *remote) pages(ctx context.Context, path string, parameters url.Values) iter.Seq2[*remotePage, error] {
	return func(yield func(*remotePage, error) bool) {
		if parameters == nil {
			parameters = url.Values{}
		}
		parameters.Set("limit", strconv.Itoa(pageLimit))
		for {
			page := &remotePage{}
			err := r.decode(ctx, path+"?"+parameters.Encode(), page)
			if !yield(page, err) || err != nil || page.Next == nil {
				return
			}
			parameters.Set("cursor", *page.Next)
		}
	}
}

// A remoteTime is a time as the API spells it; null is saga.Never.
type remoteTime saga.Time

func (t *remoteTime) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*t = remoteTime(saga.Never)
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	parsed, err := saga.ParseTime(s)
	*t = remoteTime(parsed)
	return err
}

func (t remoteTime) String() string { return saga.Time(t).String() }

type remoteSummary struct {
	ID             uuid.UUID  `json:"snapshot_id"`
	SagaID         uuid.UUID  `json:"saga_id"`
	SagaName       string     `json:"saga_name"`
	StepName       string     `json:"step_name"`
	StepIndex      int32      `json:"step_index"`
	Status         string     `json:"status"`
	CreatedAt      remoteTime `json:"created_at"`
	RetentionUntil remoteTime `json:"retention_until"`
	SizeBytes      int64      `json:"size_bytes"`
}

func (s *remoteSummary) summary() saga.Summary {
	return saga.Summary{
		ID: s.ID, SagaID: s.SagaID, SagaName: s.SagaName, StepName: s.StepName, StepIndex: s.StepIndex, Status: s.Status,
		CreatedAt: saga.Time(s.CreatedAt), RetentionUntil: saga.Time(s.RetentionUntil), SizeBytes: s.SizeBytes,
	}
}

func (s *remoteSummary) position() saga.Position {
	return saga.Position{CreatedAt: saga.Time(s.CreatedAt), StepIndex: s.StepIndex, ID: s.ID}
}

type remoteSaga struct {
	ID             uuid.UUID  `json:"saga_id"`
	Name           string     `json:"saga_name"`
	SnapshotCount  int        `json:"snapshot_count"`
	FirstCreatedAt remoteTime `json:"first_created_at"`
	LastCreatedAt  remoteTime `json:"last_created_at"`
	LastSnapshotID uuid.UUID  `json:"last_snapshot_id"`
	LastStepName   string     `json:"last_step_name"`
	LastStepIndex  int32      `json:"last_step_index"`
	LastStatus     string     `json:"last_status"`
	SizeBytes      int64      `json:"size_bytes"`
}

func (s *remoteSaga) position() saga.Position {
	return saga.Position{CreatedAt: saga.Time(s.LastCreatedAt), StepIndex: s.LastStepIndex, ID: s.LastSnapshotID}
}

// remoteStats are those that can be counted.
type remoteStats struct {
	BasePath   string         `json:"base_path"`
	Sagas      int            `json:"total_sagas"`
	Snapshots  int            `json:"total_snapshots"`
	Replays    int            `json:"total_replays"`
	Bytes      int64          `json:"total_size_bytes"`
	ByStatus   map[string]int `json:"snapshots_by_status"`
	Oldest     remoteTime     `json:"oldest_created_at"`
	Newest     remoteTime     `json:"newest_created_at"`
	Unreadable int            `json:"unreadable_files"`
}
