package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fill saves n snapshots, a second apart, in turn over two sagas; from the older
// to the newer they are 0 to n-1.
func (w *world) fill(n int) {
	w.Helper()
	for i := range n {
		body := draft(i%2, i, fmt.Sprintf(`"created_at": "2026-11-22T10:00:%02dZ"`, i))
		if i%3 == 0 {
			body = strings.Replace(body, "executing", "failed", 1)
		}
		if i%2 == 1 {
			body = strings.Replace(body, `"order"`, `"refund & return"`, 1)
		}
		w.do("PUT", "/v1/snapshots/"+snapshotID(i), body).is(201)
	}
}

func TestSearch(t *testing.T) {
	overStores(t, func(w *world) {
		w.get("/v1/snapshots").is(200).says("{\"snapshots\":[],\"next_cursor\":null}\n").has("Link", "")
		w.fill(6)
		w.get("/v1/snapshots").snapshots(5, 4, 3, 2, 1, 0)
		w.get("/v1/snapshots?order=desc").snapshots(5, 4, 3, 2, 1, 0)
		w.get("/v1/snapshots?order=asc").snapshots(0, 1, 2, 3, 4, 5)
		w.get("/v1/snapshots?saga_name=order").snapshots(4, 2, 0)
		w.get("/v1/snapshots?saga_name=refund+%26+return").snapshots(5, 3, 1)
		w.get("/v1/snapshots?status=failed").snapshots(3, 0)
		w.get("/v1/snapshots?status=nobody_has_it").snapshots()
		w.get("/v1/snapshots?step_name=step-2").snapshots(2)
		w.get("/v1/snapshots?after=2026-11-22T10:00:02Z").snapshots(5, 4, 3)
		w.get("/v1/snapshots?before=2026-11-22T10:00:02Z").snapshots(1, 0)
		w.get("/v1/snapshots?after=2026-11-22T10:00:01Z&before=2026-11-22T12:00:04+02:00&order=asc").snapshots(2, 3)
		w.get("/v1/snapshots?status=executing&saga_name=order").snapshots(4, 2)

		size := w.get("/v1/snapshots?step_name=step-2").object()["snapshots"].([]any)[0].(map[string]any)["size_bytes"]
		w.get("/v1/snapshots?step_name=step-2").says(fmt.Sprintf(
			`{"snapshots":[{"snapshot_id":"%s","saga_id":"%s","saga_name":"order","step_name":"step-2","step_index":2,`+
				`"status":"executing","created_at":"2026-11-22T10:00:02+00:00","retention_until":null,"size_bytes":%s}],"next_cursor":null}`+"\n",
			snapshotID(2), sagaID(0), size))
		if body := w.get("/v1/snapshots?saga_name=refund+%26+return").body; !strings.Contains(body, "refund & return") {
			t.Error("escaped for HTML:", body)
		}
		if body := w.get("/v1/snapshots?view=full&step_name=step-2").body; !strings.Contains(body, `"context":{"n":2}`) {
			t.Error(body)
		}
	})
}

func TestSnapshotsOfASaga(t *testing.T) {
	overStores(t, func(w *world) {
		w.fill(6)
		list := "/v1/sagas/" + sagaID(0) + "/snapshots"
		full := w.get(list).snapshots(4, 2, 0)
		if !strings.Contains(full.body, `"context":{"n":4}`) || strings.Contains(full.body, "size_bytes") {
			t.Error(full.body)
		}
		if body := w.get(list+"?view=summary").snapshots(4, 2, 0).body; strings.Contains(body, "context") || !strings.Contains(body, "size_bytes") {
			t.Error(body)
		}
		w.get(list+"?order=asc&view=full").snapshots(0, 2, 4)
		w.get(list + "?status=failed").snapshots(0)
		w.get(list + "?step_name=step-2").snapshots(2)
		w.get(list+"?after=2026-11-22T10:00:00Z").snapshots(4, 2)
		w.get(list + "?before=2026-11-22T10:00:04Z&limit=1").snapshots(2)
		w.get("/v1/sagas/" + sagaID(9) + "/snapshots").snapshots()
		w.get("/v1/sagas/" + sagaID(9) + "/snapshots?pretty").says("{\n  \"snapshots\": [],\n  \"next_cursor\": null\n}\n")
	})
}

