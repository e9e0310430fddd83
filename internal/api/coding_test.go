package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"snapshotd/internal/api"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/memstore"
)

func pack(t testing.TB, coding, text string) string {
	t.Helper()
	body, err := packed(coding, text)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func packed(coding, text string) (string, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return "", err
		}
		w = z
	default:
		return text, nil
	}
	if _, err := io.WriteString(w, text); err != nil {
		return "", err
	}
	err := w.Close()
	return b.String(), err
}

func unpack(t testing.TB, coding, packed string) string {
	t.Helper()
	text, err := unpacked(coding, packed)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unpacked(coding, packed string) (string, error) {
	var r io.Reader = strings.NewReader(packed)
	var err error
	switch coding {
	case "", "identity":
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		err = fmt.Errorf("unknown: %s", coding)
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

func TestMediaTypes(t *testing.T) {
	w := newWorld(t, memstore.New())
	for i, ok := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", `application/json; charset="utf-8"; v=1`} {
		w.do("PUT", "/v1/snapshots/"+snapshotID(i), draft(1, 1, ""), "Content-Type", ok).is(201)
	}
	for _, bad := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", "application/problem+json",
		"application/json; charset=latin1", "application/*", "json", "application/json, text/plain", ";",
	} {
		for _, call := range []struct{ method, path string }{
			{"PUT", "/v1/snapshots/" + snapshotID(9)}, {"POST", "/v1/snapshots"}, {"POST", "/v1/sagas/" + sagaID(1) + "/replays"},
			{"PUT", "/v1/replays/" + replayID(1)}, {"PATCH", "/v1/replays/" + replayID(1)},
		} {
			p := w.do(call.method, call.path, draft(1, 1, ""), "Content-Type", bad).problem(415, "unsupported_media_type")
			if !strings.Contains(p.field("detail"), "curl --json") {
				t.Error(p.body)
			}
		}
	}
	for _, call := range []struct{ method, path string }{{"POST", "/v1/snapshots"}, {"PATCH", "/v1/replays/" + replayID(1)}} {
		w.do(call.method, call.path, "").problem(415, "unsupported_media_type")
		w.send(call.method, call.path, strings.NewReader("")).problem(400, "invalid_json", "")
		w.send(call.method, call.path, strings.NewReader(" \n")).problem(400, "invalid_json", "")
	}
	w.get("/v1/stats").holds("4", "total_snapshots")
}

func TestCodedRequests(t *testing.T) {
	overStores(t, func(w *world) {
		body := whole("context", odd)
		for i, coding := range []string{"gzip", "x-gzip", "GZIP", "zstd", "identity", ""} {
			packed := pack(w, strings.TrimPrefix(strings.ToLower(coding), "x-"), body)
			path := "/v1/snapshots/" + snapshotID(i)
			w.do("PUT", path, packed, "Content-Encoding", coding).is(201)
			w.do("PUT", path, body).is(200)
		}
		halves := pack(w, "gzip", body[:100]) + pack(w, "gzip", body[100:])
		w.do("POST", "/v1/snapshots", halves, "Content-Encoding", "gzip").is(201)
		w.send("POST", "/v1/snapshots", io.MultiReader(strings.NewReader(body))).is(201) // chunked
	})
}

func TestBadCodings(t *testing.T) {
	w := newWorld(t, memstore.New())
	body := draft(1, 1, "")
	for _, coding := range []string{"br", "deflate", "gzip, zstd", "gzip, gzip", "*", "gzip;q=1", "utf-8"} {
		w.do("POST", "/v1/snapshots", body, "Content-Encoding", coding).problem(415, "unsupported_encoding").
			has("Accept-Encoding", "gzip, zstd")
	}
	for _, coding := range []string{"gzip", "zstd"} {
		whole := pack(t, coding, body)
		for _, broken := range []string{body, whole[:len(whole)-5], whole[:3], whole + "trailing garbage", strings.Replace(whole, whole[12:16], "\xff\xff\xff\xff", 1)} {
			w.do("POST", "/v1/snapshots", broken, "Content-Encoding", coding).problem(400, "invalid_json", "")
		}
		w.do("POST", "/v1/snapshots", pack(t, coding, ""), "Content-Encoding", coding).problem(400, "invalid_json", "")
	}
	w.get("/v1/stats").holds("0", "total_snapshots")
}

func TestBombs(t *testing.T) {
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.MaxBodySize = 1 << 20 })
	zeros := strings.Repeat("\x00", 64<<20)
	for _, coding := range []string{"gzip", "zstd"} {
		bomb := pack(t, coding, zeros)
		if len(bomb) > 1<<19 {
			t.Fatal(len(bomb))
		}
		w.do("POST", "/v1/snapshots", bomb, "Content-Encoding", coding).problem(413, "body_too_large")
	}
	// A window that only a decoder with as much memory could bear.
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(bytes.Repeat([]byte(draft(1, 1, "")), 400_000)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	w.do("POST", "/v1/snapshots", b.String(), "Content-Encoding", "zstd").problem(400, "invalid_json", "")
	w.do("POST", "/v1/snapshots", draft(1, 1, "")).is(201)
}

