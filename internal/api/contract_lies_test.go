package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"snapshotd/internal/store/memstore"
)

// lying is a transport whose answers are no longer what the server said.
type lying struct {
	next http.RoundTripper
	lie  func(*falsehood)
}

// A falsehood is an answer that may be changed.
type falsehood struct {
	*http.Response
	body string
}

func (l lying) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	f := &falsehood{resp, string(body)}
	l.lie(f)
	resp.Body = io.NopCloser(bytes.NewBufferString(f.body))
	return resp, nil
}

func (f *falsehood) replace(old, new string) {
	if !strings.Contains(f.body, old) {
		panic(fmt.Sprintf("%q is not in %s", old, f.body))
	}
	f.body = strings.Replace(f.body, old, new, 1)
}

func status(code int) func(*falsehood) { return func(f *falsehood) { f.StatusCode = code } }

func header(name, value string) func(*falsehood) {
	return func(f *falsehood) {
		if value == "" {
			f.Header.Del(name)
		} else {
			f.Header.Set(name, value)
		}
	}
}

func text(old, new string) func(*falsehood) { return func(f *falsehood) { f.replace(old, new) } }

func whole200(body string) func(*falsehood) {
	return func(f *falsehood) {
		f.StatusCode, f.body = 200, body
		f.Header.Set("Content-Type", "application/json")
	}
}

