package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// benchmarked runs a bench command and answers its exit code and what it prints.
// Daemons it starts are this test's program.
func benchmarked(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := process{
		args: append([]string{"bench"}, args...), stdout: &out, stderr: &errs,
		// What is set for a daemon means nothing here.
		environ: append(os.Environ(), asProgram+"=1", "SNAPSHOTD_BASE_PATH=/nowhere", "SNAPSHOTD_STORE=nonsense", "SNAPSHOTD_SECONDS=3000"),
	}
	code = p.run(ctx)
	return code, out.String(), errs.String()
}

type benchReport struct {
	Cells []struct {
		Operation, Subject string
		Clients, Errors    int
		PerSecond          float64          `json:"operations_per_second"`
		Rounds             []map[string]any `json:"by_round"`
	}
}

func TestBenchDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errs := benchmarked(t.Context(), "disk", "--seconds=0.01", "--rounds=1", "--clients=1,3", dir)
	if code != exitOK || !strings.Contains(out, "nothing synced ") || !strings.Contains(out, "Medians of 1 round of 10ms") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
	if !strings.Contains(errs, "] round 1: log, then file unsynced, 3 clients: ") {
		t.Errorf("the progress is\n%s", errs)
	}
	code, out, errs = benchmarked(t.Context(), "disk", "--seconds=0.01", "--rounds=2", "--clients=1", "--size=4KiB", "--json", dir)
	var report benchReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK || len(report.Cells) < 4 || len(report.Cells[0].Rounds) != 2 {
		t.Errorf("%d %v\n%s\n%s", code, err, out, errs)
	}
	nothingIn(t, dir)
}

// TestBenchHTTP measures a daemon it starts, another one, and one that runs and asks
// for a token.
func TestBenchHTTP(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	token := k.token("measuring", "read,write,replay,delete")
	running := start(t, "--store=memory", "--tokens-file="+k.path)
	running.token = token
	dir := t.TempDir()
	code, out, errs := benchmarked(t.Context(), "http", "--seconds=0.02", "--rounds=1", "--clients=2", "--json", "--base-path", dir,
		"--compare=compact=--pretty-json=no --store=memory", "--compare=running="+running.url, "--token="+token, "--", "--enable-compression")
	var report benchReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK {
		t.Fatalf("%d %v\n%s\n%s", code, err, out, errs)
	}
	var cells []string
	for _, c := range report.Cells {
		cells = append(cells, c.Operation+" "+c.Subject)
		if c.PerSecond <= 0 || c.Errors > 0 || c.Clients != 2 {
			t.Errorf("%+v", c)
		}
	}
	for _, operation := range []string{"save", "get", "latest", "list", "replay"} {
		for _, subject := range []string{"ceiling", "snapshotd", "compact", "running"} {
			if !slices.Contains(cells, operation+" "+subject) {
				t.Errorf("%s of %s is missing in %q", operation, subject, cells)
			}
		}
	}
	nothingIn(t, dir)
	if _, body := running.get("/v1/stats"); !strings.Contains(body, `"total_snapshots":0,"total_replays":0,`) {
		t.Errorf("the one that runs keeps %s", body)
	}

	code, out, errs = benchmarked(t.Context(), "http", "--seconds=0.02", "--rounds=1", "--clients=1", "--client=net/http", "--url="+running.url, "--token="+token)
	if code != exitOK || !strings.Contains(out, "\nreplay     snapshotd        1 ") || !strings.Contains(out, "net/http's") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
}

