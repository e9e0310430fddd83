package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"snapshotd/internal/saga"
)

// What of a refused body is read and dropped, so that the client comes to see
// the answer instead of a reset connection.
const (
	discardBytes = 64 << 20
	discardTime  = 5 * time.Second
	refusalTime  = time.Second // when there is too much to do already
)

// readBody answers the decoded body. It is valid until the call ends.
func (c *call) readBody() ([]byte, error) {
	if err := c.checkMediaType(); err != nil {
		return nil, err
	}
	limit := c.server.cfg.MaxBodySize
	coding := strings.ToLower(strings.TrimSpace(strings.Join(c.r.Header.Values("Content-Encoding"), ",")))
	c.sent.c = c
	src := io.Reader(&c.sent)
	switch coding {
	case "", "identity":
		if c.r.ContentLength > limit {
			return nil, bodyTooLarge(limit)
		}
	case "gzip", "x-gzip":
		z := gzips.Get().(*gzip.Reader)
		defer gzips.Put(z)
		src = &gzipBody{z: z, src: src}
	case "zstd":
		// A decoder takes up to zstdWindow, whatever the body's size: there are few,
		// and none of them waits for a client.
		packed := buffers.get(unheld - 1)
		defer buffers.put(packed)
		var err error
		c.reading = true
		*packed, err = c.appendAll(*packed, src, limit+1)
		switch {
		case c.sent.late:
			return nil, badBody(bodyTooSlow)
		case isOverload(err) || c.ctx().Err() != nil:
			return nil, cmp.Or(c.ctx().Err(), err)
		case int64(len(*packed)) > limit:
			return nil, bodyTooLarge(limit)
		case err != nil:
			return nil, badBody("the body ends too early")
		}
		c.beside = int64(cap(*packed))
		z, err := borrowZstd(c.ctx())
		if err != nil {
			return nil, err
		}
		defer returnZstd(z)
		if err := z.Reset(bytes.NewReader(*packed)); err != nil {
			return nil, err
		}
		src = z
	default:
		c.w.Header().Set("Accept-Encoding", "gzip, zstd")
		return nil, problemf(http.StatusUnsupportedMediaType, "unsupported_encoding", "A body in gzip, zstd or without a coding was expected.")
	}
	c.reading = true
	c.body = buffers.get(min(c.r.ContentLength, unheld-1)) // what a client announces is not yet there
	text, err := c.appendAll(*c.body, src, limit+1)
	*c.body = text
	switch {
	case c.sent.late: // which ends the context, too
		return nil, badBody(bodyTooSlow)
	case c.ctx().Err() != nil:
		return nil, c.ctx().Err()
	case isOverload(err):
		return nil, err
	case int64(len(text)) > limit:
		return nil, bodyTooLarge(limit)
	case err != nil && (coding == "" || coding == "identity"):
		return nil, badBody("the body ends too early")
	case err != nil:
		return nil, badBody("the body is not a whole " + coding + " stream that decodes within 8 MiB of memory")
	case len(text) == 0:
		return nil, badBody("a JSON object was expected, but the body is empty")
	}
	c.sent.done()
	return text, nil
}

const bodyTooSlow = "the body did not come within the time that its size may take"

// checkMediaType takes application/json, in UTF-8 when it says so at all.
func (c *call) checkMediaType() error {
	value := c.r.Header.Get("Content-Type")
	if value == jsonType {
		return nil
	}
	media, params, err := mime.ParseMediaType(value)
	if charset, ok := params["charset"]; err == nil && media == jsonType && (!ok || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	return problemf(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"The content type application/json was expected; curl --json sends it.")
}

func bodyTooLarge(limit int64) error {
	return problemf(http.StatusRequestEntityTooLarge, codeBodyTooLarge, "A body of at most %d bytes, decoded, was expected.", limit)
}

func badBody(detail string) error {
	return saga.InvalidError{{Code: saga.InvalidJSON, Detail: detail}}
}

// discardBody reads and drops what is left of the body of a request that is
// answered with this code.
func (c *call) discardBody(code string) {
	if c.r.Body == http.NoBody || c.r.Body == nil {
		return
	}
	if !c.reading && c.r.Header.Get("Expect") != "" {
		return // the client waits for our word before it sends
	}
	if c.sent.late {
		return // it had its time
	}
	patience := discardTime
	if code == codeOverloaded {
		patience = refusalTime
	}
	c.readUntil(time.Now().Add(patience))
	_, _ = io.CopyN(io.Discard, c.r.Body, discardBytes)
}

// appendAll appends what src has, at most limit bytes, to a buffer of buffers.get.
// The memory is counted before there is any, see hold.
func (c *call) appendAll(dst []byte, src io.Reader, limit int64) ([]byte, error) {
	if err := c.hold(c.beside + int64(cap(dst))); err != nil {
		return dst, err
	}
	src = io.LimitReader(src, limit)
	for {
		if len(dst) == cap(dst) {
			room := 2 * cap(dst)
			if int64(room) > limit && int64(len(dst)) <= limit {
				room = int(limit) + 1
			}
			if err := c.hold(c.beside + int64(room)); err != nil {
				return dst, err
			}
			dst = append(make([]byte, 0, room), dst...)
		}
		n, err := src.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch err {
		case nil:
		case io.EOF:
			return dst, nil
		default:
			return dst, err
		}
	}
}

// gzipBody reads the stream's header as late as its content.
type gzipBody struct {
	z      *gzip.Reader
	src    io.Reader
	opened bool
}

func (b *gzipBody) Read(p []byte) (int, error) {
	if !b.opened {
		if err := b.z.Reset(b.src); err != nil {
			return 0, errors.Join(errGzip, err)
		}
		b.opened = true
	}
	return b.z.Read(p)
}

var errGzip = errors.New("not a gzip stream")

var gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}

// zstdWindow is what a decoder has to bear, and may refuse to exceed (RFC 9659).
const zstdWindow = 8 << 20

var (
	zstds = sync.Pool{New: func() any {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(zstdWindow), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			panic(err) // the options above are wrong
		}
		return z
	}}
	zstdTurns = make(chan struct{}, max(4, runtime.GOMAXPROCS(0)))
)

// borrowZstd waits for one of the few decoders.
func borrowZstd(ctx context.Context) (*zstd.Decoder, error) {
	select {
	case zstdTurns <- struct{}{}:
		return zstds.Get().(*zstd.Decoder), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func returnZstd(z *zstd.Decoder) {
	_ = z.Reset(nil) // lets go of the body
	zstds.Put(z)
	<-zstdTurns
}

// buffers lends memory for bodies and answers.
var buffers bufferPool

// A bufferPool keeps small and large buffers apart, so that what is small does not
// hold what is large.
type bufferPool struct{ small, large sync.Pool }

// keptBuffer is the largest that is kept, in bytes; larger ones are rare.
const keptBuffer = 1 << 20

// get lends an empty buffer with room for hint bytes and one more, within
// keptBuffer. The hint may be -1.
func (p *bufferPool) get(hint int64) *[]byte {
	need := int(max(4096, min(hint+1, keptBuffer)))
	pool := &p.small
	if need > unheld {
		pool = &p.large
	}
	b, ok := pool.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	if cap(*b) < need {
		*b = make([]byte, 0, need)
	}
	*b = (*b)[:0]
	return b
}

func (p *bufferPool) put(b *[]byte) {
	switch {
	case cap(*b) <= unheld:
		p.small.Put(b)
	case cap(*b) <= keptBuffer:
		p.large.Put(b)
	}
}
