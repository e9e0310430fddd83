package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServeDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "here")
	r := start(t, "--base-path="+dir)
	if code, body := r.do("PUT", "/v1/snapshots/"+snapshotID, document); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	if ready := r.lines("ready"); len(ready) != 1 || ready[0]["base_path"] != dir || ready[0]["snapshots"] != 0.0 || ready[0]["took"] == nil {
		t.Errorf("it says of its data: %v", ready)
	}
	r.signal()
	if code := r.stopped(); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, &r.log)
	}
	if len(r.lines("stopped")) != 1 {
		t.Errorf("it does not say that it stopped:\n%s", &r.log)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "indexes", sagaID+".json")); err != nil || !strings.Contains(string(text), snapshotID) {
		t.Errorf("the index after the end: %v %s", err, text)
	}

	again := start(t, "serve", "--base-path", dir, "--pretty-json=false", "--enable-compression")
	if code, body := again.get("/v1/snapshots/" + snapshotID); code != http.StatusOK || !strings.Contains(body, "\n    \"amount\": 12345678901234567890123\n") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := again.do("POST", "/v1/snapshots", document); code != http.StatusCreated {
		t.Errorf("%d %s", code, body)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "snapshots", sagaID, "*.json.gz")); len(files) != 1 {
		t.Errorf("with compression these are there: %v", files)
	}
	if ready := again.lines("ready"); len(ready) != 1 || ready[0]["snapshots"] != 1.0 || ready[0]["sagas"] != 1.0 {
		t.Errorf("it says of its data: %v", ready)
	}
}

func TestServeMemory(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	if code, body := r.do("PUT", "/v1/snapshots/"+snapshotID, document); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := r.get("/v1/stats"); code != http.StatusOK || !strings.Contains(body, `"storage_type":"memory"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := r.get("/version"); code != http.StatusOK || !strings.Contains(body, `"go_version":"go1`) {
		t.Errorf("%d %s", code, body)
	}
	_, body := r.get("/metrics")
	for _, want := range []string{
		"\nsnapshotd_ready 1\n",
		"\nsnapshotd_store_info{compression=\"false\",durability=\"none\",store=\"memory\"} 1\n",
		"\nsnapshotd_store_snapshots{status=\"completed\"} 1\n",
		"\nsnapshotd_snapshots_saved_total{result=\"created\"} 1\n",
		"\nsnapshotd_store_operations_total{operation=\"put\",result=\"ok\"} 1\n",
		"\nsnapshotd_http_request_duration_seconds_count{code=\"201\",method=\"PUT\",route=\"/v1/snapshots/{snapshot_id}\"} 1\n",
		"\nsnapshotd_http_requests_rejected_total{reason=\"draining\"} 0\n",
		"\nsnapshotd_cleanup_interval_seconds 60\n",
		"\ngo_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing in\n%s", want, body)
		}
	}
	if strings.Contains(body, sagaID) || strings.Contains(body, snapshotID) {
		t.Errorf("ids are in\n%s", body)
	}
}

// TestOptionsArrive sees that the daemon does what its options say.
func TestOptionsArrive(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory", "--default-retention=30d", "--max-snapshots-per-saga=2", "--max-body-size=1KiB", "--log-level=debug")
	if code, body := r.do("PUT", "/v1/snapshots/"+snapshotID, document); code != http.StatusCreated || strings.Contains(body, `"retention_until":null`) {
		t.Errorf("%d %s", code, body)
	}
	for range 3 {
		if code, body := r.do("POST", "/v1/snapshots", document); code != http.StatusCreated {
			t.Errorf("%d %s", code, body)
		}
	}
	if _, body := r.get("/v1/stats"); !strings.Contains(body, `"total_snapshots":2`) {
		t.Error(body)
	}
	large := strings.Replace(document, `"amount"`, `"note":"`+strings.Repeat("x", 1024)+`","amount"`, 1)
	if code, body := r.do("POST", "/v1/snapshots", large); code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", code, body)
	}
	for _, line := range r.lines("request") {
		if line["route"] == "/readyz" {
			return
		}
	}
	t.Errorf("at debug the log does not show requests for /readyz:\n%s", &r.log)
}

