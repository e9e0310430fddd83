package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// series counts the series on /metrics.
func (r *run) series() (n int) {
	_, text := r.get("/metrics")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}

// Whatever is saved and asked for, there are no more metrics than before.
func TestSeriesDoNotGrow(t *testing.T) {
	t.Parallel()
	r := start(t, "--store=memory")
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"}
	hosts := func(n int) {
		for i := range n {
			req, err := http.NewRequest(http.MethodGet, r.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = fmt.Sprintf("host-%d.example", i)
			res, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
	}
	ask := func(sagas, junk int) {
		for i := range sagas {
			saga := fmt.Sprintf("0b8f0d5c-6f6e-4a0e-9d0e-1%011d", i)
			text := strings.NewReplacer(sagaID, saga, `"pay"`, fmt.Sprintf(`"step-%d"`, i), "completed", fmt.Sprintf("status_%d", i), `"order"`, fmt.Sprintf(`"name-%d"`, i)).Replace(document)
			if code, body := r.do("POST", "/v1/snapshots", text); code != http.StatusCreated {
				t.Fatalf("%d %s", code, body)
			}
		}
		for i := range junk {
			r.do(methods[i%len(methods)], fmt.Sprintf("/junk-%d/%x", i, i*i), "")
			r.do("GET", fmt.Sprintf("/v1/sagas/%d", i), "")
		}
		hosts(junk / 10)
	}
	ask(1, 2*len(methods))
	r.series() // which is a request, too
	before := r.series()
	ask(10_000, 1_000)
	if after := r.series(); after != before {
		t.Errorf("%d series have become %d", before, after)
	}
}
