package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram has the test binary be the program itself.
const asProgram = "TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

const (
	sagaID     = "0b8f0d5c-6f6e-4a0e-9d0e-000000000001"
	snapshotID = "0b8f0d5c-6f6e-4a0e-9d0e-000000000002"
	document   = `{"saga_id":"` + sagaID + `","saga_name":"order","step_name":"pay","step_index":1,` +
		`"status":"completed","context":{"amount":12345678901234567890123}}`
)

// A buffer may be written and read at once.
type buffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}

// A run is a daemon under test.
type run struct {
	t         *testing.T
	url       string
	listening string // where it serves
	log       buffer
	client    *http.Client
	token     string // sent with requests; "" = none is
	hangUp    chan os.Signal
	signal    context.CancelFunc // as SIGTERM does
	code      chan int
}

// start runs the daemon until the test ends, on a port of its own.
func start(t *testing.T, args ...string) *run { t.Helper(); return startAt(t, "", args...) }

// startAt asks at another URL than where the daemon serves whether it is ready.
func startAt(t *testing.T, operator string, args ...string) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{
		t: t, signal: cancel, code: make(chan int, 1), client: &http.Client{Transport: &http.Transport{}},
		hangUp: make(chan os.Signal, 1),
	}
	address := make(chan string, 1)
	p := process{
		args:   append([]string{"--listen=127.0.0.1:0"}, args...),
		stdout: io.Discard, stderr: &r.log, hangUp: r.hangUp,
		started: func(addr string) { address <- addr },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.code <- p.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		r.client.CloseIdleConnections()
	})
	select {
	case addr := <-address:
		r.listening = "http://" + addr
		r.url = cmp.Or(operator, r.listening)
	case code := <-r.code:
		t.Fatalf("exit code %d\n%s", code, &r.log)
	}
	r.until("it is ready", func() bool { code, _ := r.get("/readyz"); return code == http.StatusOK })
	r.until("it has said so", func() bool {
		return strings.Contains(r.log.String(), `"msg":"ready"`) || strings.Contains(r.log.String(), " ready store=")
	})
	return r
}

// until polls a condition.
func (r *run) until(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for poll := time.NewTicker(2 * time.Millisecond); ; {
		if condition() {
			poll.Stop()
			return
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			r.t.Fatalf("waited in vain until %s\n%s", what, &r.log)
		}
	}
}

// stopped waits for the end and answers the exit code.
func (r *run) stopped() int {
	r.t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(20 * time.Second):
		r.t.Fatalf("it does not end\n%s", &r.log)
		return 0
	}
}

func (r *run) do(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	req.Header.Set("X-Request-Id", "test-1")
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, &r.log)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (r *run) get(path string) (int, string) { r.t.Helper(); return r.do("GET", path, "") }

// lines are those of the log whose msg is this one; the log must be JSON.
func (r *run) lines(msg string) []map[string]any {
	r.t.Helper()
	var found []map[string]any
	for text := range strings.Lines(r.log.String()) {
		if !strings.HasSuffix(text, "\n") {
			break // the rest is on its way
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.t.Fatalf("not a line of JSON: %s", text)
		}
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	return found
}

// slowSave sends a save whose body ends when the function it answers is called,
// which answers status and body. The daemon is reading when slowSave returns.
func (r *run) slowSave() (end func() (int, string, error)) {
	r.t.Helper()
	body, writer := io.Pipe()
	reading := make(chan struct{})
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.url+"/v1/snapshots/"+snapshotID, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: 20 * time.Second}
	r.t.Cleanup(transport.CloseIdleConnections)
	type answer struct {
		code int
		body string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		res, err := transport.RoundTrip(req)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answers <- answer{res.StatusCode, string(text), err}
	}()
	select {
	case <-reading:
	case a := <-answers:
		r.t.Fatalf("answered before the body was sent: %+v", a)
	}
	r.t.Cleanup(func() { writer.Close() })
	return func() (int, string, error) {
		io.WriteString(writer, document)
		writer.Close()
		a := <-answers
		return a.code, a.body, a.err
	}
}
