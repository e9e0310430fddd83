package api

import (
	"context"
	"net"
	"sync"
)

// Joining answers a listener on whose connections the header of a long answer leaves
// together with the body, when an http.Server has ConnContext, too. net/http would first
// send what fits into its buffer: two system calls, and two packets for the client to
// wake up for.
func Joining(l net.Listener) net.Listener { return joiningListener{l} }

// ConnContext is for http.Server.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*joiningConn); ok {
		return context.WithValue(ctx, joiningKey{}, c)
	}
	return ctx
}

type joiningKey struct{}

type joiningListener struct{ net.Listener }

func (l joiningListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &joiningConn{Conn: conn}, nil
}

// A writeBuffer is as large as that of a connection in net/http. If that changes, nothing
// is joined any more.
type writeBuffer [4 << 10]byte

var writeBuffers = sync.Pool{New: func() any { return new(writeBuffer) }}

// A joiningConn holds a full buffer back until the next write.
type joiningConn struct {
	net.Conn
	joining bool
	held    *writeBuffer
	parts   [2][]byte
	joined  net.Buffers
}

// join begins and ends the time of a call of ResponseWriter.Write, within which a buffer
// is only written out when there is more behind it. A nil connection joins nothing.
func (c *joiningConn) join(on bool) {
	if c != nil {
		c.joining = on
	}
}

func (c *joiningConn) Write(p []byte) (int, error) {
	switch {
	case c.held != nil:
		c.parts = [2][]byte{c.held[:], p}
		c.joined = c.parts[:]
		n, err := c.joined.WriteTo(c.Conn) // writev(2)
		writeBuffers.Put(c.held)
		c.held = nil
		return max(0, int(n)-len(writeBuffer{})), err
	case c.joining && len(p) == len(writeBuffer{}):
		c.held = writeBuffers.Get().(*writeBuffer)
		return copy(c.held[:], p), nil
	default:
		return c.Conn.Write(p)
	}
}
