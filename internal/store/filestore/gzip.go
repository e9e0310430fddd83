package filestore

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var errTooLarge = errors.New("it is larger than 256 MiB")

// isGzip tells by the magic number of RFC 1952.
func isGzip(data []byte) bool {
	return len(data) >= 2 && data[0] == 0x1f && data[1] == 0x8b
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// compress appends a gzip stream of the data to dst.
func compress(dst, data []byte) []byte {
	buf := bytes.NewBuffer(dst)
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(buf)
	// A bytes.Buffer takes everything.
	_, _ = w.Write(data)
	_ = w.Close()
	return buf.Bytes()
}

// plain decompresses what is compressed.
func plain(data []byte) (text []byte, gzipped bool, err error) {
	if !isGzip(data) {
		return data, false, nil
	}
	text, err = gunzip(data, maxFileSize)
	return text, true, err
}

// gunzip decompresses at most limit bytes.
func gunzip(data []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooLarge
	}
	return text, err
}

// A gunzipReader decompresses a file while it is read.
type gunzipReader struct {
	*gzip.Reader
	file io.Closer
}

func newGunzipReader(file io.ReadCloser) (*gunzipReader, error) {
	r, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return &gunzipReader{Reader: r, file: file}, nil
}

func (r *gunzipReader) Close() error { return errors.Join(r.Reader.Close(), r.file.Close()) }
