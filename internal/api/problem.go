package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// Codes that are used in more than one place.
const (
	codeStarting       = "starting"
	codeDraining       = "draining"
	codeDegraded       = "degraded"
	codeOverloaded     = "overloaded"
	codeBodyTooLarge   = "body_too_large"
	codeHostNotAllowed = "host_not_allowed"
	codeCrossOrigin    = "cross_origin"
	codeInternal       = "internal"

	codeUnauthorized      = "unauthorized"
	codeInsufficientScope = "insufficient_scope"
	codeRateLimited       = "rate_limited"
)

// RejectReasons are the problem codes of requests that were turned away unseen,
// as Config.Rejected hears of them.
var RejectReasons = []string{
	codeStarting, codeDraining, codeOverloaded, codeBodyTooLarge, codeHostNotAllowed, codeCrossOrigin,
	codeUnauthorized, codeInsufficientScope, codeRateLimited,
}

// retryAfter is in seconds, for the codes that go away by themselves.
var retryAfter = map[string]string{
	codeStarting: "1", codeDraining: "5", codeDegraded: "30", codeOverloaded: "1", "outcome_unknown": "1",
}

// A problem is an answer of RFC 9457; its type is about:blank.
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	Code      string       `json:"code"`
	RequestID string       `json:"request_id"`
	Errors    []fieldError `json:"errors,omitzero"`

	AvailableSteps []string  `json:"available_steps,omitzero"`
	ReplayID       uuid.UUID `json:"replay_id,omitzero"`
	Reason         string    `json:"reason,omitzero"`
	Checks         []check   `json:"checks,omitzero"`
	Scope          string    `json:"scope,omitzero"`

	header map[string]string // beside those of every problem
}

type fieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

func (p *problem) rejected() bool { return p.Reason == "" && slices.Contains(RejectReasons, p.Code) }

func problemf(status int, code, format string, args ...any) *problem {
	return &problem{Type: "about:blank", Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// problems says what each error of the layers below is on the wire. Without a
// detail it is the error's own text.
var problems = []struct {
	err    error
	status int
	code   string
	detail string
}{
	{saga.ErrSnapshotNotFound, http.StatusNotFound, "snapshot_not_found", "No snapshot has this id."},
	{saga.ErrSagaNotFound, http.StatusNotFound, "saga_not_found", "The saga has no snapshots."},
	{saga.ErrReplayNotFound, http.StatusNotFound, "replay_not_found", "No replay has this id."},
	{document.ErrPointerNotFound, http.StatusNotFound, "pointer_not_found", "The pointer leads to no value in this document."},
	{document.ErrPointerSyntax, http.StatusBadRequest, "invalid_pointer", ""},
	{saga.ErrConflict, http.StatusConflict, "snapshot_conflict", "The id is taken by other content, and a snapshot never changes."},
	{saga.ErrReplayConflict, http.StatusConflict, "replay_conflict", ""},
	{saga.ErrPrecondition, http.StatusPreconditionFailed, "precondition_failed", "The snapshot exists, and If-None-Match: * asks for a new one."},
	{saga.ErrUnsupported, http.StatusNotImplemented, "unsupported_by_store", "The store behind this server cannot do that."},
	{saga.ErrOutcomeUnknown, http.StatusServiceUnavailable, "outcome_unknown", "Whether the change is on disk is not known; the same request with the same id settles it."},
	{saga.ErrNoSpace, http.StatusInsufficientStorage, "no_space", "The store has no space left. Nothing was saved; reading and deleting go on."},
	{saga.ErrDegraded, http.StatusServiceUnavailable, codeDegraded, "The store takes no changes until it is restarted; reading goes on."},
	{saga.ErrReadOnly, http.StatusServiceUnavailable, codeDegraded, "The store cannot be written at the moment; reading goes on."},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, codeOverloaded, "The store did not answer in time."},
}

// problemOf finds the answer to an error; one that is not known is a 500 that
// says nothing.
func problemOf(err error) *problem {
	var p *problem
	var invalid saga.InvalidError
	var corrupt *saga.CorruptError
	var noCheckpoint *saga.CheckpointNotFoundError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		return invalidBody(invalid)
	case errors.As(err, &corrupt):
		return problemf(http.StatusInternalServerError, "snapshot_unreadable", "The stored document %s cannot be read.", corrupt.ID)
	case errors.As(err, &noCheckpoint):
		return checkpointNotFound(noCheckpoint)
	}
	for _, known := range problems {
		if errors.Is(err, known.err) {
			detail := known.detail
			if detail == "" {
				detail = sentence(err.Error())
			}
			return problemf(known.status, known.code, "%s", detail)
		}
	}
	return problemf(http.StatusInternalServerError, codeInternal, "Something went wrong inside the server; its log knows more under the request id.")
}

// maxFieldErrors bounds a problem document; the first errors say enough.
const maxFieldErrors = 100

func invalidBody(invalid saga.InvalidError) *problem {
	first := invalid[0]
	detail := sentence(first.Detail)
	if first.Pointer != "" {
		detail = fmt.Sprintf("At %s: %s.", first.Pointer, strings.TrimSuffix(first.Detail, "."))
	}
	if more := len(invalid) - 1; more > 0 {
		detail += fmt.Sprintf(" That is one of %d errors.", more+1)
	}
	p := problemf(http.StatusBadRequest, string(first.Code), "%s", detail)
	for _, e := range invalid[:min(len(invalid), maxFieldErrors)] {
		p.Errors = append(p.Errors, fieldError{Pointer: e.Pointer, Detail: e.Detail})
	}
	return p
}

func checkpointNotFound(e *saga.CheckpointNotFoundError) *problem {
	if e.ReplayID == uuid.Nil {
		return problemf(http.StatusNotFound, "checkpoint_not_found", "The saga %s has no snapshot with this id.", e.SagaID)
	}
	p := problemf(http.StatusNotFound, "checkpoint_not_found", "The saga %s has no snapshot at step %q to start from.", e.SagaID, e.Step)
	p.ReplayID = e.ReplayID
	p.AvailableSteps = append([]string{}, e.AvailableSteps...)
	return p
}

// sentence makes one of an error's text.
func sentence(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[n:], ".") + "."
}

// routeNotFound answers where no pattern fits the path.
func (s *Server) routeNotFound(w http.ResponseWriter, r *http.Request) {
	c := &call{server: s, w: w, r: r, pretty: wantsPretty(r)}
	c.fail(problemf(http.StatusNotFound, "route_not_found", "No route has this path; /openapi.yaml lists them."))
}

// methodNotAllowed answers where a pattern fits, but not with this method. The
// router comes here with every method it does not know, whatever the path.
func (s *Server) methodNotAllowed(mux *chi.Mux, w http.ResponseWriter, r *http.Request) {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	var allowed []string
	for _, method := range methods {
		asked := method
		if method == http.MethodHead {
			asked = http.MethodGet
		}
		if mux.Match(chi.NewRouteContext(), asked, path) {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		s.routeNotFound(w, r)
		return
	}
	list := strings.Join(allowed, ", ")
	w.Header().Set("Allow", list)
	c := &call{server: s, w: w, r: r, pretty: wantsPretty(r)}
	c.fail(problemf(http.StatusMethodNotAllowed, "method_not_allowed", "This route takes %s.", list))
}
