package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"snapshotd/internal/access"
	"snapshotd/internal/saga"
)

// challenge is what a request without a valid token is answered with (RFC 6750,
// section 3). A wrong token and none are answered alike.
const challenge = `Bearer realm="snapshotd"`

// authorize finds out who sends the request and whether they may. Without tokens
// everybody is one who may do everything; with tokens the caller of an open route
// is not asked for one.
func (c *call) authorize() error {
	tokens := c.server.cfg.Tokens
	switch {
	case tokens == nil:
		c.caller = access.Everybody
		return nil
	case c.route.scope == access.Open:
		return nil
	}
	c.caller = tokens.Authenticate(bearer(c.r))
	if c.caller == nil {
		p := problemf(http.StatusUnauthorized, codeUnauthorized, "A valid token was expected, sent as Authorization: Bearer TOKEN.")
		p.header = map[string]string{"WWW-Authenticate": challenge}
		return p
	}
	exchangeOf(c.r).caller = c.caller.Name
	if wait := c.caller.Wait(); wait > 0 {
		p := problemf(http.StatusTooManyRequests, codeRateLimited, "This token may be used less often than that.")
		p.header = map[string]string{"Retry-After": strconv.Itoa(int(math.Ceil(wait.Seconds())))}
		return p
	}
	return c.need(c.route.scope, "This route")
}

// need refuses a caller who lacks a scope; what is what needs it.
func (c *call) need(scope access.Scope, what string) error {
	if c.caller.May(scope) {
		return nil
	}
	p := problemf(http.StatusForbidden, codeInsufficientScope, "%s needs the scope %s, which the token does not have.", what, scope)
	p.Scope = scope.String()
	p.header = map[string]string{"WWW-Authenticate": fmt.Sprintf(`%s, error="insufficient_scope", scope="%s"`, challenge, scope)}
	return p
}

// bearer answers the token that a request brings, "" if it brings none, or several.
func bearer(r *http.Request) string {
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// A replay is initiated by the caller. Only an admin may name somebody else, or
// change what a stored record says. Without tokens callers have no names, and a
// request says what it likes.

const foreignInitiator = "An initiated_by other than the caller"

func (c *call) nameRequestInitiator(q *saga.ReplayRequest) error {
	switch {
	case !q.HasInitiatedBy && c.caller.Name != "":
		q.InitiatedBy = c.caller.Name
	case q.InitiatedBy != c.caller.Name:
		return c.need(access.Admin, foreignInitiator)
	}
	return nil
}

// nameRecordInitiator lets runtimes send whole records: to repeat what is stored
// claims nothing.
func (c *call) nameRecordInitiator(d *saga.ReplayDraft) error {
	if !d.HasInitiatedBy && c.caller.Name != "" {
		d.InitiatedBy = c.caller.Name // of a new record
	}
	if !d.HasInitiatedBy || c.caller.May(access.Admin) {
		return nil
	}
	allowed := c.caller.Name
	switch stored, err := c.archive.Replay(c.ctx(), d.ID); {
	case err == nil:
		allowed = stored.InitiatedBy
	case !errors.Is(err, saga.ErrReplayNotFound):
		return err
	}
	if d.InitiatedBy != allowed {
		return c.need(access.Admin, foreignInitiator)
	}
	return nil
}
