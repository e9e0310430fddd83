package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"snapshotd/internal/archive"
	"snapshotd/internal/store/memstore"
)

// A pipeListener hands out the server's ends of connections in memory, whose
// deadlines go by the clock of synctest.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// timed runs a scenario against the daemon's server with all its timeouts, in
// time that passes when everybody waits.
func timed(t *testing.T, scenario func(t *testing.T, l *pipeListener, a *archive.Archive)) {
	synctest.Test(t, func(t *testing.T) {
		cmd, err := parse(nil, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		d := newDaemon(&cmd.Serve, slog.New(slog.DiscardHandler))
		a := archive.New(archive.Config{Store: memstore.New()})
		d.api.Serve(a)
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = d.http.Serve(l) }()
		scenario(t, l, a)
		if err := d.http.Close(); err != nil {
			t.Error(err)
		}
		<-ended
		time.Sleep(time.Minute) // whoever drips notices
		synctest.Wait()
		if n := d.underWay.Load(); n != 0 {
			t.Errorf("%d requests are still under way", n)
		}
	})
}

// within fails when the time since start is not between the two.
func within(t *testing.T, start time.Time, least, most time.Duration) {
	t.Helper()
	if took := time.Since(start); took < least || took > most {
		t.Errorf("it took %v, not %v to %v", took, least, most)
	}
}

// drip writes text byte by byte, each after a pause, until it is cut off.
func drip(conn net.Conn, text string, pause time.Duration) {
	for i := range len(text) {
		time.Sleep(pause)
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return
		}
	}
}