func TestJanitorRuns(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory", "--cleanup-interval=10ms")
	expired := strings.Replace(document, `"status"`, `"retention_until":"2001-01-01T00:00:00Z","status"`, 1)
	if code, body := r.do("PUT", "/v1/snapshots/"+snapshotID, expired); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	r.until("the expired snapshot is gone", func() bool {
		code, _ := r.get("/v1/snapshots/" + snapshotID)
		return code == http.StatusNotFound
	})
}

// TestLogIsJSON asks for one line per request, each with its id.
func TestLogIsJSON(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	r.do("PUT", "/v1/snapshots/"+snapshotID, document)
	r.do("DELETE", "/v1/snapshots/"+snapshotID, "")
	if lines := r.lines("listening"); len(lines) != 1 || "http://"+fmt.Sprint(lines[0]["address"]) != r.url {
		t.Errorf("it says that it listens: %v", lines)
	}
	r.until("both requests are logged", func() bool { return len(r.lines("request")) == 2 })
	for _, line := range append(r.lines("request"), r.lines("snapshot deleted")...) {
		if line["request_id"] != "test-1" {
			t.Errorf("without the id of its request: %v", line)
		}
	}
	if took, _ := r.lines("request")[0]["duration"].(string); !strings.HasSuffix(took, "s") {
		t.Errorf("a duration is written as %q", took)
	}
	if strings.Count(r.log.String(), `"request_id"`) != 3 {
		t.Errorf("a request id is missing, or there twice:\n%s", &r.log)
	}
}

func TestLogForPeople(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory", "--log-format=tint")
	if text := r.log.String(); !strings.Contains(text, "INF ready store=memory") || strings.Contains(text, "\x1b") {
		t.Errorf("the log of a file is\n%s", text)
	}
}

func TestSignalLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	r := start(t, "--base-path="+t.TempDir())
	end := r.slowSave()
	r.signal()
	r.until("it drains", func() bool { return len(r.lines("draining")) == 1 })
	for _, path := range []string{"/readyz", "/v1/sagas"} {
		if code, body := r.get(path); code != http.StatusServiceUnavailable || !strings.Contains(body, `"code":"draining"`) {
			t.Errorf("%s of a draining daemon: %d %s", path, code, body)
		}
	}
	if code, body, err := end(); code != http.StatusCreated || err != nil {
		t.Errorf("%d %s %v", code, body, err)
	}
	if code := r.stopped(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &r.log)
	}
	if len(r.lines("stopped")) != 1 {
		t.Errorf("the log is\n%s", &r.log)
	}
}

func TestSignalCutsOffRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, "--base-path="+dir, "--shutdown-timeout=20ms")
	end := r.slowSave()
	r.signal()
	if code := r.stopped(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &r.log)
	}
	if code, body, err := end(); err == nil {
		t.Errorf("a request that was cut off was answered %d %s", code, body)
	}
	if len(r.lines("requests did not end in time and are cut off")) != 1 {
		t.Errorf("the log is\n%s", &r.log)
	}
	again := start(t, "--base-path="+dir)
	if code, _ := again.get("/v1/snapshots/" + snapshotID); code != http.StatusNotFound {
		t.Errorf("half a save is answered %d", code)
	}
}

