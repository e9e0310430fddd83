package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for the daemon; none is as long on a healthy machine.
const patience = 2 * time.Minute

var program string // the daemon

func TestMain(m *testing.M) {
	if os.Getenv(asGlutton) != "" {
		beGlutton()
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "snapshotd")
	if out, err := exec.Command("go", "build", "-o", program, "snapshotd/cmd/snapshotd").CombinedOutput(); err != nil {
		fmt.Printf("the daemon cannot be built: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A target is a daemon under attack. Around its data directory lies what it must
// not touch.
type target struct {
	t       testing.TB
	address string
	pid     int
	dir     string // around base
	base    string
	log     *safeBuffer
	stop    func() error

	granted   map[string]string // contexts by the id of the snapshot that was saved
	untouched map[string]string // what was there before the daemon, by path
	least     int64             // memory in use before the first attack, in bytes
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}
func (b *safeBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// start runs the daemon on the directory "data" in dir until the test ends.
func start(t testing.TB, dir string, args ...string) *target {
	t.Helper()
	tg := &target{t: t, dir: dir, base: filepath.Join(dir, "data"), log: &safeBuffer{}, granted: map[string]string{}}
	if err := os.WriteFile(filepath.Join(dir, "outside.json"), []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	tg.untouched = tree(t, dir)
	cmd := exec.Command(program, append([]string{
		"--listen=127.0.0.1:0", "--base-path=" + tg.base, "--log-format=json", "--pretty-json=false", "--cleanup-interval=0",
	}, args...)...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=", "GOTRACEBACK=all")
	cmd.Stderr = tg.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tg.pid = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var once sync.Once
	var failure error
	tg.stop = func() error {
		once.Do(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			select {
			case failure = <-ended:
			case <-time.After(patience):
				_ = cmd.Process.Kill()
				failure = fmt.Errorf("it did not end: %w", <-ended)
			}
		})
		return failure
	}
	t.Cleanup(func() { _ = tg.stop() })
	tg.until("it listens", func() bool {
		tg.address = tg.logged("listening", "address")
		return tg.address != "" && tg.ready() == nil
	})
	tg.least = resident(tg.pid)
	return tg
}

func (tg *target) until(what string, condition func() bool) {
	tg.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			tg.t.Fatalf("waited in vain until %s\n%s", what, tg.log)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// logged finds a value in the last line with this msg.
func (tg *target) logged(msg, key string) (value string) {
	for line := range strings.Lines(tg.log.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == msg {
			value = fmt.Sprint(fields[key])
		}
	}
	return value
}

// ready asks /readyz on a connection of its own.
func (tg *target) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+tg.address+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it is not ready: %s", resp.Status)
	}
	return nil
}

// resident is the memory of a process, at its peak since the last call, in bytes;
// 0 where the system does not tell.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, _ := strconv.ParseInt(number, 10, 64)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // the peak begins anew
	return kib << 10
}

// tree describes everything below a directory, links unfollowed, by path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // it went while we walked
			}
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // likewise
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case info.IsDir():
			found[name] = "directory"
		case info.Mode().IsRegular() && info.Size() < 64<<20:
			text, err := os.ReadFile(path)
			if err != nil && !os.IsNotExist(err) {
				return err
			}
			found[name] = "file " + string(text)
		default:
			found[name] = fmt.Sprint(info.Mode().Type(), " ", info.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unexplained lists what is in the tree for no reason, or is no longer as it was.
func (tg *target) unexplained() (list []string) {
	now := tree(tg.t, tg.dir)
	for path, was := range tg.untouched {
		if now[path] != was {
			list = append(list, path+" has changed")
		}
	}
	for path, is := range now {
		_, before := tg.untouched[path]
		if before || slices.Contains([]string{".", "data", "data/snapshots", "data/indexes", "data/replays"}, path) ||
			path == "data/.snapshotd" || strings.HasPrefix(path, "data/.snapshotd/") && !strings.Contains(is, "hostile-marker") && is[0] != 'L' {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		switch parent := filepath.ToSlash(filepath.Dir(path)); {
		case parent == "data/snapshots" && name == sagaID && is == "directory":
		case parent == "data/snapshots/"+sagaID && tg.granted[name] != "" && strings.HasPrefix(is, "file "):
		case parent == "data/indexes" && (name == sagaID || strings.HasPrefix(filepath.Base(path), ".")):
		default:
			list = append(list, path+" is there for no reason")
		}
	}
	slices.Sort(list)
	return list
}

// missing lists what was granted and is not there; the daemon has ended.
func (tg *target) missing() (list []string) {
	for id, context := range tg.granted {
		text, err := os.ReadFile(filepath.Join(tg.base, "snapshots", sagaID, id+".json"))
		if err != nil || !strings.Contains(string(text), `"context":`+context) {
			list = append(list, id+" is not as it was saved")
		}
	}
	return list
}

// exchange sends bytes over a connection of its own and answers what comes back
// until the other side closes. With half nothing more will come after the text.
func exchange(address, text string, half bool) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, text) // refused halfway, perhaps
		if half {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	var all bytes.Buffer
	some := make([]byte, 64<<10)
	for closed := false; ; {
		n, err := conn.Read(some)
		all.Write(some[:n])
		if err != nil {
			<-sent
			return all.Bytes(), nil
		}
		if goOn := all.Len() < 30 && bytes.HasPrefix(all.Bytes(), []byte("HTTP/1.1 100 ")); !closed && !goOn {
			// Whatever else was understood as a request is answered before the end.
			<-sent
			_ = conn.(*net.TCPConn).CloseWrite()
			closed = true
		}
	}
}
