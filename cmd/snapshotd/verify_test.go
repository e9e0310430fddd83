package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// verifying runs the command and answers its exit code and what it prints.
func verifying(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := process{args: append([]string{"verify"}, args...), stdout: &out, stderr: &errs}
	code = p.run(t.Context())
	return code, out.String(), errs.String()
}

func snapshotOfStep(id, step int) (string, string) {
	return fmt.Sprintf("/v1/snapshots/0b8f0d5c-6f6e-4a0e-9d0e-%012d", 100+id), strings.Replace(document, `"step_index":1`, fmt.Sprintf(`"step_index":%d`, step), 1)
}

// laid is a directory with three snapshots of one saga.
func laid(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, "--base-path="+dir)
	r.saveSome(3)
	r.signal()
	if code := r.stopped(); code != exitOK {
		t.Fatal(&r.log)
	}
	return dir
}

func (r *run) saveSome(n int) {
	r.t.Helper()
	for i := range n {
		path, body := snapshotOfStep(i, i)
		if code, answer := r.do("PUT", path, body); code != http.StatusCreated {
			r.t.Fatalf("%d %s", code, answer)
		}
	}
}

func anySnapshot(t *testing.T, dir string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "snapshots", sagaID, "*.json"))
	if len(files) == 0 {
		t.Fatal("there are no files")
	}
	return files[0]
}

func TestVerifyDirectory(t *testing.T) {
	t.Parallel()
	dir := laid(t)
	if code, out, errs := verifying(t, "--base-path", dir); code != exitOK || !strings.Contains(out, "1 sagas, 3 snapshots") || !strings.Contains(out, "Nothing is wrong.") || errs != "" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	file := anySnapshot(t, dir)
	if err := os.Truncate(file, 30); err != nil {
		t.Fatal(err)
	}
	code, out, errs := verifying(t, "--base-path", dir)
	rel, _ := filepath.Rel(dir, file)
	for _, want := range []string{"unreadable  " + filepath.ToSlash(rel), "--repair: move it to quarantine", "--repair: write it again", "index            1         0       1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if code != exitFailure || errs != "" {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	code, out, errs = verifying(t, "--base-path", dir, "--repair")
	if code != exitOK || errs != "" || !strings.Contains(out, "done: move it to quarantine") || !strings.Contains(out, "What was moved lies in .snapshotd/quarantine/2") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, _ := verifying(t, "--base-path", dir); code != exitOK || !strings.Contains(out, "2 snapshots") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "snapshots", "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := verifying(t, "--base-path", dir, "--repair"); code != exitFailure || !strings.Contains(out, "it is left alone, also by --repair") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestVerifyJSON(t *testing.T) {
	t.Parallel()
	dir := laid(t)
	file := anySnapshot(t, dir)
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	code, out, _ := verifying(t, "--base-path", dir, "--json", "--repair")
	rel, _ := filepath.Rel(dir, file)
	want := fmt.Sprintf(`{"base_path":%q,"sagas":1,"snapshots":3,"replays":0,"size_bytes":SIZE,"log_records":0,"quarantine":"","findings":[`+
		`{"kind":"mode","path":%q,"detail":"its mode is 0666, and the base directory's asks for 0600","repair":"set it to 0600","repaired":true}],"left":0}`, dir, filepath.ToSlash(rel))
	var report struct {
		Bytes int64 `json:"size_bytes"`
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(out)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Bytes == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := strings.Replace(strings.TrimSpace(compact.String()), fmt.Sprint(report.Bytes), "SIZE", 1); code != exitOK || got != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, got, want)
	}
	if _, out, _ := verifying(t, "--base-path", dir, "--json"); !strings.Contains(out, `"findings": []`) {
		t.Errorf("without findings\n%s", out)
	}
}

func TestVerifyInVain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, "--base-path="+dir)
	for args, want := range map[string]string{
		"--base-path=" + dir:                   "in use by snapshotd with pid",
		"--repair --base-path=" + dir:          "snapshotd verify --url http://",
		"--base-path=" + filepath.Dir(dir):     "there are no snapshots here",
		"--base-path=" + dir + "/missing":      "no such file or directory",
		"--url=localhost:7420":                 "http://127.0.0.1:7420 was expected",
		"--url=http://127.0.0.1:1":             "could not be checked",
		"--url=http://127.0.0.1:7420 --repair": "stop the daemon",
		"--repair=perhaps":                     "--repair: ",
		"--base-path= ":                        "SNAPSHOTD_BASE_PATH",
	} {
		code, out, errs := verifying(t, strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestVerifyHelp(t *testing.T) {
	t.Parallel()
	text := output(t, "verify", "--help")
	for line := range strings.Lines(text) {
		if len(line) > helpWidth+1 {
			t.Errorf("a line of %d characters: %s", len(line)-1, line)
		}
	}
	for _, want := range []string{"--base-path=DIR", "--repair ", "--url=URL", "--json ", "Exit code: 0", "As variables --base-path is SNAPSHOTD_BASE_PATH, --token is SNAPSHOTD_TOKEN.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	cmd, err := parse([]string{"verify"}, []string{"SNAPSHOTD_REPAIR=true", "SNAPSHOTD_URL=http://x", "SNAPSHOTD_BASE_PATH=/x"}, io.Discard)
	if err != nil || cmd.Verify.Repair || cmd.Verify.URL != "" || cmd.Verify.BasePath != "/x" {
		t.Errorf("%+v, %v", cmd.Verify, err)
	}
	if unknown := unknownVariables([]string{"SNAPSHOTD_REPAIR=true"}); len(unknown) != 1 {
		t.Error("a variable that would repair is taken for known")
	}
}

func TestVerifyDaemon(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, "--base-path="+dir, "--cleanup-interval=0")
	r.saveSome(12)
	if code, body := r.do("POST", "/v1/sagas/"+sagaID+"/replays", `{"checkpoint_step":"pay"}`); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	if code, out, errs := verifying(t, "--url", r.url+"/"); code != exitOK || !strings.Contains(out, "1 sagas, 12 snapshots") || !strings.Contains(out, "1 replays") || errs != "" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if err := os.Truncate(anySnapshot(t, dir), 30); err != nil {
		t.Fatal(err)
	}
	code, out, errs := verifying(t, "--url", r.url, "--json")
	var report verification
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailure || errs != "" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if f := report.Findings; len(f) != 1 || f[0].Kind != "unreadable" || !strings.HasPrefix(f[0].Path, "/v1/snapshots/0b8f") || f[0].Detail == "" ||
		report.URL != r.url || report.BasePath != dir || report.Left != 1 || report.Snapshots != 11 {
		t.Errorf("%s", out)
	}
}

// What others do meanwhile is not complained of.
func TestVerifyBusyDaemon(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	r.saveSome(200)
	done := make(chan struct{})
	var others sync.WaitGroup
	for worker := range 2 {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				path, body := snapshotOfStep(worker*100+i%100, i%7)
				if i%3 == 0 {
					body = strings.Replace(body, sagaID, strings.Replace(sagaID, "1", "7", 1), 1)
				}
				r.do("DELETE", path, "")
				r.do("PUT", path, body)
			}
		})
	}
	for range 3 {
		if code, out, errs := verifying(t, "--url", r.url); code != exitOK {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
	}
	close(done)
	others.Wait()
}

