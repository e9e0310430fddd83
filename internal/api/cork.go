package api

import (
	"context"
	"net"
	"sync"
)

// Cork answers a listener on whose connections the header of a long answer leaves
// together with the body, when an http.Server has ConnContext, too. net/http would first
// send what fits into its buffer: two system calls, and two packets for the client to
// wake up for. It is TCP_CORK (tcp(7)) without a system call.
func Cork(l net.Listener) net.Listener { return corkedListener{l} }

// ConnContext is for http.Server.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*corkedConn); ok {
		return context.WithValue(ctx, corkedKey{}, c)
	}
	return ctx
}

type corkedKey struct{}

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corkedConn{Conn: conn}, nil
}

// A writeBuffer is as large as that of a connection in net/http. If that changes, nothing
// is held back any more.
type writeBuffer [4 << 10]byte

var writeBuffers = sync.Pool{New: func() any { return new(writeBuffer) }}

// A corkedConn holds a full buffer back until the next write.
type corkedConn struct {
	net.Conn
	corked bool
	held   *writeBuffer
	parts  [2][]byte // of a write, kept lest it is allocated
	both   net.Buffers
}

// cork begins and ends the time of a call of ResponseWriter.Write, within which a buffer
// is only written out when there is more behind it. For a nil connection it does nothing.
func (c *corkedConn) cork(on bool) {
	if c != nil {
		c.corked = on
	}
}

func (c *corkedConn) Write(p []byte) (int, error) {
	switch {
	case c.held != nil:
		c.parts = [2][]byte{c.held[:], p}
		c.both = c.parts[:]
		n, err := c.both.WriteTo(c.Conn) // writev(2)
		writeBuffers.Put(c.held)
		c.held = nil
		return max(0, int(n)-len(writeBuffer{})), err
	case c.corked && len(p) == len(writeBuffer{}):
		c.held = writeBuffers.Get().(*writeBuffer)
		return copy(c.held[:], p), nil
	default:
		return c.Conn.Write(p)
	}
}
