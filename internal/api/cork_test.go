package api_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"snapshotd/internal/store/memstore"
)

// Answers of each length around those that fill net/http's buffer once and twice arrive
// as they are. An id of the request lengthens the header.
func TestAnswersAroundTheSizeOfABuffer(t *testing.T) {
	w := newWorld(t, memstore.New())
	const step = 100
	for _, from := range []int{3000, 7100} {
		for n := from; n < from+10*step; n += step {
			filling := strings.Repeat("~", n)
			path := "/v1/snapshots/" + snapshotID(n)
			w.do("PUT", path, long(filling)).is(201)
			document := w.get(path).is(200).body
			if !strings.Contains(document, filling) {
				t.Fatalf("%s: %q", path, document)
			}
			for more := 1; more <= step; more++ {
				w.get(path, "X-Request-Id", strings.Repeat("i", more)).is(200).says(document)
			}
		}
	}
}

// A client that waits for a long answer is woken up once.
func TestHeaderAndBodyLeaveTogether(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("how the system hands packets over is only known for Linux")
	}
	w := newWorld(t, memstore.New())
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), long(strings.Repeat("~", 20<<10))).is(201)
	for _, path := range []string{"/v1/snapshots/" + snapshotID(1), "/v1/sagas/" + sagaID(1) + "/snapshots"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answer := make([]byte, 64<<10)
		for range 100 {
			if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(answer)
			if err != nil {
				t.Fatal(err)
			}
			if n < 20<<10 || answer[n-1] != '\n' {
				t.Fatalf("%s: the first %d bytes came alone", path, n)
			}
		}
	}
}

func long(filling string) string {
	return strings.Replace(draft(1, 1, ""), `"n": 1`, fmt.Sprintf(`"x": %q`, filling), 1)
}
