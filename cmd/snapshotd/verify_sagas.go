package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// checkSaga compares a saga's sum with its list. It complains when the sum was the
// same before and behind a list that it does not fit.
func (w *walk) checkSaga(ctx context.Context, said remoteSaga) error {
	path := sagaPath(said.ID)
	var wrong string
	for range attempts {
		is := remoteSaga{ID: said.ID}
		var last *saga.Position
		for page, err := range w.pages(ctx, path+"/snapshots", url.Values{"view": {"summary"}}) {
			if err != nil {
				return err
			}
			for _, s := range page.Snapshots {
				p := s.position()
				if last != nil && p.Compare(*last) >= 0 || s.SagaID != said.ID {
					w.found(kindOrder, path+"/snapshots", "snapshot %s of saga %s stands behind one that is older, or is of another saga", s.ID, s.SagaID)
				}
				if last == nil {
					is.Name, is.LastCreatedAt, is.LastSnapshotID = s.SagaName, s.CreatedAt, s.ID
					is.LastStepName, is.LastStepIndex, is.LastStatus = s.StepName, s.StepIndex, s.Status
				}
				last = &p
				is.FirstCreatedAt = s.CreatedAt
				is.SnapshotCount++
				is.SizeBytes += s.SizeBytes
			}
		}
		if is == said {
			return nil
		}
		var now remoteSaga
		status, body, err := w.get(ctx, path)
		if err != nil || status == http.StatusNotFound {
			return err // deleted meanwhile
		}
		if err := json.Unmarshal(body, &now); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		wrong = ""
		if now == said {
			wrong = differences(said, is)
		}
		said = now
	}
	if wrong != "" {
		w.found(kindSaga, path, "%s", wrong)
	}
	return nil
}

func (w *walk) walkReplays(ctx context.Context, sagaID uuid.UUID, documents bool, counted *remoteStats) error {
	path := sagaPath(sagaID) + "/replays"
	var last *saga.Position
	for page, err := range w.pages(ctx, path, nil) {
		if err != nil {
			return err
		}
		for _, id := range page.Unreadable {
			if counted.Unreadable++; documents {
				w.found(filestore.KindUnreadable, "/v1/replays/"+id.String(), "it cannot be read")
			}
		}
		for _, text := range page.Replays {
			counted.Replays++
			r, err := saga.ReadReplay(text)
			if !documents {
				continue
			}
			if err != nil {
				w.found(kindDocument, path, "%v", err)
				continue
			}
			p := saga.Position{CreatedAt: r.CreatedAt, ID: r.ID}
			if last != nil && p.Compare(*last) >= 0 || r.OriginalSagaID != sagaID {
				w.found(kindOrder, path, "replay %s of saga %s stands behind one that is older, or is of another saga", r.ID, r.OriginalSagaID)
			}
			last = &p
		}
	}
	return nil
}

// differences names the fields in which two values of one type differ.
func differences(said, is any) string {
	a, b := reflect.ValueOf(said), reflect.ValueOf(is)
	var all []string
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			all = append(all, fmt.Sprintf("%s is said to be %v, and is %v", name, x, y))
		}
	}
	return strings.Join(all, "; ")
}
