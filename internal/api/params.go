package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// parseQuery takes the query apart and refuses what the route does not know: a
// mistyped dry_run must not delete.
func (c *call) parseQuery() error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	c.pretty = wantsPretty(c.r)
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return problemf(http.StatusBadRequest, "invalid_parameter", "The query cannot be taken apart; reserved characters in it are percent-encoded.")
	}
	known := c.route.parameters()
	for _, name := range sortedNames(c.query) {
		if !slices.Contains(known, name) {
			return unknownParameter(name, known)
		}
		if len(c.query[name]) > 1 {
			return invalidParameter(name, "one value was expected, not %d", len(c.query[name]))
		}
	}
	c.pretty, err = c.flag("pretty")
	return err
}

func unknownParameter(name string, known []string) error {
	there := "known are " + strings.Join(known, ", ")
	if len(known) == 0 {
		there = "there is none"
	}
	return problemf(http.StatusBadRequest, "unknown_parameter", "No parameter is called %q here; %s.", name, there)
}

// sortedNames makes the first complaint the same every time.
func sortedNames(query url.Values) []string {
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// wantsPretty is for answers given before the query has been checked.
func wantsPretty(r *http.Request) bool {
	values := r.URL.Query()["pretty"]
	return len(values) == 1 && (values[0] == "" || values[0] == "true")
}

func invalidParameter(name, format string, args ...any) error {
	p := problemf(http.StatusBadRequest, "invalid_parameter", format, args...)
	p.Detail = "The parameter " + name + ": " + p.Detail + "."
	return p
}

// flag reads a boolean: set by its name alone or by true; false when it is absent.
func (c *call) flag(name string) (bool, error) {
	if !c.query.Has(name) {
		return false, nil
	}
	switch c.query.Get(name) {
	case "":
		// Bare means true. Behind an equals sign something is missing, which matters
		// where things are deleted.
		if name == "pretty" || !strings.Contains("&"+c.r.URL.RawQuery, "&"+name+"=") {
			return true, nil
		}
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalidParameter(name, "true or false was expected")
}

// full reads view: full documents or summaries.
func (c *call) full(byDefault bool) (bool, error) {
	if !c.query.Has("view") {
		return byDefault, nil
	}
	switch c.query.Get("view") {
	case "full":
		return true, nil
	case "summary":
		return false, nil
	}
	return false, invalidParameter("view", "full or summary was expected")
}

// listQuery reads whatever chooses and orders what a list answers. Of the names
// below a route lets through those that it knows.
func (c *call) listQuery(sagaID uuid.NullUUID) (*saga.Query, error) {
	q := &saga.Query{SagaID: sagaID, Limit: defaultLimit}
	if len(c.query) == 0 {
		return q, nil
	}
	for _, read := range []func(*saga.Query) error{c.readNames, c.readTimes, c.readOrder, c.readLimit} {
		if err := read(q); err != nil {
			return nil, err
		}
	}
	if !c.query.Has("cursor") {
		return q, nil
	}
	from, ok := parseCursor(c.query.Get("cursor"), c.route.pattern, q)
	if !ok {
		return nil, problemf(http.StatusBadRequest, "invalid_cursor", "A next_cursor of this list, with the same filters and order, was expected.")
	}
	q.From = &from
	return q, nil
}

func (c *call) readNames(q *saga.Query) error {
	for _, field := range []struct {
		name string
		dst  *string
	}{{"saga_name", &q.SagaName}, {"step_name", &q.StepName}, {"status", &q.Status}} {
		if !c.query.Has(field.name) {
			continue
		}
		*field.dst = c.query.Get(field.name)
		if *field.dst == "" || !utf8.ValidString(*field.dst) {
			return invalidParameter(field.name, "a text in UTF-8 that is not empty was expected")
		}
	}
	if q.Status != "" && !saga.IsStatus(q.Status) {
		return invalidParameter("status", "a lower-case letter followed by at most 49 lower-case letters, digits or underscores was expected")
	}
	return nil
}

func (c *call) readTimes(q *saga.Query) error {
	for _, field := range []struct {
		name string
		dst  **saga.Time
	}{{"after", &q.After}, {"before", &q.Before}, {"at", &q.At}} {
		if !c.query.Has(field.name) {
			continue
		}
		t, err := saga.ParseTime(offsetPlus(c.query.Get(field.name)))
		if err != nil {
			return invalidParameter(field.name, "%v", err)
		}
		*field.dst = &t
	}
	return nil
}

// offsetPlus undoes what a query does to the plus before an offset.
func offsetPlus(s string) string {
	if at := len(s) - len(" 00:00"); at > 0 && s[at] == ' ' {
		return s[:at] + "+" + s[at+1:]
	}
	return s
}

func (c *call) readOrder(q *saga.Query) error {
	if !c.query.Has("order") {
		return nil
	}
	switch c.query.Get("order") {
	case "asc":
		q.Ascending = true
	case "desc":
	default:
		return invalidParameter("order", "asc or desc was expected")
	}
	return nil
}

func (c *call) readLimit(q *saga.Query) error {
	if !c.query.Has("limit") {
		return nil
	}
	text := c.query.Get("limit")
	digits := text != "" && strings.Trim(text, "0123456789") == ""
	n, err := strconv.Atoi(text)
	switch {
	case !digits || err == nil && n == 0:
		return invalidParameter("limit", "a whole number from 1 to %d was expected", maxLimit)
	case err != nil || n > maxLimit: // too long for an int is also too large
		q.Limit = maxLimit
	default:
		q.Limit = n
	}
	return nil
}