func TestSlowHeaderIsCutOff(t *testing.T) {
	timed(t, func(t *testing.T, l *pipeListener, _ *archive.Archive) {
		conn, start := l.dial(), time.Now()
		defer conn.Close()
		go drip(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Filling: "+strings.Repeat("x", 1000), time.Second)
		_, _ = io.Copy(io.Discard, conn)
		within(t, start, 9*time.Second, 11*time.Second)
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	timed(t, func(t *testing.T, l *pipeListener, _ *archive.Archive) {
		conn := l.dial()
		defer conn.Close()
		fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		start := time.Now()
		_, _ = io.Copy(io.Discard, r)
		within(t, start, 119*time.Second, 121*time.Second)
	})
}

// A body is given ten seconds, and a second for each 256 KiB that it is announced
// to have; what is dropped of it another five.
func TestSlowBodyIsCutOff(t *testing.T) {
	for _, test := range []struct {
		length      string
		least, most time.Duration
	}{
		{"Content-Length: 1000", 10 * time.Second, 17 * time.Second},
		{"Content-Length: 16777216", 74 * time.Second, 81 * time.Second},
		{"Transfer-Encoding: chunked", 74 * time.Second, 81 * time.Second},
	} {
		timed(t, func(t *testing.T, l *pipeListener, _ *archive.Archive) {
			conn, start := l.dial(), time.Now()
			defer conn.Close()
			fmt.Fprint(conn, "POST /v1/snapshots HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+test.length+"\r\n\r\n")
			dripped := strings.Repeat("1\r\n \r\n", 1000)
			if strings.HasPrefix(test.length, "Content") {
				dripped = strings.Repeat(" ", 900)
			}
			go drip(conn, dripped, time.Second/3)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Fatalf("%s: %v %v", test.length, resp, err)
			}
			resp.Body.Close()
			within(t, start, test.least, test.most)
		})
	}
}

// page saves twenty megabytes and asks for them all.
func page(t *testing.T, l *pipeListener) net.Conn {
	t.Helper()
	large := strings.Replace(document, `"amount"`, `"note":"`+strings.Repeat("x", 1<<20)+`","amount"`, 1)
	save := func() {
		conn := l.dial()
		defer conn.Close()
		go fmt.Fprintf(conn, "POST /v1/snapshots HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(large), large)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	for range 20 {
		save()
	}
	conn := l.dial()
	fmt.Fprint(conn, "GET /v1/sagas/"+sagaID+"/snapshots HTTP/1.1\r\nHost: localhost\r\n\r\n")
	return conn
}

func TestSlowReaderIsCutOff(t *testing.T) {
	timed(t, func(t *testing.T, l *pipeListener, _ *archive.Archive) {
		conn, start := page(t, l), time.Now()
		defer conn.Close()
		some := make([]byte, 100)
		for {
			if _, err := conn.Read(some); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		within(t, start, 250*time.Second, 270*time.Second)
	})
}

// Who reads a long page as slowly as is allowed gets all of it, though that takes
// longer than a body may.
func TestPatientReaderIsServed(t *testing.T) {
	timed(t, func(t *testing.T, l *pipeListener, _ *archive.Archive) {
		conn, start := page(t, l), time.Now()
		defer conn.Close()
		var text bytes.Buffer
		slowly := readFunc(func(p []byte) (int, error) {
			n, err := conn.Read(p[:min(len(p), 16<<10)])
			time.Sleep(time.Second * time.Duration(n) / (slowestClient / 2))
			return n, err
		})
		resp, err := http.ReadResponse(bufio.NewReader(slowly), nil)
		if err == nil {
			_, err = io.Copy(&text, resp.Body)
			resp.Body.Close()
		}
		if err != nil || text.Len() < 20<<20 || !strings.HasSuffix(text.String(), "}\n") {
			t.Errorf("%d bytes, %v", text.Len(), err)
		}
		within(t, start, 100*time.Second, 200*time.Second)
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestBytesInFlightFollowTheMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(before)
	var log buffer
	for _, test := range []struct {
		args []string
		want int64
	}{
		{nil, 128 << 20},
		{[]string{"--max-in-flight-bytes=100MiB"}, 100 << 20},
		{[]string{"--max-in-flight-bytes=900MiB", "--max-body-size=48MiB"}, 128 << 20},
		{[]string{"--max-in-flight-bytes=1GiB", "--max-body-size=48MiB"}, 128 << 20},
	} {
		cmd, err := parse(test.args, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := cmd.Serve.maxInFlightBytes(slog.New(slog.NewTextHandler(&log, nil))); got != test.want {
			t.Errorf("%v: %d, not %d", test.args, got, test.want)
		}
	}
	if !strings.Contains(log.String(), "is lowered") {
		t.Error(log.String())
	}
	debug.SetMemoryLimit(16 << 20)
	cmd, _ := parse(nil, nil, io.Discard)
	if got := cmd.Serve.maxInFlightBytes(slog.New(slog.DiscardHandler)); got != 32<<20 {
		t.Errorf("no body fits into %d", got)
	}
}

func TestBoundsAreChecked(t *testing.T) {
	for _, arg := range []string{"--max-in-flight=0", "--max-in-flight-bytes=31MiB", "--allowed-hosts=a:80", "--cors-origins=*"} {
		if _, err := parse([]string{arg}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(arg, "="+arg[strings.Index(arg, "=")+1:])) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

// The host listened on may be asked for by its name.
func TestListenHostIsAllowed(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory", "--listen=localhost:0", "--allowed-hosts=saga.example.org")
	for host, want := range map[string]int{"saga.example.org": 200, "localhost": 200, "attacker.example": 421} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d", host, resp.StatusCode)
		}
	}
	o := serveOptions{Listen: "snapshotd.internal:80", AllowedHosts: "a,b"}
	if got := strings.Join(o.allowedHosts(), " "); got != "a b snapshotd.internal" {
		t.Error(got)
	}
}

// The hosts that it listens on may be asked for by name.
func TestHostsOfTheListeners(t *testing.T) {
	o := serveOptions{Listen: "saga.example.org:7420", MetricsListen: "metrics.example.org:9420", AllowedHosts: "proxy.example.org"}
	want := []string{"proxy.example.org", "saga.example.org", "metrics.example.org"}
	if got := o.allowedHosts(); !slices.Equal(got, want) {
		t.Errorf("they are %q", got)
	}
}
