package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Program is snapshotd, to be run as a child.
type Program struct {
	path    string
	environ []string
}

// A child is a running program that has said in its log where it listens.
type child struct {
	cmd     *exec.Cmd
	address string
	ended   chan struct{} // closed when its log has ended
	last    []string      // lines of its log before that; until ended it belongs to the reader
}

const (
	startTime = 30 * time.Second
	stopTime  = 20 * time.Second
)

// start runs the program until it listens. Its log must be JSON, on stderr.
func (p *Program) start(ctx context.Context, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(p.path, args...), ended: make(chan struct{})}
	c.cmd.Env = p.environ
	c.cmd.SysProcAttr = dieWithParent()
	log, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	address := make(chan string, 1)
	go c.read(log, address)
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case c.address = <-address:
		return c, nil
	case <-c.ended:
		err = errors.New("it ended")
	case <-late.C:
		err = errors.New("it does not listen")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.stop()
	return nil, fmt.Errorf("starting %s: %w\n%s", strings.Join(c.cmd.Args, " "), err, strings.Join(c.last, "\n"))
}

// read finds the address in the log, and keeps the last lines until then.
func (c *child) read(log io.Reader, address chan<- string) {
	defer close(c.ended)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var entry struct{ Msg, Address string }
		if bytes.HasPrefix(lines.Bytes(), []byte("{")) && json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
			address <- entry.Address
			break
		}
		c.keep(lines.Text())
	}
	_, _ = io.Copy(io.Discard, log) // the child must not block, and what it says takes no more of the processors than it must
}

func (c *child) keep(line string) {
	const most = 10
	if c.last = append(c.last, line); len(c.last) > most {
		c.last = c.last[1:]
	}
}

// stop ends the child, kindly where that is possible.
func (c *child) stop() {
	if c.cmd.Process.Signal(syscall.SIGTERM) != nil {
		_ = c.cmd.Process.Kill() // it has ended, or this is Windows
	}
	kill := time.AfterFunc(stopTime, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	<-c.ended
	_ = c.cmd.Wait() // however it ended, it has been measured
}

// NewProgram is the program at path, in an environment without the variables that
// set its options: what is measured is what the arguments say.
func NewProgram(path string, environ []string) *Program {
	p := &Program{path: path}
	for _, v := range environ {
		if !strings.HasPrefix(v, "SNAPSHOTD_") {
			p.environ = append(p.environ, v)
		}
	}
	return p
}
