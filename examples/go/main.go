// Command go shows snapshotd to a Go runtime: it saves five steps of a saga, fails at the fifth, looks back, and
// replays it with a corrected context.
//
//	SNAPSHOTD_URL=http://127.0.0.1:7420 go run ./examples/go
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

type snapshot struct {
	SagaID         string          `json:"saga_id"`
	SagaName       string          `json:"saga_name"`
	StepName       string          `json:"step_name"`
	StepIndex      int             `json:"step_index"`
	Status         string          `json:"status"`
	Context        json.RawMessage `json:"context"` // as bytes: a float64 would round the serial
	CompletedSteps []string        `json:"completed_steps"`
	CreatedAt      time.Time       `json:"created_at"`
}

type replay struct {
	ReplayID     string `json:"replay_id"`
	ReplayStatus string `json:"replay_status"`
}

type resume struct {
	SagaID         string          `json:"saga_id"`
	StepName       string          `json:"step_name"`
	CompletedSteps []string        `json:"completed_steps"`
	Context        json.RawMessage `json:"context"`
}

// problem is RFC 9457's, as every 4xx and 5xx has it.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

type client struct {
	url   string
	token string // "" = none is asked for
	http  http.Client
}

// call sends in and decodes the answer into out; either may be nil. Every request of this program carries its id and
// may be repeated, so one that got no answer or a 429 or a 503 is tried again.
func (c *client) call(method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false) // or <, > and & in a context are respelled
		if err := enc.Encode(in); err != nil {
			return err
		}
	}
	const tries = 5
	for try := 1; ; try++ {
		wait, err := c.once(method, path, body.Bytes(), out)
		if err == nil || wait == 0 || try == tries {
			return err
		}
		time.Sleep(wait)
	}
}

// once sends one request. With an error it says how long to wait before the next try; 0 means that none will help.
func (c *client) once(method, path string, body []byte, out any) (wait time.Duration, err error) {
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return time.Second, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return time.Second, err
	}
	if resp.StatusCode < 300 {
		if out == nil {
			return 0, nil
		}
		return 0, json.Unmarshal(answer, out)
	}
	p := &problem{Status: resp.StatusCode}
	if err := json.Unmarshal(answer, p); err != nil {
		p.Detail = string(answer) // not from snapshotd, perhaps from a proxy
	}
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		wait = time.Duration(max(seconds, 1)) * time.Second
	}
	return wait, p
}

var steps = []string{"validate_order", "reserve_inventory", "charge_payment", "book_courier", "notify_customer"}

const (
	wrong     = `{"order":"A-17","serial":12345678901234567890123,"email":"ada@example,org"}`
	corrected = `{"order":"A-17","serial":12345678901234567890123,"email":"ada@example.org"}`
)

func run(c *client) error {
	saga := uuid.NewString()
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

	for i, step := range steps {
		s := snapshot{
			SagaID:         saga,
			SagaName:       "order_processing",
			StepName:       step,
			StepIndex:      i,
			Status:         "executing",
			Context:        json.RawMessage(wrong),
			CompletedSteps: steps[:i],
			CreatedAt:      start.Add(time.Duration(i) * time.Minute),
		}
		if step == "notify_customer" {
			s.Status = "failed"
		}
		if err := c.call(http.MethodPut, "/v1/snapshots/"+uuid.NewString(), s, nil); err != nil {
			return err
		}
		fmt.Printf("saved %s: %s\n", step, s.Status)
	}

	// A page of two, to show how to follow the cursor.
	var listed []string
	query := url.Values{"limit": {"2"}, "view": {"summary"}}
	for {
		var page struct {
			Snapshots  []snapshot `json:"snapshots"`
			NextCursor *string    `json:"next_cursor"`
		}
		if err := c.call(http.MethodGet, "/v1/sagas/"+saga+"/snapshots?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		for _, s := range page.Snapshots {
			listed = append(listed, s.StepName)
		}
		if page.NextCursor == nil {
			break
		}
		query.Set("cursor", *page.NextCursor)
	}
	slices.Reverse(listed)
	if !slices.Equal(listed, steps) {
		return fmt.Errorf("the list has %v", listed)
	}
	fmt.Printf("listed %d snapshots\n", len(listed))

	var then snapshot
	query = url.Values{"at": {start.Add(150 * time.Second).Format(time.RFC3339Nano)}}
	if err := c.call(http.MethodGet, "/v1/sagas/"+saga+"/snapshots/latest?"+query.Encode(), nil, &then); err != nil {
		return err
	}
	var context struct {
		Serial json.Number `json:"serial"`
	}
	if err := json.Unmarshal(then.Context, &context); err != nil {
		return err
	}
	if then.StepName != "charge_payment" || context.Serial != "12345678901234567890123" {
		return fmt.Errorf("at 10:02:30 it was at %s, serial %s", then.StepName, context.Serial)
	}
	fmt.Printf("at 10:02:30 it was at %s, serial %s\n", then.StepName, context.Serial)

	var prepared struct {
		Replay replay `json:"replay"`
		Resume resume `json:"resume"`
	}
	err := c.call(http.MethodPost, "/v1/sagas/"+saga+"/replays", map[string]any{
		"replay_id":        uuid.NewString(),
		"checkpoint_step":  "notify_customer",
		"context_override": map[string]any{"email": "ada@example.org"},
	}, &prepared)
	if err != nil {
		return err
	}
	if got := prepared.Resume; string(got.Context) != corrected || !slices.Equal(got.CompletedSteps, steps[:4]) {
		return fmt.Errorf("to resume: %s after %v", got.Context, got.CompletedSteps)
	}
	fmt.Printf("replaying %s with %s\n", prepared.Resume.StepName, prepared.Resume.Context)

	// Here the runtime runs what is left of the saga, as prepared.Resume.SagaID.

	var reported replay
	id := prepared.Replay.ReplayID
	err = c.call(http.MethodPatch, "/v1/replays/"+id, map[string]any{"replay_status": "success"}, &reported)
	if err != nil {
		return err
	}
	if reported.ReplayStatus != "success" {
		return fmt.Errorf("replay %s: %s", id, reported.ReplayStatus)
	}
	fmt.Printf("replay %s: %s\n", id, reported.ReplayStatus)
	return nil
}

func main() {
	c := &client{
		url:   cmp.Or(os.Getenv("SNAPSHOTD_URL"), "http://127.0.0.1:7420"),
		token: os.Getenv("SNAPSHOTD_TOKEN"),
		http:  http.Client{Timeout: 30 * time.Second},
	}
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
