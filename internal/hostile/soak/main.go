// Soak keeps a daemon under load for minutes, beside clients that are slow on
// purpose, and draws what it takes: memory, goroutines, descriptors, latency. It
// fails when a request does, when a normal client waits, or when the daemon grows.
// It needs Linux, for /proc.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	program := flag.String("snapshotd", "", "the `program` to soak")
	length := flag.Duration("length", 5*time.Minute, "how long")
	slowLength := flag.Duration("slow-length", 30*time.Second, "how long beside slow clients")
	clients := flag.Int("clients", 256, "how many at once")
	slow := flag.Int("slow", 300, "how many slow clients")
	picture := flag.String("picture", "soak.svg", "the `file` to draw into")
	flag.Parse()
	dir, err := os.MkdirTemp("", "snapshotd-soak")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d, err := startDaemon(ctx, *program, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.amongSlowClients(ctx, *slow, *slowLength); err != nil {
		return err
	}
	s, err := d.soak(ctx, *clients, *length)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*picture, s.draw(), 0o600); err != nil {
		return err
	}
	fmt.Println("drawn into", *picture)
	return s.judge()
}

// A daemon is the one that is soaked.
type daemon struct {
	cmd    *exec.Cmd
	url    string
	client *http.Client
}

// sagas and perSaga keep what is stored level: an old snapshot goes for each new one.
const (
	sagas   = 1000
	perSaga = 20
)

func startDaemon(ctx context.Context, program, dir string) (*daemon, error) {
	const address = "127.0.0.1:17420"
	// #nosec G204 -- the program that the user names
	d := &daemon{cmd: exec.Command(program, "--listen="+address, "--base-path="+dir, "--log-level=error", "--log-format=json",
		fmt.Sprintf("--max-snapshots-per-saga=%d", perSaga)), url: "http://" + address}
	d.cmd.Stderr = os.Stderr
	d.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}, Timeout: time.Minute}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for range 1000 {
		if _, err := d.do(ctx, http.MethodGet, "/readyz", "", http.StatusOK); err == nil {
			return d, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.stop()
	return nil, fmt.Errorf("%s is not ready after ten seconds", program)
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = d.cmd.Wait()
}

// do sends a request, reads the answer and answers how long that took.
func (d *daemon) do(ctx context.Context, method, path, body string, want ...int) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	start := time.Now()
	status, text, err := d.send(req)
	took := time.Since(start)
	if err != nil {
		return took, err
	}
	for _, status2 := range want {
		if status == status2 {
			return took, nil
		}
	}
	return took, fmt.Errorf("%s %s: %d %.200s", method, path, status, text)
}