func TestBodySize(t *testing.T) {
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.MaxBodySize = 1000 })
	fits := whole("context", "{}")
	fits += strings.Repeat(" ", 1000-len(fits))
	w.do("POST", "/v1/snapshots", fits).is(201)
	w.do("POST", "/v1/snapshots", fits+" ").problem(413, "body_too_large")
	w.send("POST", "/v1/snapshots", io.MultiReader(strings.NewReader(fits))).is(201)
	w.send("POST", "/v1/snapshots", io.MultiReader(strings.NewReader(fits+" "))).problem(413, "body_too_large")
	w.do("POST", "/v1/snapshots", pack(t, "gzip", fits), "Content-Encoding", "gzip").is(201)
	w.do("POST", "/v1/snapshots", pack(t, "gzip", fits+" "), "Content-Encoding", "gzip").problem(413, "body_too_large")
	w.do("PUT", "/v1/replays/"+replayID(1), fits+" ").problem(413, "body_too_large")
}

// A client that has sent megabytes must come to see why they were refused.
func TestARefusedBodyIsReadToItsEnd(t *testing.T) {
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.MaxBodySize = 1 << 20 })
	large := strings.Repeat("x", 20<<20)
	w.do("POST", "/v1/snapshots", large).problem(413, "body_too_large")
	w.send("POST", "/v1/snapshots", io.MultiReader(strings.NewReader(large))).problem(413, "body_too_large")
	w.do("POST", "/v1/snapshots", large, "Content-Type", "text/plain").problem(415, "unsupported_media_type")
	w.do("POST", "/v1/snapshots", large, "Content-Encoding", "br").problem(415, "unsupported_encoding")
	w.do("PUT", "/v1/snapshots/x", large).problem(400, "invalid_id")
	w.do("POST", "/v1/nowhere", large).problem(404, "route_not_found")
	w.do("PATCH", "/v1/snapshots", large).problem(405, "method_not_allowed")
	w.server.Drain()
	w.do("POST", "/v1/snapshots", large).problem(503, "draining")
}

// A client that asks first is answered before it sends anything.
func TestExpectContinue(t *testing.T) {
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.MaxBodySize = 1000 })
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/snapshots HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(4 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(resp.Status)
	}
}

func TestCodedAnswers(t *testing.T) {
	overStores(t, func(w *world) {
		w.fill(20)
		path := "/v1/snapshots/" + snapshotID(30)
		w.do("PUT", path, whole("context", `{"text": "`+strings.Repeat("abc ", 1000)+`"}`)).is(201)
		for _, path := range []string{"/v1/snapshots?view=full", "/v1/snapshots", path, "/openapi.yaml", "/openapi.json"} {
			plain := w.get(path).is(200).has("Content-Encoding", "").has("Vary", "Accept-Encoding")
			for accepted, coding := range map[string]string{
				"gzip": "gzip", "zstd": "zstd", "gzip;q=0.5, zstd": "zstd", "zstd;q=0.5, gzip": "gzip",
				"br": "", "gzip;q=0": "", "identity": "", "deflate, gzip;q=1.0, *;q=0.5": "gzip",
			} {
				a := w.get(path, "Accept-Encoding", accepted).is(200).has("Content-Encoding", coding).has("Vary", "Accept-Encoding")
				if got := unpack(w, coding, a.body); got != plain.body {
					w.Errorf("%s in %q: %q was expected, not %q", path, coding, plain.body, got)
				}
			}
		}
		w.get("/healthz", "Accept-Encoding", "gzip").has("Content-Encoding", "") // too short to gain by it
		w.get("/metrics", "Accept-Encoding", "gzip").has("Content-Encoding", "") // left to its handler
	})
}

// A stored gzip stream goes out as it is.
func TestStoredGzip(t *testing.T) {
	s := openDirectory(t, filestore.Config{BasePath: t.TempDir(), Compress: true})
	w := newWorld(t, s)
	path := "/v1/snapshots/" + snapshotID(1)
	w.do("PUT", path, whole("context", `{"text": "`+strings.Repeat("abc ", 1000)+`"}`)).is(201)
	size := w.get("/v1/snapshots").object()["snapshots"].([]any)[0].(map[string]any)["size_bytes"]
	plain := w.get(path).is(200).body
	for _, accepted := range []string{"gzip", "gzip, deflate, br, zstd", "zstd;q=0.9, gzip"} {
		a := w.get(path, "Accept-Encoding", accepted).is(200).has("Content-Encoding", "gzip").has("Content-Length", fmt.Sprint(size))
		if fmt.Sprint(len(a.body)) != fmt.Sprint(size) || unpack(t, "gzip", a.body) != plain {
			t.Errorf("%q: %d bytes, not the %v stored", accepted, len(a.body), size)
		}
		w.do("HEAD", path, "", "Accept-Encoding", accepted).is(200).has("Content-Encoding", "gzip").has("ETag", a.header.Get("ETag"))
	}
	a := w.get(path, "Accept-Encoding", "gzip;q=0.9, zstd").is(200).has("Content-Encoding", "zstd")
	if unpack(t, "zstd", a.body) != plain {
		t.Error("zstd says something else")
	}
	w.get(path+"?pointer=/status", "Accept-Encoding", "gzip").is(200).says("\"executing\"\n")
	w.get("/v1/sagas/"+sagaID(1)+"/snapshots/latest", "Accept-Encoding", "gzip").is(200).has("Content-Encoding", "gzip")
}
