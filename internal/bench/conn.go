package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// An exchanger sends requests over one connection, one after the other.
type exchanger interface {
	// do sends a request and answers the body, valid until the next one. Another
	// status than the one wanted is an error.
	do(ctx context.Context, method, path string, body []byte, want int) ([]byte, error)
	close()
}

// A conn speaks HTTP/1.1 over one connection, one request after the other. It is
// lean: the client shares the processors with what it measures, and net/http's
// takes a good deal of them. It understands what our servers answer, no more: a
// Content-Length or chunks.
type conn struct {
	address string
	token   string // "" = none is sent
	net     net.Conn
	stop    func() bool // end watching the context
	reader  *bufio.Reader
	request []byte // reused
	body    []byte // reused
}

// dial connects until ctx ends, which ends what is under way, too.
func dial(ctx context.Context, address, token string) (*conn, error) {
	c := &conn{address: address, token: token}
	return c, c.redial(ctx)
}

func (c *conn) redial(ctx context.Context) error {
	c.close()
	n, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	c.net = n
	c.stop = context.AfterFunc(ctx, func() { _ = n.Close() })
	c.reader = bufio.NewReaderSize(n, 32<<10)
	return nil
}

func (c *conn) close() {
	if c.net != nil {
		c.stop()
		_ = c.net.Close() // it has been read to the end, or failed already
		c.net = nil
	}
}

// do implements exchanger. After an error on the way the connection is made anew.
func (c *conn) do(ctx context.Context, method, path string, body []byte, want int) ([]byte, error) {
	if c.net == nil {
		if err := c.redial(ctx); err != nil {
			return nil, err
		}
	}
	b := c.request[:0]
	b = append(append(append(b, method...), ' '), path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), c.address...)
	if c.token != "" {
		b = append(append(b, "\r\nAuthorization: Bearer "...), c.token...)
	}
	if body != nil {
		b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
	}
	b = append(append(b, "\r\n\r\n"...), body...)
	c.request = b
	status, err := c.exchange()
	if err != nil {
		c.close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return c.body, expect(method, path, status, want, c.body)
}

// expect is an error unless a status is the one wanted.
func expect(method, path string, status, want int, body []byte) error {
	if status == want {
		return nil
	}
	return fmt.Errorf("%s %s: status %d instead of %d: %s", method, path, status, want, bytes.TrimSpace(body[:min(len(body), 300)]))
}

var errMalformed = errors.New("the answer is not HTTP as expected")

func (c *conn) exchange() (status int, err error) {
	if _, err := c.net.Write(c.request); err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, errMalformed
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errMalformed
	}
	length, chunked, closing := 0, false, false
	for {
		if line, err = c.line(); err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, errMalformed
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			closing = bytes.EqualFold(value, []byte("close"))
		}
	}
	c.body = c.body[:0]
	if chunked {
		err = c.chunks()
	} else {
		err = c.read(length)
	}
	if closing {
		c.close()
	}
	return status, err
}

// line answers the next line without its end, valid until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// read appends n bytes to the body.
func (c *conn) read(n int) error {
	begin := len(c.body)
	if missing := begin + n - cap(c.body); missing > 0 {
		c.body = append(c.body[:cap(c.body)], make([]byte, missing)...)
	}
	c.body = c.body[:begin+n]
	_, err := io.ReadFull(c.reader, c.body[begin:])
	return err
}

// chunks appends a chunked body (RFC 9112, 7.1), without trailers.
func (c *conn) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return errMalformed
		}
		if err := c.read(int(n)); err != nil {
			return err
		}
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return errMalformed
		}
		if n == 0 {
			return nil
		}
	}
}
