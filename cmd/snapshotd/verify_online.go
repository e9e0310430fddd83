package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
)

// Kinds of findings that only a daemon's answers have.
const (
	kindDocument filestore.Kind = "document" // not what its summary says
	kindOrder    filestore.Kind = "order"    // a list is out of order
	kindSaga     filestore.Kind = "saga"     // summed up wrongly
	kindStats    filestore.Kind = "stats"    // counted wrongly
)

var kinds = append(slices.Clone(filestore.Kinds), kindDocument, kindOrder, kindSaga, kindStats)

const (
	readers  = 8 // documents that are read at once
	attempts = 3 // to see something that does not change while it is looked at
)

// online asks a daemon for everything, while others may change it: what does not
// fit is asked for again before it is complained of.
func (v *verification) online(ctx context.Context, token string, show *bar) error {
	w := &walk{remote: newRemote(v.URL, token), report: &filestore.Report{Findings: []filestore.Finding{}}, show: show, unreadable: map[uuid.UUID]bool{}}
	defer w.client.CloseIdleConnections()
	var stats remoteStats
	if err := w.decode(ctx, "/v1/stats", &stats); err != nil {
		return err
	}
	w.total = stats.Snapshots
	v.Report = w.report
	v.BasePath = stats.BasePath
	err := w.compare(ctx)
	if w.busy && err == nil {
		v.Notes = append(v.Notes, "the daemon was changing all the while, so its counts could not be compared")
	}
	slices.SortFunc(w.report.Findings, func(a, b filestore.Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail))
	})
	return err
}

// A walk goes through all that a daemon has.
type walk struct {
	*remote
	show  *bar
	total int
	done  atomic.Int64
	busy  bool

	mu         sync.Mutex
	report     *filestore.Report
	unreadable map[uuid.UUID]bool
}

func (w *walk) found(kind filestore.Kind, path, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.Findings = append(w.report.Findings, filestore.Finding{Kind: kind, Path: path, Detail: fmt.Sprintf(format, args...)})
}

// compare reads everything once, and counts until nothing changes meanwhile.
func (w *walk) compare(ctx context.Context) error {
	var why string
	w.busy = true
	for n := range attempts {
		var before, after remoteStats
		if err := w.decode(ctx, "/v1/stats", &before); err != nil {
			return err
		}
		counted, err := w.walk(ctx, n == 0)
		if err != nil {
			return err
		}
		if err := w.decode(ctx, "/v1/stats", &after); err != nil {
			return err
		}
		r := w.report
		r.Sagas, r.Snapshots, r.Replays, r.Bytes = counted.Sagas, counted.Snapshots, counted.Replays, counted.Bytes
		if !reflect.DeepEqual(before, after) {
			continue
		}
		w.busy = false
		if why = counted.differs(&after); why == "" {
			break
		}
	}
	if why != "" && !w.busy {
		w.found(kindStats, "/v1/stats", "%s", why)
	}
	return nil
}

// differs says in what the statistics do not agree with what was counted; "" if
// they do. Replays and unreadable files of sagas without snapshots are in no list.
func (c *remoteStats) differs(said *remoteStats) string {
	for status, n := range said.ByStatus {
		if n == 0 {
			delete(said.ByStatus, status)
		}
	}
	switch {
	case c.Sagas != said.Sagas:
		return fmt.Sprintf("%d sagas are counted, and %d are there", said.Sagas, c.Sagas)
	case c.Snapshots != said.Snapshots:
		return fmt.Sprintf("%d snapshots are counted, and %d are there", said.Snapshots, c.Snapshots)
	case c.Bytes != said.Bytes:
		return fmt.Sprintf("%d bytes are counted, and %d are there", said.Bytes, c.Bytes)
	case !reflect.DeepEqual(c.ByStatus, said.ByStatus):
		return fmt.Sprintf("by status %v are counted, and %v are there", said.ByStatus, c.ByStatus)
	case c.Oldest != said.Oldest || c.Newest != said.Newest:
		return fmt.Sprintf("the oldest is said to be of %s and the newest of %s, and they are of %s and %s",
			saga.Time(said.Oldest), saga.Time(said.Newest), saga.Time(c.Oldest), saga.Time(c.Newest))
	case c.Replays > said.Replays:
		return fmt.Sprintf("%d replays are counted, and %d are there", said.Replays, c.Replays)
	case c.Unreadable < said.Unreadable:
		return fmt.Sprintf("%d unreadable files are counted, and %d are named; stop the daemon and verify its directory to learn the others",
			said.Unreadable, c.Unreadable)
	default:
		return ""
	}
}

