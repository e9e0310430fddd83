//go:build faults && linux

package faults

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is asked for when SIGTERM comes is answered, and then there is nothing left
// to replay.
func TestStoppedUnderLoad(t *testing.T) {
	v := newVictim(t, "SIGTERM under load")
	for range 5 {
		d := v.start()
		v.check(d)
		clients := v.ledger.run(d, mix{workers: 4})
		time.Sleep(150 * time.Millisecond)
		stop := time.AfterFunc(20*time.Millisecond, func() { clients.stop.Store(true) })
		code := d.stop()
		stop.Stop()
		clients.end()
		v.row.cuts++
		if code != 0 {
			t.Errorf("exit code %d\n%s", code, &d.log)
		}
	}
	d := v.start()
	v.check(d)
	if strings.Contains(d.log.String(), "replayed") {
		t.Errorf("something was left to replay\n%s", &d.log)
	}
}

// While the process is paused clients wait; their requests are carried out later.
func TestPaused(t *testing.T) {
	v := newVictim(t, "SIGSTOP and SIGCONT")
	d := v.start()
	clients := v.ledger.run(d, mix{workers: 4})
	time.Sleep(100 * time.Millisecond)
	for range 3 {
		pause(t, d)
		impatient := &daemon{t: t, url: d.url, client: &http.Client{Transport: &http.Transport{}, Timeout: 100 * time.Millisecond}}
		x := v.ledger.add(newSnapshot(newID(), 1000))
		c, _ := v.ledger.asking(x, 1)
		if a := impatient.do("PUT", x.path(), x.document()); a.err == nil {
			t.Errorf("a paused daemon has answered %d", a.status)
		}
		_ = d.cmd.Process.Signal(syscall.SIGCONT)
		impatient.client.CloseIdleConnections()
		a := d.do("PUT", x.path(), x.document()) // whoever gave up asks again, with the same id
		if !a.acknowledged() {
			t.Errorf("the same save again: %d %s %v", a.status, a.body, a.err)
		}
		v.ledger.acknowledge(c)
		v.row.cuts++
	}
	clients.end()
	if len(clients.refused) > 0 {
		t.Errorf("refused: %s", clients.refused[0])
	}
	v.check(d)
	v.ledger.cut(d.kill)
	v.check(v.start())
}

// pause stops a daemon until it gets SIGCONT.
func pause(t *testing.T, d *daemon) {
	t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/status")
		if err == nil && strings.Contains(string(status), "State:\tT") {
			return
		}
	}
	t.Fatal("it does not pause")
}

func TestSecondDaemon(t *testing.T) {
	v := newVictim(t, "second daemon on the directory")
	d := v.start()
	clients := v.ledger.run(d, mix{workers: 2})
	for range 3 {
		second := launch{dir: v.dir}.begin(t)
		if second.ready() {
			t.Fatal("two daemons run on one directory")
		}
		log := second.log.String()
		if second.cmd.ProcessState.ExitCode() == 0 || !strings.Contains(log, "in use by snapshotd with pid "+strconv.Itoa(d.cmd.Process.Pid)) {
			t.Errorf("it ends with %v\n%s", second.cmd.ProcessState, log)
		}
		v.row.cuts++
	}
	clients.end()
	if len(clients.refused) > 0 {
		t.Errorf("refused: %s", clients.refused[0])
	}
	v.check(d)
	v.ledger.cut(d.kill)
	v.check(v.start())
}

// The OOM killer ends a daemon whose control group has no memory left.
func TestOutOfMemory(t *testing.T) {
	group := newMemoryGroup(t)
	v := newVictim(t, "OOM kill")
	for range 3 {
		d := v.start("GOGC=off") // so that it is out of memory soon
		v.check(d)
		group.add(t, d.cmd.Process.Pid)
		clients := v.ledger.run(d, mix{workers: 4, large: true})
		select {
		case <-d.ended:
		case <-time.After(patience):
		}
		v.ledger.cut(func() {})
		clients.end()
		if d.running() {
			t.Fatal("it is not killed")
		}
		if s, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			t.Fatalf("it has ended otherwise: %v\n%s", d.cmd.ProcessState, &d.log)
		}
		v.row.cuts++
	}
	v.check(v.start())
}

// A memoryGroup is a control group with little memory.
type memoryGroup string

func newMemoryGroup(t *testing.T) memoryGroup {
	t.Helper()
	for _, kind := range []struct{ dir, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	} {
		group := memoryGroup(filepath.Join(kind.dir, "snapshotd-faults"))
		if os.MkdirAll(string(group), 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(string(group)) })
		if os.WriteFile(filepath.Join(string(group), kind.limit), []byte("40000000"), 0) == nil {
			return group
		}
	}
	t.Skip("needs a control group for memory that may be changed")
	return ""
}

func (g memoryGroup) add(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(g), "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}
