package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzhttp/writer"
	"github.com/klauspost/compress/gzip"
)

// compress answers in gzip or zstd, whichever the client likes better. Documents
// that are stored compressed pass through as they are. Padding that depends on
// the content keeps lengths from telling what is inside (BREACH) and tags strong.
// HEAD is answered as GET, but without a length that only compressing would tell.
func compress(next http.Handler) http.Handler {
	size, tag, untyped := gzhttp.MinSize(1024), gzhttp.SuffixETag("-gzip"), gzhttp.SetContentType(false)
	wrap, err := gzhttp.NewWrapper(size, tag, untyped, gzhttp.RandomJitter(32, 0, false))
	wrapHead, headErr := gzhttp.NewWrapper(size, tag, untyped,
		gzhttp.Implementation(writer.GzipWriterFactory{Levels: anyLevel, New: func(io.Writer, int) writer.GzipWriter { return nowhere{} }}),
		gzhttp.ZstdImplementation(writer.ZstdWriterFactory{Levels: anyLevel, New: func(io.Writer, int) writer.ZstdWriter { return nowhere{} }}))
	if err := errors.Join(err, headErr); err != nil {
		panic(err) // the options above are wrong
	}
	compressing := wrap(next)
	compressingHead := wrapHead(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Method = http.MethodHead
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/metrics":
			next.ServeHTTP(w, r) // which compresses by itself
		case r.Header.Get("Accept-Encoding") == "":
			w.Header().Add("Vary", "Accept-Encoding")
			next.ServeHTTP(w, r)
		case r.Method == http.MethodHead:
			get := r.WithContext(r.Context())
			get.Method = http.MethodGet // or gzhttp would leave it alone
			compressingHead.ServeHTTP(w, get)
		default:
			compressing.ServeHTTP(w, r)
		}
	})
}

// nowhere compresses answers of which nobody gets more than the header.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Flush() error                { return nil }
func (nowhere) Close() error                { return nil }

func anyLevel() (least, most int) { return gzip.HuffmanOnly, gzip.BestCompression }