// walk counts everything; with documents it also reads all and says what is wrong.
func (w *walk) walk(ctx context.Context, documents bool) (*remoteStats, error) {
	counted := &remoteStats{ByStatus: map[string]int{}, Oldest: remoteTime(saga.Never), Newest: remoteTime(saga.Never)}
	if err := w.walkSnapshots(ctx, documents, counted); err != nil {
		return nil, err
	}
	seen := map[uuid.UUID]bool{}
	var last *saga.Position
	for page, err := range w.pages(ctx, "/v1/sagas", nil) {
		if err != nil {
			return nil, err
		}
		for _, s := range page.Sagas {
			if p := s.position(); last != nil && p.Compare(*last) >= 0 && documents {
				w.found(kindOrder, "/v1/sagas", "saga %s stands behind one that is older", s.ID)
			} else {
				last = &p
			}
			if seen[s.ID] {
				continue // it has moved
			}
			seen[s.ID] = true
			if documents {
				if err := w.checkSaga(ctx, s); err != nil {
					return nil, err
				}
			}
			if err := w.walkReplays(ctx, s.ID, documents, counted); err != nil {
				return nil, err
			}
		}
	}
	counted.Sagas = len(seen)
	counted.Unreadable += len(w.unreadable)
	return counted, nil
}

func (w *walk) walkSnapshots(ctx context.Context, documents bool, counted *remoteStats) error {
	var last *saga.Position
	for page, err := range w.pages(ctx, "/v1/snapshots", url.Values{"view": {"summary"}}) {
		if err != nil {
			return err
		}
		for _, id := range page.Unreadable {
			if err := w.noteUnreadable(ctx, id); err != nil {
				return err
			}
		}
		for _, s := range page.Snapshots {
			p := s.position()
			if last != nil && p.Compare(*last) >= 0 && documents {
				w.found(kindOrder, "/v1/snapshots", "snapshot %s stands behind one that is older", s.ID)
			}
			last = &p
			if counted.Snapshots == 0 {
				counted.Newest = s.CreatedAt
			}
			counted.Oldest = s.CreatedAt
			counted.Snapshots++
			counted.Bytes += s.SizeBytes
			counted.ByStatus[s.Status]++
		}
		if documents {
			if err := w.readDocuments(ctx, page.Snapshots); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) readDocuments(ctx context.Context, summaries []remoteSummary) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan remoteSummary)
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			for s := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := w.checkDocument(ctx, s); err != nil {
					cancel(err)
				}
				w.show.update(int(w.done.Add(1)), w.total)
			}
		})
	}
	for _, s := range summaries {
		work <- s
	}
	close(work)
	group.Wait()
	return context.Cause(ctx)
}

var errVanished = errors.New("it is listed, and it is not there")

// checkDocument compares a document with its summary. If they do not agree, it
// looks whether the summary still stands.
func (w *walk) checkDocument(ctx context.Context, s remoteSummary) error {
	path := "/v1/snapshots/" + s.ID.String()
	var wrong error
	for range attempts {
		status, body, err := w.get(ctx, path)
		if err != nil {
			return err
		}
		switch status {
		case http.StatusInternalServerError:
			return w.noteUnreadable(ctx, s.ID)
		case http.StatusNotFound:
			wrong = errVanished
		default:
			wrong = matches(body, s.summary())
		}
		if wrong == nil {
			return nil
		}
		now, err := w.find(ctx, s.SagaID, s.ID)
		if err != nil || now == nil {
			return err // deleted meanwhile
		}
		if *now != s {
			wrong = nil // and saved anew
		}
		s = *now
	}
	if wrong != nil {
		w.found(kindDocument, path, "%v", wrong)
	}
	return nil
}

func matches(body []byte, want saga.Summary) error {
	s, _, err := saga.ReadSnapshot(body)
	if err != nil {
		return err
	}
	got := s.Summary
	got.SizeBytes = want.SizeBytes
	if got != want {
		return errors.New("in its summary " + differences(want, got))
	}
	return nil
}

// find answers the summary of a snapshot as it is listed now, nil if it is not.
func (w *walk) find(ctx context.Context, sagaID, id uuid.UUID) (*remoteSummary, error) {
	for page, err := range w.pages(ctx, sagaPath(sagaID)+"/snapshots", url.Values{"view": {"summary"}}) {
		if err != nil {
			return nil, err
		}
		for _, s := range page.Snapshots {
			if s.ID == id {
				return &s, nil
			}
		}
	}
	return nil, nil
}

func sagaPath(id uuid.UUID) string { return "/v1/sagas/" + id.String() }

// noteUnreadable complains of a snapshot once.
func (w *walk) noteUnreadable(ctx context.Context, id uuid.UUID) error {
	w.mu.Lock()
	known := w.unreadable[id]
	w.unreadable[id] = true
	w.mu.Unlock()
	if known {
		return nil
	}
	path := "/v1/snapshots/" + id.String()
	status, body, err := w.get(ctx, path)
	if err != nil {
		return err
	}
	var problem struct{ Detail string }
	switch {
	case status == http.StatusOK:
		w.found(filestore.KindShadowed, path, "another file of the same id counts")
	case status == http.StatusNotFound: // deleted meanwhile
	case json.Unmarshal(body, &problem) == nil && problem.Detail != "":
		w.found(filestore.KindUnreadable, path, "%s", problem.Detail)
	default:
		w.found(filestore.KindUnreadable, path, "it cannot be read")
	}
	return nil
}
