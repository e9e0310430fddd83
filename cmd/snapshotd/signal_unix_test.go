//go:build unix

package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// startProgram runs the daemon as a process of its own.
func startProgram(t *testing.T, args ...string) (*run, *exec.Cmd) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, client: &http.Client{Transport: &http.Transport{}}}
	cmd := exec.Command(exe, append([]string{"--listen=127.0.0.1:0"}, args...)...)
	cmd.Env = []string{asProgram + "=1"}
	cmd.Stderr = &r.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // most have ended
		_ = cmd.Wait()
		r.client.CloseIdleConnections()
	})
	r.until("it is ready", func() bool { return len(r.lines("ready")) == 1 })
	r.url = "http://" + r.lines("listening")[0]["address"].(string)
	return r, cmd
}

func TestProgramEndsOnSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		r, cmd := startProgram(t, "--base-path="+t.TempDir())
		if code, body := r.do("PUT", "/v1/snapshots/"+snapshotID, document); code != http.StatusCreated {
			t.Fatalf("%d %s", code, body)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || len(r.lines("stopped")) != 1 {
			t.Errorf("after %v: %v\n%s", signal, err, &r.log)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, cmd := startProgram(t, "--base-path="+dir, "--shutdown-timeout=1h")
	r.slowSave()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.until("it drains", func() bool { return len(r.lines("draining")) == 1 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); !errors.As(err, new(*exec.ExitError)) {
		t.Errorf("it ended with %v\n%s", err, &r.log)
	}
	// What is left behind opens.
	if files, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", "*")); len(files) != 0 {
		t.Errorf("half a save left %v", files)
	}
	start(t, "--base-path="+dir)
}