func TestSagas(t *testing.T) {
	overStores(t, func(w *world) {
		w.get("/v1/sagas").is(200).says("{\"sagas\":[],\"next_cursor\":null}\n")
		w.fill(6)
		list := func(query string, sagas ...string) {
			t.Helper()
			w.get("/v1/sagas"+query).lists("sagas", "saga_id", sagas...)
		}
		list("", sagaID(1), sagaID(0))
		list("?order=asc", sagaID(0), sagaID(1))
		list("?saga_name=order", sagaID(0))
		list("?status=failed") // the latest ones are executing
		list("?status=executing&limit=1", sagaID(1))
		list("?step_name=step-4", sagaID(0))
		list("?step_name=step-2")
		list("?after=2026-11-22T10:00:04Z", sagaID(1))
		list("?before=2026-11-22T10:00:05Z", sagaID(0))

		size := w.get("/v1/sagas/" + sagaID(0)).field("size_bytes")
		w.get("/v1/sagas/" + sagaID(0)).is(200).says(fmt.Sprintf(
			`{"saga_id":"%s","saga_name":"order","snapshot_count":3,"first_created_at":"2026-11-22T10:00:00+00:00",`+
				`"last_created_at":"2026-11-22T10:00:04+00:00","last_snapshot_id":"%s","last_step_name":"step-4",`+
				`"last_step_index":4,"last_status":"executing","size_bytes":%s}`+"\n", sagaID(0), snapshotID(4), size))
	})
}

func TestOrderAmongEqualTimes(t *testing.T) {
	overStores(t, func(w *world) {
		at := `"created_at": "2026-11-22T10:00:00Z"`
		for _, n := range []int{3, 1, 2} {
			w.do("PUT", "/v1/snapshots/"+snapshotID(n), draft(0, 5, at)).is(201)
		}
		w.do("PUT", "/v1/snapshots/"+snapshotID(0), draft(0, 6, at)).is(201)
		w.do("PUT", "/v1/snapshots/"+snapshotID(9), draft(0, 4, at)).is(201)
		w.get("/v1/snapshots").snapshots(0, 3, 2, 1, 9)
		w.get("/v1/sagas/"+sagaID(0)+"/snapshots?order=asc").snapshots(9, 1, 2, 3, 0)
		w.get("/v1/snapshots?limit=2&order=asc").snapshots(9, 1)
	})
}

// walk follows a list to its end and answers the values of key.
func (w *world) walk(path, list, key string, each func()) []string {
	w.Helper()
	var found []string
	for path != "" {
		page := w.get(path)
		found = append(found, page.ids(list, key)...)
		cursor, _ := page.object()["next_cursor"].(string)
		link := page.header.Get("Link")
		if (cursor == "") != (link == "") {
			w.Fatalf("%s: cursor %q with link %q", path, cursor, link)
		}
		path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if link != "" && !strings.Contains(path, "cursor="+cursor) {
			w.Fatalf("%s: cursor %q is not in link %q", path, cursor, link)
		}
		if each != nil {
			each()
		}
	}
	return found
}

func TestPages(t *testing.T) {
	overStores(t, func(w *world) {
		w.fill(7)
		for _, query := range []string{"", "&order=asc", "&view=full", "&status=executing", "&after=2026-11-22T11:00:01+01:00", "&pretty"} {
			all := w.get("/v1/snapshots?limit=1000"+query).ids("snapshots", "snapshot_id")
			for _, limit := range []string{"1", "2", "3", "7"} {
				if got := w.walk("/v1/snapshots?limit="+limit+query, "snapshots", "snapshot_id", nil); !slices.Equal(got, all) {
					t.Errorf("limit %s%s: %v was expected, not %v", limit, query, all, got)
				}
			}
		}
		own := w.walk("/v1/sagas/"+sagaID(1)+"/snapshots?limit=1", "snapshots", "snapshot_id", nil)
		if want := []string{snapshotID(5), snapshotID(3), snapshotID(1)}; !slices.Equal(own, want) {
			t.Error(own)
		}
		sagas := w.walk("/v1/sagas?limit=1&order=asc", "sagas", "saga_id", nil)
		if want := []string{sagaID(1), sagaID(0)}; !slices.Equal(sagas, want) {
			t.Error(sagas)
		}
	})
}