// TestVerifyWrongAnswers has a daemon's answers changed on their way.
func TestVerifyWrongAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	r.saveSome(3)
	for _, test := range []struct {
		path, from, to string
		want           []string
	}{
		{"/v1/stats", `"total_snapshots":3`, `"total_snapshots":4`, []string{"stats /v1/stats"}},
		{"/v1/stats", `"completed":3`, `"completed":2`, []string{"stats /v1/stats"}},
		{"/v1/sagas", `"snapshot_count":3`, `"snapshot_count":2`, nil}, // the saga itself says otherwise
		{"/v1/sagas", `"last_status":"completed"`, `"last_status":"failed"`, nil},
		{"/v1/sagas/", `"step_name":"pay"`, `"step_name":"ship"`, []string{"saga /v1/sagas/" + sagaID}},
		{"/v1/snapshots/0b8f0d5c-6f6e-4a0e-9d0e-000000000101", `"completed"`, `"failed"`, []string{"document /v1/snapshots/0b8f0d5c-6f6e-4a0e-9d0e-000000000101"}},
		{"/v1/snapshots/0b8f0d5c-6f6e-4a0e-9d0e-000000000101", `}`, `]`, []string{"document /v1/snapshots/0b8f0d5c-6f6e-4a0e-9d0e-000000000101"}},
		{"/v1/snapshots", `"created_at":"2`, `"created_at":"1`, []string{"stats /v1/stats"}},
	} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			code, body := r.get(q.URL.RequestURI())
			if q.URL.Path == test.path || strings.HasSuffix(test.path, "/") && strings.HasPrefix(q.URL.Path, test.path) {
				body = strings.ReplaceAll(body, test.from, test.to)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}))
		_, out, errs := verifying(t, "--url", proxy.URL, "--json")
		proxy.Close()
		var report verification
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v\n%s%s", err, out, errs)
		}
		var got []string
		for _, f := range report.Findings {
			got = append(got, string(f.Kind)+" "+f.Path)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s with %s: %s", test.path, test.to, out)
		}
	}
}

// TestVerifyBrokenOff says of a check that did not get to its end no more than it saw.
func TestVerifyBrokenOff(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	r.saveSome(3)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		code, body := r.get(q.URL.RequestURI())
		if q.URL.Path == "/v1/sagas" {
			code = http.StatusForbidden
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	defer proxy.Close()
	code, out, errs := verifying(t, "--url", proxy.URL)
	if code != exitUsage || !strings.Contains(errs, "403") || strings.Contains(out, "Nothing is wrong.") || !strings.Contains(out, "broken off") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if _, out, _ := verifying(t, "--url", proxy.URL, "--json"); !strings.Contains(out, `"incomplete": true`) && !strings.Contains(out, `"incomplete":true`) {
		t.Errorf("for machines it is %s", out)
	}
}

func TestBar(t *testing.T) {
	var text bytes.Buffer
	b := &bar{w: &text, on: true}
	b.update(5, 10)
	b.update(6, 10) // too soon
	if want := "\r[====================                    ] 5 of 10"; text.String() != want {
		t.Errorf("%q", text.String())
	}
	b.end()
	if !strings.HasSuffix(text.String(), "   \r") {
		t.Errorf("it leaves %q", text.String())
	}
	text.Reset()
	off := &bar{w: &text}
	off.update(5, 10)
	off.end()
	if text.Len() > 0 {
		t.Errorf("where there is no terminal it shows %q", &text)
	}
}

// TestVerifyWaits comes back as often, and as late, as it is asked to.
func TestVerifyWaits(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	r.saveSome(3)
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if asked.Add(1) <= 3*remoteTries {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		code, body := r.get(q.URL.RequestURI())
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	defer proxy.Close()
	if code, out, errs := verifying(t, "--url", proxy.URL); code != exitOK || !strings.Contains(out, "Nothing is wrong.") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