// TestServerIsBounded: a client that sends or reads nothing does not stay.
func TestServerIsBounded(t *testing.T) {
	cmd, err := parse([]string{"--max-body-size=48MiB"}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := newDaemon(&cmd.Serve, slog.New(slog.DiscardHandler)).http
	if s.ReadHeaderTimeout != 10*time.Second || s.IdleTimeout != 2*time.Minute || s.MaxHeaderBytes != 64<<10 || s.ErrorLog == nil {
		t.Errorf("%+v", s)
	}
	if s.ReadTimeout < 3*time.Minute || s.ReadTimeout > 10*time.Minute || s.WriteTimeout < s.ReadTimeout {
		t.Errorf("for a large body there are %v to send it, and %v for all", s.ReadTimeout, s.WriteTimeout)
	}
}

// fail runs the daemon, which must exit at once with exitFailure, and answers
// its log.
func fail(t *testing.T, args ...string) string {
	t.Helper()
	var log buffer
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p := process{args: append([]string{"--log-format=tint"}, args...), stdout: io.Discard, stderr: &log}
	if code := p.run(ctx); code != exitFailure || ctx.Err() != nil {
		t.Errorf("exit code %d\n%s", code, &log)
	}
	return log.String()
}

func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, "--base-path="+dir)
	log := fail(t, "--listen=127.0.0.1:0", "--base-path="+dir)
	for _, want := range []string{"in use", fmt.Sprintf("pid %d", os.Getpid()), dir} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is missing in\n%s", want, log)
		}
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	if log := fail(t, "--store=memory", "--listen="+address); !strings.Contains(log, address) || !strings.Contains(log, "--listen") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestUnusableBasePath(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if log := fail(t, "--listen=127.0.0.1:0", "--base-path="+file); !strings.Contains(log, file) {
		t.Errorf("the log is\n%s", log)
	}
}

// TestSignalWhileStarting: a daemon that has not opened its store yet just ends.
func TestSignalWhileStarting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var log buffer
	p := process{
		args:   []string{"--listen=127.0.0.1:0", "--base-path=" + t.TempDir()},
		stdout: io.Discard, stderr: &log,
		started: func(string) { cancel() },
	}
	if code := p.run(ctx); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &log)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var log buffer
	p := process{
		args: []string{"--listen=0.0.0.0:0", "--store=memory", "--insecure-no-auth"}, environ: []string{"SNAPSHOTD_BASEPATH=/srv"},
		stdout: io.Discard, stderr: &log,
		started: func(string) { cancel() },
	}
	if code := p.run(ctx); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &log)
	}
	for _, want := range []string{`"name":"SNAPSHOTD_BASEPATH"`, "no tokens are asked for"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &log)
		}
	}
	r := start(t, "--store=memory")
	if strings.Contains(r.log.String(), "WARN") {
		t.Errorf("without a reason it warns:\n%s", &r.log)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	address := strings.TrimPrefix(r.url, "http://")
	check := func(environ []string, args ...string) (int, string) {
		var out, errs bytes.Buffer
		p := process{args: append([]string{"healthcheck"}, args...), environ: environ, stdout: &out, stderr: &errs}
		return p.run(t.Context()), out.String() + errs.String()
	}
	_, port, _ := net.SplitHostPort(address)
	for _, test := range []struct{ environ, args []string }{
		{nil, []string{"--listen=" + address}},
		{[]string{"SNAPSHOTD_LISTEN=0.0.0.0:" + port}, nil},
		{nil, []string{"--url=" + r.url}},
		{nil, []string{"--url=" + r.url + "/readyz"}},
	} {
		if code, text := check(test.environ, test.args...); code != exitOK || !strings.Contains(text, "is alive") {
			t.Errorf("%v: exit code %d, %s", test, code, text)
		}
	}
	if code, text := check(nil, "--url="+r.url+"/nowhere"); code != exitFailure || !strings.Contains(text, "404") {
		t.Errorf("exit code %d, %s", code, text)
	}
	r.signal()
	r.stopped()
	if code, text := check(nil, "--listen="+address); code != exitFailure || !strings.Contains(text, address) {
		t.Errorf("of a stopped daemon: exit code %d, %s", code, text)
	}
}

// TestHealthcheckGivesUp asks a server that accepts and says nothing.
func TestHealthcheckGivesUp(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := ask(ctx, "http://"+listener.Addr().String()+"/healthz", nil); err == nil || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