// TestBenchFails sees that a daemon that does not start says why, and leaves nothing.
// TestBenchGrowth measures a directory of 1,000 and sagas of 1 and 1,000, and draws them.
func TestBenchGrowth(t *testing.T) {
	t.Parallel()
	dir, chart := t.TempDir(), filepath.Join(t.TempDir(), "chart.svg")
	code, out, errs := benchmarked(t.Context(), "growth", "--max=1000", "--seconds=0.01", "--rounds=1", "--json", "--base-path", dir, "--chart", chart)
	var report struct {
		Series []struct {
			Counts []int
			Rows   []struct {
				Operation string
				Values    []float64
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK || len(report.Series) != 2 || len(report.Series[0].Rows) < 11 || len(report.Series[1].Counts) != 2 {
		t.Fatalf("%d %v\n%s\n%s", code, err, out, errs)
	}
	for _, s := range report.Series {
		for _, r := range s.Rows {
			if len(r.Values) != len(s.Counts) || r.Values[0] <= 0 {
				t.Errorf("%s costs %v", r.Operation, r.Values)
			}
		}
	}
	drawn, err := os.ReadFile(chart)
	if err != nil || xml.Unmarshal(drawn, new(struct{})) != nil || !bytes.Contains(drawn, []byte(">save</text>")) {
		t.Errorf("%v\n%s", err, drawn)
	}
	nothingIn(t, dir)
	code, out, errs = benchmarked(t.Context(), "growth", "--max=1000", "--seconds=0.01", "--rounds=1", "--base-path", dir)
	if code != exitOK || !strings.Contains(out, "clean up 20") || !strings.Contains(out, "\nsnapshots in the saga ") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
}

func TestBenchFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errs := benchmarked(t.Context(), "http", "--base-path", dir, "--", "--max-body-size=0")
	if code != exitFailure || out != "" || !strings.Contains(errs, "--max-body-size") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
	// Every save fails, which is an error before anything is measured.
	code, out, errs = benchmarked(t.Context(), "http", "--base-path", dir, "--", "--max-body-size=1KiB")
	if code != exitFailure || out != "" || !strings.Contains(errs, "filling snapshotd: ") || !strings.Contains(errs, "status 413 instead of 201") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if code, _, errs = benchmarked(cancelled, "disk", dir); code != exitFailure || !strings.Contains(errs, "canceled") {
		t.Errorf("%d\n%s", code, errs)
	}
	nothingIn(t, dir)
	for _, args := range []string{"http --url=http://10.0.0.1:7420", "http --url=http://127.0.0.1:1 -- --store=memory"} {
		if code, _, errs := benchmarked(t.Context(), strings.Fields(args)...); code != exitFailure || errs == "" {
			t.Errorf("%s: %d\n%s", args, code, errs)
		}
	}
}

func TestBenchUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"":                      `expected one of "disk", "http"`,
		"disk":                  `expected "<DIR>"`,
		"disk --seconds=0 .":    "--seconds: a number of seconds",
		"disk --seconds=NaN .":  "--seconds: a number of seconds",
		"disk --clients=1,x .":  "--clients: numbers of clients",
		"disk --clients=0 .":    "--clients: numbers of clients",
		"disk --rounds=0 .":     "--rounds: a whole number",
		"http --compare=x":      "--compare: NAME=URL or NAME=OPTIONS",
		"http --client=curl":    "--client: must be one of",
		"http --store=memory":   "unknown flag --store",
		"growth --max=10":       "--max: a whole number",
		"ceiling --listen=port": "--listen: a host and a port",
	} {
		code, out, errs := benchmarked(t.Context(), strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, want) || strings.Contains(errs, prefix) {
			t.Errorf("%s: %d %s\n%s", args, code, out, errs)
		}
	}
}

func TestBenchHelp(t *testing.T) {
	for args, wants := range map[string][]string{
		"bench --help":        {"\n  snapshotd bench disk [options] DIR ", "\n  snapshotd bench http [options] [-- OPTION ...] "},
		"help bench":          {"bench COMMAND --help"},
		"bench disk --help":   {"\nUsage: snapshotd bench disk [options] DIR\n", "\n  DIR  ", "\n  --clients=N,N  ", "(default 1,8,64)"},
		"bench http --help":   {"\nUsage: snapshotd bench http [options] [-- OPTION ...]\n", "\n  --compare=NAME=WHAT  ", "As a variable --token is SNAPSHOTD_TOKEN.\n"},
		"bench growth --help": {"\nUsage: snapshotd bench growth [options]\n", "\n  --max=N  ", "(default 100000)"},
		"--help":              {"\n  snapshotd bench disk [options] DIR "},
	} {
		text := output(t, strings.Fields(args)...)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", args, want, text)
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > helpWidth+1 {
				t.Errorf("%s has a line of %d characters: %s", args, len(line)-1, line)
			}
		}
		if strings.Contains(text, "ceiling [") || strings.HasPrefix(args, "bench") && strings.Contains(text, "SNAPSHOTD_BASE_PATH") {
			t.Errorf("%s is\n%s", args, text)
		}
	}
}

// TestPeersAreNotLinked sees that the clients of what we are measured against are
// not in the program that people run.
func TestPeersAreNotLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		skipUnlessCI(t, "the go command does not list what is linked: "+err.Error())
	}
	if text := string(out); strings.Contains(text, "/pgx/") || strings.Contains(text, "/go-redis/") || strings.Contains(text, "snapshotd/internal/bench/peers") {
		t.Errorf("it is made of\n%s", text)
	}
}

func nothingIn(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