func TestAWalkWhileOthersSaveAndDelete(t *testing.T) {
	overStores(t, func(w *world) {
		for i := range 20 {
			w.do("PUT", "/v1/snapshots/"+snapshotID(100+i), draft(0, i, fmt.Sprintf(`"created_at": "2026-11-22T10:00:%02dZ"`, i))).is(201)
		}
		next, gone := 0, 20
		got := w.walk("/v1/sagas/"+sagaID(0)+"/snapshots?limit=3&view=summary", "snapshots", "snapshot_id", func() {
			next++
			w.do("PUT", "/v1/snapshots/"+snapshotID(200+next), draft(0, next, `"created_at": "2026-11-22T11:00:00Z"`)).is(201)
			if gone -= 4; gone >= 0 {
				w.do("DELETE", "/v1/snapshots/"+snapshotID(100+gone), "").is(204)
			}
		})
		seen := map[string]int{}
		for _, id := range got {
			seen[id]++
		}
		for i := range 20 {
			if id := snapshotID(100 + i); i%4 != 0 && seen[id] != 1 {
				t.Errorf("%s stood in %d pages", id, seen[id])
			}
		}
	})
}

func TestSavesListsAndDeletesAtOnce(t *testing.T) {
	overStores(t, func(w *world) {
		var wg sync.WaitGroup
		request := func(method, path, body string) int {
			req, _ := http.NewRequest(method, w.url+path, strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			resp, err := w.client.Do(req)
			if err != nil {
				t.Error(err)
				return 0
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		for worker := range 8 {
			wg.Go(func() {
				for i := range 10 {
					path := "/v1/snapshots/" + snapshotID(worker*100+i)
					if s := request("PUT", path, draft(i, i, "")); s != 201 {
						t.Errorf("PUT: %d", s)
					}
					if s := request("GET", "/v1/sagas/"+sagaID(i)+"/snapshots", ""); s != 200 {
						t.Errorf("list: %d", s)
					}
					if i%2 == 0 {
						if s := request("DELETE", path, ""); s != 204 {
							t.Errorf("DELETE: %d", s)
						}
					}
				}
			})
		}
		wg.Wait()
		w.get("/v1/stats").holds("40", "total_snapshots")
		if total := len(w.walk("/v1/snapshots?limit=7", "snapshots", "snapshot_id", nil)); total != 40 {
			t.Error(total)
		}
	})
}

func TestLimits(t *testing.T) {
	w := newWorld(t, stores[0].open(t))
	for i := range 1005 {
		w.do("PUT", "/v1/snapshots/"+snapshotID(i), draft(0, i, "")).is(201)
	}
	for query, want := range map[string]int{
		"": 100, "?limit=1": 1, "?limit=1000": 1000, "?limit=1001": 1000, "?limit=99999999999999999999": 1000, "?limit=007": 7,
	} {
		if n := len(w.get("/v1/snapshots"+query).ids("snapshots", "snapshot_id")); n != want {
			t.Errorf("%s: %d", query, n)
		}
	}
	for _, limit := range []string{"0", "-1", "", "+5", "1.0", "1e2", "ten", "%201", "0x10", "00"} {
		w.get("/v1/snapshots?limit="+limit).problem(400, "invalid_parameter")
	}
}

func TestExpiredOnesAreSeenUntilTheyAreDeleted(t *testing.T) {
	overStores(t, func(w *world) {
		w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, `"retention_until": "2020-01-01T00:00:00Z"`)).is(201)
		w.now = w.now.Add(time.Hour)
		w.get("/v1/snapshots/" + snapshotID(1)).is(200)
		w.get("/v1/snapshots").snapshots(1)
		w.get("/v1/sagas/"+sagaID(1)+"/snapshots/latest").is(200).holds(`"2020-01-01T00:00:00+00:00"`, "retention_until")
	})
}
