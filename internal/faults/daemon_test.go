//go:build faults && linux

package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// A daemon is a running snapshotd.
type daemon struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    lines
	url    string
	client *http.Client
	ended  chan struct{}
}

// lines is what a daemon writes to stderr.
type lines struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	found chan string // the address, when it is known
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes.Write(p)
	if l.found != nil {
		if address, ok := addressIn(l.bytes.String()); ok {
			l.found <- address
			l.found = nil
		}
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.String()
}

func addressIn(log string) (string, bool) {
	for line := range strings.Lines(log) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
			return entry.Address, true
		}
	}
	return "", false
}

// A launch says how a daemon is started.
type launch struct {
	dir  string
	args []string
	env  []string // with any, the build with failpoints runs
}

// begin starts a daemon and returns when it listens or has ended.
func (l launch) begin(t *testing.T) *daemon {
	t.Helper()
	binary := os.Getenv(plainBuild)
	if len(l.env) > 0 {
		binary = os.Getenv(failpointBuild)
	}
	args := append([]string{
		"--base-path=" + l.dir, "--listen=127.0.0.1:0", "--log-format=json", "--cleanup-interval=0", "--min-free=1MiB",
	}, l.args...)
	address := make(chan string, 1)
	d := &daemon{
		t: t, cmd: exec.Command(binary, args...), log: lines{found: address}, ended: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: patience},
	}
	d.cmd.Env = append(os.Environ(), l.env...)
	d.cmd.Stderr = &d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(d.kill)
	select {
	case at := <-address:
		d.url = "http://" + at
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("it does not listen\n%s", &d.log)
	}
	return d
}

// start starts a daemon and returns when it is ready.
func (l launch) start(t *testing.T) *daemon {
	t.Helper()
	d := l.begin(t)
	if !d.ready() {
		t.Fatalf("it has ended: %v\n%s", d.cmd.ProcessState, &d.log)
	}
	return d
}

// ready waits until the store is open, and reports false when the daemon has
// ended instead.
func (d *daemon) ready() bool {
	d.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if !d.running() {
			return false
		}
		a := d.do("GET", "/v1/stats", nil)
		if a.err == nil && a.status == http.StatusOK {
			return true
		}
	}
	d.t.Fatalf("it does not become ready\n%s", &d.log)
	return false
}

func (d *daemon) running() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// kill sends SIGKILL and waits for the end.
func (d *daemon) kill() { d.signal(syscall.SIGKILL) }

// stop asks the daemon to end, as an operator does, and answers its exit code.
func (d *daemon) stop() int { return d.signal(syscall.SIGTERM) }

func (d *daemon) signal(s syscall.Signal) int {
	d.client.CloseIdleConnections() // the daemon waits for those that were never used
	_ = d.cmd.Process.Signal(s)
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Errorf("signal %v does not end it\n%s", s, &d.log)
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	return d.cmd.ProcessState.ExitCode()
}

// An answer is one of the daemon, or why there is none.
type answer struct {
	status int
	body   []byte
	err    error
}

// code is that of a problem document.
func (a *answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(a.body, &p)
	return p.Code
}

// acknowledged reports whether the answer promises anything.
func (a *answer) acknowledged() bool { return a.err == nil && a.status/100 == 2 }

func (d *daemon) do(method, path string, body []byte) *answer {
	req, err := http.NewRequest(method, d.url+path, bytes.NewReader(body))
	if err != nil {
		return &answer{err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := d.client.Do(req)
	if err != nil {
		return &answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return &answer{res.StatusCode, text, err}
}

// expect asks, and wants an answer of this status, and of this code unless that
// is empty.
func (d *daemon) expect(status int, code, method, path string, body []byte) *answer {
	d.t.Helper()
	a := d.do(method, path, body)
	if a.err != nil || a.status != status || code != "" && a.code() != code {
		text := a.body
		if len(text) > 400 {
			text = text[:400]
		}
		d.t.Errorf("%s %s: want %d %s, got %d %s %v", method, path, status, code, a.status, text, a.err)
	}
	return a
}

// stats are the numbers that a check compares.
type stats struct {
	Snapshots  int `json:"total_snapshots"`
	Replays    int `json:"total_replays"`
	Unreadable int `json:"unreadable_files"`
}

func (d *daemon) stats() (s stats, err error) {
	a := d.do("GET", "/v1/stats", nil)
	if !a.acknowledged() {
		return s, errors.Join(a.err, errors.New(string(a.body)))
	}
	return s, json.Unmarshal(a.body, &s)
}
