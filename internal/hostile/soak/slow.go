package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

func (d *daemon) send(req *http.Request) (status int, text []byte, err error) {
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// document is one of about 2 KB, of a saga out of those there are.
func document(saga int) string {
	return fmt.Sprintf(`{"saga_id":"0b8f0d5c-6f6e-4a0e-9d0e-%012d","saga_name":"order","step_name":"step-%d","step_index":%d,"status":"executing","context":{"filling":"%s"}}`,
		saga, rand.IntN(20), rand.IntN(100), strings.Repeat("0123456789abcdef", 110)) // #nosec G404 -- load
}

// amongSlowClients measures a normal client beside others that send their header,
// send their body, or read their answer, a byte a second.
func (d *daemon) amongSlowClients(ctx context.Context, slow int, length time.Duration) error {
	for range 1000 { // something to read slowly
		if _, err := d.do(ctx, http.MethodPost, "/v1/snapshots", document(0), http.StatusCreated); err != nil {
			return err
		}
	}
	crowd, leave := context.WithTimeout(ctx, length)
	defer leave()
	var others sync.WaitGroup
	address := strings.TrimPrefix(d.url, "http://")
	for i := range slow {
		others.Go(func() {
			for crowd.Err() == nil {
				crawl(crowd, address, i%3)
			}
		})
	}
	var took []time.Duration
	for crowd.Err() == nil {
		for _, request := range [][2]string{{http.MethodPost, document(1 + len(took)%sagas)}, {http.MethodGet, ""}} {
			path := "/v1/snapshots"
			if request[0] == http.MethodGet {
				path = fmt.Sprintf("/v1/sagas/0b8f0d5c-6f6e-4a0e-9d0e-%012d/snapshots/latest", 0)
			}
			t, err := d.do(ctx, request[0], path, request[1], http.StatusCreated, http.StatusOK)
			if err != nil {
				return err
			}
			took = append(took, t)
		}
	}
	others.Wait()
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	fmt.Printf("beside %d slow clients a normal one sent %d requests: p50 %v, p99 %v, the slowest %v\n",
		slow, len(took), took[len(took)/2], p99, took[len(took)-1])
	if p99 > time.Second {
		return fmt.Errorf("a normal client waits for %v", p99)
	}
	return nil
}

// crawl is one connection of a client that is slow with its header (0), its body
// (1) or with reading (2), until it is cut off.
func crawl(ctx context.Context, address string, kind int) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	hangUp := func() { _ = conn.Close() }
	defer hangUp()
	defer context.AfterFunc(ctx, hangUp)()
	const host = " HTTP/1.1\r\nHost: localhost\r\n"
	switch kind {
	case 0:
		drip(ctx, conn, "GET /v1/stats"+host+"X-Filling: "+strings.Repeat("x", 1000))
	case 1:
		text := document(0)
		_, _ = fmt.Fprintf(conn, "POST /v1/snapshots%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", host, len(text))
		drip(ctx, conn, text)
	default:
		_, _ = io.WriteString(conn, "GET /v1/sagas/0b8f0d5c-6f6e-4a0e-9d0e-000000000000/snapshots?limit=1000"+host+"Accept-Encoding: gzip\r\n\r\n")
		for one := make([]byte, 1); ctx.Err() == nil; time.Sleep(time.Second) {
			if _, err := conn.Read(one); err != nil {
				return
			}
		}
	}
}

func drip(ctx context.Context, conn net.Conn, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil || ctx.Err() != nil {
			return
		}
		time.Sleep(time.Second)
	}
}