// Each lie about an answer is found, and found to be what it is.
func TestTheValidatorFindsLies(t *testing.T) {
	snapshot, sagaPath := "/v1/snapshots/"+snapshotID(1), "/v1/sagas/"+sagaID(1)
	for _, c := range []struct {
		name, request string
		headers       []string
		lie           func(*falsehood)
		found         string
	}{
		{"an undeclared field", "GET " + sagaPath, nil, text(`{"saga_id"`, `{"colour":"red","saga_id"`), "'colour' not allowed"},
		{"one in a receipt", "PUT " + snapshot, nil, text(`"size_bytes"`, `"files":1,"size_bytes"`), "'files' not allowed"},
		{"one in a document", "GET " + snapshot, nil, text(`"status"`, `"colour":1,"status"`), "'colour' not allowed"},
		{"one in a page", "GET " + sagaPath + "/snapshots", nil, text(`"next_cursor"`, `"total":1,"next_cursor"`), "'total' not allowed"},
		{"one in a problem", "GET /v1/sagas/" + sagaID(9), nil, text(`"code"`, `"hint":"x","code"`), "'hint' not allowed"},
		{"a missing field", "GET /v1/stats", nil, text(`"total_sagas":1,`, ""), "missing property 'total_sagas'"},
		{"a field of another type", "GET /v1/stats", nil, text(`"total_sagas":1`, `"total_sagas":"1"`), "/total_sagas"},
		{"null where none is allowed", "GET /v1/stats", nil, text(`"total_sagas":1`, `"total_sagas":null`), "/total_sagas"},
		{"a time of another spelling", "GET " + sagaPath, nil, text("+00:00", "Z"), "/first_created_at"},
		{"a constant, which is of 2020-12", "GET /v1/sagas/" + sagaID(9), nil, text("about:blank", "about:blanc"), "'about:blank'"},
		{"the name of a property, as well", "GET /v1/stats", nil, text(`"cancelled":0`, `"cancelled":0,"paused":1`), "'paused'"},
		{"a required pair, as well", "POST " + sagaPath + "/replays", nil, text(`"available_steps":["pay"],`, ""), "'available_steps' required"},

		{"an undeclared status", "GET /v1/stats", nil, status(202), "the status 202 is not declared"},
		{"one of HEAD", "HEAD /v1/stats", nil, status(202), "the status 202 is not declared"},
		{"one that is declared elsewhere", "GET /healthz", nil, status(503), "the status 503 is not declared"},
		{"the status of another answer", "GET /v1/sagas/" + sagaID(9), nil, status(400), "/status"},

		{"an undeclared header", "GET /v1/stats", nil, header("X-Powered-By", "coffee"), "the header X-Powered-By is not declared"},
		{"one of HEAD", "HEAD /v1/stats", nil, header("X-Powered-By", "coffee"), "the header X-Powered-By is not declared"},
		{"one of 204", "DELETE " + snapshot, nil, header("Etag", `"x"`), "the header Etag is not declared"},
		{"one of 304", "GET " + snapshot, []string{"If-None-Match", "*"}, header("Link", "x"), "the header Link is not declared"},
		{"a missing header", "GET /v1/stats", nil, header("X-Request-Id", ""), "the header X-Request-Id is missing"},
		{"one of HEAD", "HEAD " + snapshot, nil, header("ETag", ""), "the header Etag is missing"},
		{"one of 304", "GET " + snapshot, []string{"If-None-Match", "*"}, header("ETag", ""), "the header Etag is missing"},
		{"a header that is not as declared", "GET " + snapshot, nil, header("Cache-Control", "public"), "the header Cache-Control"},
		{"a weak tag", "GET " + snapshot, nil, header("ETag", `W/"x"`), "the header Etag"},
		{"a header that stands there twice", "GET " + snapshot, nil, func(f *falsehood) { f.Header.Add("ETag", `"x"`) }, "2 times"},

		{"a code that is not listed here", "GET /v1/sagas/" + sagaID(9), nil, text("saga_not_found", "snapshot_not_found"), "/code"},
		{"a code that is not listed anywhere", "GET /v1/sagas/" + sagaID(9), nil, text("saga_not_found", "saga_lost"), "/code"},
		{"the code of another status", "GET /v1/stats?x", nil, text("unknown_parameter", "saga_not_found"), "/code"},
		{"the problem of another request", "GET /v1/stats?x", []string{"X-Request-Id", "r1"}, text("r1", "r2"), "of another answer"},

		{"an undeclared media type", "GET /v1/stats", nil, header("Content-Type", "text/html"), `"text/html" is not declared`},
		{"a problem that is plain JSON", "GET /v1/stats?x", nil, header("Content-Type", "application/json"), "is not declared"},
		{"a type of HEAD", "HEAD /v1/stats", nil, header("Content-Type", "text/html"), `"text/html" is not declared`},
		{"a body where there is none", "DELETE " + snapshot, nil, func(f *falsehood) { f.body = "{}" }, "no body is declared"},
		{"no JSON", "GET /v1/stats", nil, text("}", ""), "the body is no application/json"},
		{"an undeclared coding", "GET /v1/stats", nil, header("Content-Encoding", "br"), "the header Content-Encoding"},
		{"a coding that the body does not have", "GET /v1/stats", nil, header("Content-Encoding", "gzip"), "the content coding"},

		{"a part for the whole", "GET " + snapshot, nil, whole200("{}\n"), "missing properties"},
		{"documents for summaries", "GET /v1/snapshots", nil, text(`"size_bytes":`, `"context":{},"size_bytes":`), "'context' not allowed"},
		{"a dry run for a clean-up", "POST /v1/cleanup?dry_run", nil, whole200(`{"dry_run":false,"deleted":0,"reclaimed_bytes":0,"remaining":0}` + "\n"), "/dry_run"},

		{"a route that is not declared", "GET /v1/secrets", nil, whole200("{}"), "no such route"},
		{"a method that is not declared", "DELETE /v1/stats", nil, whole200("{}"), "no such route"},
		{"methods that there are not", "DELETE /v1/stats", nil, header("Allow", "GET, HEAD, POST"), "Allow"},
		{"a parameter that is not declared", "GET /v1/stats?colour=red", nil, whole200("{}"), "took the parameter colour"},
		{"a limit of none", "GET /v1/snapshots?limit=0", nil, whole200(`{"snapshots":[],"next_cursor":null}`), "took limit in the query"},
		{"an id that is none", "GET /v1/sagas/x", nil, whole200("{}"), "took saga_id in the path"},
		{"a tag on a save", "PUT " + snapshot, []string{"If-None-Match", `"x"`}, whole200("{}"), "took If-None-Match in the header"},
		{"a body of another type", "PUT " + snapshot, []string{"Content-Type", "text/plain"}, whole200("{}"), `took the media type "text/plain"`},
		{"a body that is not declared so", "PATCH /v1/replays/" + replayID(1), nil, whole200("{}"), "took a body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, memstore.New())
			w.do("PUT", snapshot, whole("status", `"failed"`)).is(201)
			method, path, _ := strings.Cut(c.request, " ")
			body := ""
			switch method {
			case "PUT":
				body = whole("status", `"failed"`)
			case "POST", "PATCH":
				body = `{"checkpoint_step": "ship"}`
			}

			found, told := ask(w, lying{direct{w.server}, func(*falsehood) {}}, method, path, body, c.headers...)
			if len(found) > 0 {
				t.Fatal("the truth is taken for a lie:", found)
			}
			if method == "DELETE" && told == http.StatusNoContent {
				w.do("PUT", snapshot, whole("status", `"failed"`)).is(201)
			}
			found, _ = ask(w, lying{direct{w.server}, c.lie}, method, path, body, c.headers...)
			if len(found) != 1 || !strings.Contains(found[0].Error(), c.found) {
				t.Errorf("%q was to be found, and this was: %v", c.found, found)
			}
		})
	}
}

// ask sends a request through a validator of its own and answers what that found.
func ask(w *world, next http.RoundTripper, method, path, body string, headers ...string) (found []error, status int) {
	w.client = &http.Client{Transport: &watched{
		next: next, coverage: &coverage{pairs: map[string]bool{}, codes: map[string]bool{}},
		report: func(_ *exchange, err error) { found = append(found, err) },
	}}
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	resp.Body.Close()
	return found, resp.StatusCode
}

// The list of what no test has seen is a list, and its floor holds.
func TestTheCoverageHasAFloor(t *testing.T) {
	c := coverage{pairs: map[string]bool{}, codes: map[string]bool{}}
	var out strings.Builder
	if err := c.report(&out); err == nil || !strings.Contains(out.String(), "no test has seen getStats 503\n") ||
		!strings.Contains(out.String(), "no test has seen getStats 503 draining\n") {
		t.Error(err, out.String())
	}
	c.pairs, c.codes = declaredPairs(), declaredCodes()
	if err := c.report(io.Discard); err != nil {
		t.Error(err)
	}
	delete(c.pairs, "getStats 503")
	if err := c.report(io.Discard); err == nil {
		t.Error("a pair that was not seen is not missed")
	}
}
