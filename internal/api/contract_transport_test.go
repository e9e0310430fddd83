package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// watched is a transport that lets nothing pass unseen: every answer is held
// against the contract, and so is every request that was granted.
type watched struct {
	next     http.RoundTripper
	report   func(*exchange, error)
	coverage *coverage
}

// watch reports to a test what is not as the contract has it.
func watch(t testing.TB, next http.RoundTripper) http.RoundTripper {
	return &watched{next: next, coverage: &seenBySuite, report: func(x *exchange, err error) {
		t.Errorf("%s %s breaks the contract: %v", x.request.Method, x.request.URL.RequestURI(), err)
	}}
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	x := &exchange{request: r}
	r, err := x.copySent(r)
	if err != nil {
		return nil, err
	}
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	x.status, x.header = resp.StatusCode, resp.Header
	var broken error
	x.received, broken = io.ReadAll(resp.Body)
	x.cutShort = broken != nil
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(x.received), failWith{broken}))
	if op, _ := theContract().find(x.request); op != nil {
		w.coverage.add(op.id, x)
	}
	if err := theContract().check(x); err != nil {
		w.report(x, err)
	}
	return resp, nil
}

// failWith reads as the end, or as what has broken.
type failWith struct{ err error }

func (f failWith) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// copySent keeps a copy of the body; the request it answers still has one.
func (x *exchange) copySent(r *http.Request) (*http.Request, error) {
	if !hasBody(r) {
		return r, nil
	}
	body := r.Body
	if r.GetBody != nil {
		var err error
		if body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	defer body.Close()
	var err error
	if x.sent, err = io.ReadAll(body); err != nil || r.GetBody != nil {
		return r, err
	}
	clone := r.Clone(r.Context())
	clone.Body = io.NopCloser(bytes.NewReader(x.sent))
	return clone, nil
}

// direct is a transport without a network.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r)
	resp := rec.Result()
	if r.Method == http.MethodHead { // as net/http has it
		resp.Body = http.NoBody
	}
	return resp, nil
}

// coverage counts what has been answered: operations with their statuses, and
// with the codes of problems.
type coverage struct {
	mu    sync.Mutex
	pairs map[string]bool // such as "getSaga 404"
	codes map[string]bool // such as "getSaga 404 saga_not_found"
}

var seenBySuite = coverage{pairs: map[string]bool{}, codes: map[string]bool{}}

func (c *coverage) add(operation string, x *exchange) {
	pair := fmt.Sprint(operation, " ", x.status)
	var problem struct{ Code string }
	if x.status >= http.StatusBadRequest && x.header.Get("Content-Encoding") == "" {
		_ = json.Unmarshal(x.received, &problem) // a body that is none is reported elsewhere
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs[pair] = true
	if problem.Code != "" {
		c.codes[pair+" "+problem.Code] = true
	}
}

// unreachable are pairs of operation and status that no test can bring about, each
// with the reason. There are none.
var unreachable = map[string]string{}

// report prints how much of the contract has been answered and fails when there
// is a pair that no test has seen.
func (c *coverage) report(out io.Writer) error {
	pairs, codes := declaredPairs(), declaredCodes()
	var unseen []string
	for _, pair := range slices.Sorted(maps.Keys(pairs)) {
		switch reason, excused := unreachable[pair]; {
		case excused && c.pairs[pair]:
			return errors.New(pair + " is in the table of the unreachable, and has been seen")
		case excused:
			fmt.Fprintf(out, "not reachable: %s: %s\n", pair, reason)
		case !c.pairs[pair]:
			unseen = append(unseen, pair)
			fmt.Fprintln(out, "no test has seen", pair)
		}
	}
	codesSeen := 0
	for code := range codes {
		if c.codes[code] {
			codesSeen++
		} else {
			fmt.Fprintln(out, "no test has seen", code)
		}
	}
	fmt.Fprintf(out, "contract: %d of %d pairs of operation and status, %d of %d with the code of the problem\n",
		len(pairs)-len(unseen)-len(unreachable), len(pairs), codesSeen, len(codes))
	if len(unseen) > 0 || codesSeen < len(codes) {
		return errors.New("the contract says what no test has seen")
	}
	return nil
}

func declaredPairs() map[string]bool {
	pairs := map[string]bool{}
	for _, op := range theContract().operations() {
		for status := range op.spec.Responses.Map() {
			pairs[op.id+" "+status] = true
		}
	}
	return pairs
}

// declaredCodes are those of the answers that have a body to carry them.
func declaredCodes() map[string]bool {
	codes := map[string]bool{}
	for _, op := range theContract().operations() {
		for status, response := range op.spec.Responses.Map() {
			for _, code := range theContract().codes(response) {
				if op.method != http.MethodHead {
					codes[op.id+" "+status+" "+code] = true
				}
			}
		}
	}
	return codes
}
