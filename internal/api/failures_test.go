package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"snapshotd/internal/api"
	"snapshotd/internal/saga"
	"snapshotd/internal/store/filestore"
	"snapshotd/internal/store/memstore"
)

func TestFailuresOfTheStore(t *testing.T) {
	f := &failing{Store: memstore.New()}
	w := newWorld(t, f)
	corrupt := &saga.CorruptError{ID: numbered(0xaaa, 7), Err: errors.New("at byte 3 of /var/lib/secret")}
	type sender func() *answer
	reading := func(path string) sender { return func() *answer { return w.get(path) } }
	writes := []sender{
		func() *answer {
			return w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, ""), "X-Request-Id", "failing")
		},
		func() *answer { return w.do("POST", "/v1/sagas/"+sagaID(1)+"/replays", `{"checkpoint_step": "x"}`) },
	}
	documents := []sender{
		reading("/v1/snapshots/" + snapshotID(1)), reading("/v1/sagas/" + sagaID(1) + "/snapshots/latest"),
	}
	search := []sender{reading("/v1/snapshots")}
	reads := slices.Concat(documents, search, []sender{reading("/v1/sagas/" + sagaID(1) + "/snapshots")})
	all := slices.Concat(reads, writes)
	sent := 0
	for _, c := range []struct {
		err    error
		by     []sender
		status int
		code   string
	}{
		{saga.ErrNoSpace, writes, 507, "no_space"},
		{saga.ErrDegraded, writes, 503, "degraded"},
		{saga.ErrReadOnly, writes, 503, "degraded"},
		{saga.ErrOutcomeUnknown, writes, 503, "outcome_unknown"},
		{saga.ErrUnsupported, search, 501, "unsupported_by_store"},
		{context.DeadlineExceeded, all, 503, "overloaded"},
		{context.Canceled, all, 500, "internal"},
		{corrupt, slices.Concat(documents, writes), 500, "snapshot_unreadable"},
		{errors.New("open /var/lib/secret: no such file"), all, 500, "internal"},
		{saga.ErrReplayChanged, all, 500, "internal"},
	} {
		f.err = fmt.Errorf("in /var/lib/secret: %w", c.err)
		for _, send := range c.by {
			sent++
			p := send().problem(c.status, c.code)
			if strings.Contains(p.body, "secret") {
				t.Error(p.body)
			}
			if c.code == "snapshot_unreadable" && !strings.Contains(p.body, snapshotID(7)) {
				t.Error("the id is not named:", p.body)
			}
		}
	}
	lines := w.waitForLines(sent)
	for _, line := range lines {
		if err, _ := line["err"].(string); !strings.Contains(err, "/var/lib/secret") || line["level"] == "INFO" {
			t.Error(line)
		}
	}
}

func TestReadyzOfAFailingStore(t *testing.T) {
	f := &failing{Store: memstore.New()}
	w := newWorld(t, f)
	for _, c := range []struct {
		err           error
		reason, check string
	}{
		{saga.ErrDegraded, "degraded", "writable"}, {saga.ErrReadOnly, "degraded", "writable"},
		{errors.New("secret"), "degraded", "writable"}, {saga.ErrNoSpace, "no_space", "space"},
	} {
		f.err = c.err
		p := w.get("/readyz?verbose").problem(503, "degraded").holds(`"`+c.reason+`"`, "reason")
		for _, check := range p.object()["checks"].([]any) {
			if ok := check.(map[string]any)["ok"].(bool); ok == (check.(map[string]any)["name"] == c.check) {
				t.Error(p.body)
			}
		}
	}
	w.get("/healthz").is(200)
	w.server.Drain()
	w.get("/readyz").problem(503, "draining").holds(`"draining"`, "reason")
}

func TestPanics(t *testing.T) {
	w := newWorld(t, &failing{Store: memstore.New(), panic: true})
	w.get("/v1/sagas/"+sagaID(1), "X-Request-Id", "r1").problem(500, "internal")
	w.get("/v1/sagas/"+sagaID(1), "Accept-Encoding", "gzip").problem(500, "internal")
	lines := w.waitForLines(4)
	if lines[0]["msg"] != "panic" || lines[0]["panic"] != "the store has lost its mind" || lines[0]["request_id"] != "r1" ||
		!strings.Contains(lines[0]["stack"].(string), "failing_test.go") || lines[1]["level"] != "ERROR" {
		t.Error(lines[:2])
	}
}

// failAfter reads some bytes and then fails.
type failAfter struct {
	n   int
	err error
}

func (r *failAfter) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, r.err
	}
	n := min(r.n, len(p))
	r.n -= n
	for i := range n {
		p[i] = ' '
	}
	return n, nil
}

func TestPagesOverSpoiledDocuments(t *testing.T) {
	f := &failing{Store: memstore.New()}
	w := newWorld(t, f)
	w.fill(8)
	gone := func() (io.Reader, error) { return nil, saga.ErrSnapshotNotFound }
	corrupt := func() (io.Reader, error) { return nil, &saga.CorruptError{Err: errors.New("torn")} }
	torn := func() (io.Reader, error) { return &failAfter{100, errors.New("checksum")}, nil }
	list := "/v1/sagas/" + sagaID(1) + "/snapshots"

	f.open = map[string]func() (io.Reader, error){snapshotID(7): gone, snapshotID(3): corrupt, snapshotID(1): torn}
	w.get(list).snapshots(5).holds(`["`+snapshotID(3)+`","`+snapshotID(1)+`"]`, "unreadable")
	w.get(list + "?limit=1").snapshots(5) // in place of 7
	if got := w.walk(list+"?limit=1", "snapshots", "snapshot_id", nil); len(got) != 1 || got[0] != snapshotID(5) {
		t.Error(got)
	}
	if body := w.get(list + "?pretty").is(200).body; !strings.Contains(body, "  ],\n  \"next_cursor\": null,\n  \"unreadable\": [\n    \"") || !strings.HasSuffix(body, "\"\n  ]\n}\n") {
		t.Error(body)
	}
	w.get(list+"/latest").is(200).holds(`"`+snapshotID(5)+`"`, "snapshot_id")
	w.get("/v1/snapshots/"+snapshotID(7)).problem(404, "snapshot_not_found")
	w.get("/v1/snapshots/"+snapshotID(3)).problem(500, "snapshot_unreadable")
	if p := w.get("/v1/snapshots/"+snapshotID(1)).problem(500, "snapshot_unreadable"); !strings.Contains(p.body, snapshotID(1)) {
		t.Error(p.body)
	}

	w.do("POST", "/v1/snapshots", `{"saga_id": "`+sagaID(1)+`", "saga_name": "x", "step_name": "step-7", "step_index": 0, "status": "failed",
		"context": {"older": true}, "created_at": "2026-11-22T09:00:00Z"}`).is(201)
	w.do("POST", "/v1/sagas/"+sagaID(1)+"/replays", `{"checkpoint_step": "step-7"}`).is(201).holds(`{"older":true}`, "resume", "context")

	f.open[snapshotID(5)] = func() (io.Reader, error) { return nil, errors.New("disk gone") }
	w.get(list).problem(500, "internal") // nothing has been sent yet
}

// A failure behind the header breaks the connection off: never a short 200.
func TestAPageThatFailsOnItsWay(t *testing.T) {
	for _, coding := range []string{"", "gzip", "zstd"} {
		f := &failing{Store: memstore.New()}
		w := newWorld(t, f)
		for i := range 20 {
			w.do("PUT", "/v1/snapshots/"+snapshotID(i), whole("context", fmt.Sprintf(`{"i": %d, "text": "%s"}`, i, strings.Repeat("x", 20_000)))).is(201)
		}
		f.open = map[string]func() (io.Reader, error){snapshotID(0): func() (io.Reader, error) { return nil, errors.New("disk gone") }}
		if _, err := w.receive("/v1/snapshots?view=full", coding); err == nil {
			t.Errorf("%q: the page ended as if it were whole", coding)
		}
		last := w.waitForLines(21)[20]
		if last["aborted"] != true || last["err"] != "disk gone" || last["level"] != "WARN" {
			t.Error(last)
		}
	}
}

// A document that is changed while it is sent, after its tag was made, is not answered
// as if it were whole, whatever there is of it.
func TestALargeDocumentThatChanges(t *testing.T) {
	was := strings.Repeat("0123456789abcdef", 200_000)
	for name, is := range map[string]string{
		"at its start":  "x" + was[1:],
		"in its middle": was[:1_600_000] + "x" + was[1_600_001:],
		"at its end":    was[:len(was)-1] + "x",
		"shorter":       was[:len(was)-1],
		"empty":         "",
		"longer":        "x" + was,
		"much longer":   was[:100] + was + was,
	} {
		for _, coding := range []string{"", "gzip", "zstd"} {
			f := &failing{Store: memstore.New()}
			w := newWorld(t, f)
			w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, "")).is(201)
			opened := 0
			f.open = map[string]func() (io.Reader, error){snapshotID(1): func() (io.Reader, error) {
				opened++ // a client asks again if nothing at all was answered
				if opened%2 == 1 {
					return strings.NewReader(was), nil
				}
				return strings.NewReader(is), nil
			}}
			n, err := w.receive("/v1/snapshots/"+snapshotID(1), coding)
			if err == nil {
				t.Errorf("%s, %q: %d bytes ended as if they were whole", name, coding, n)
			}
			last := w.waitForLines(2)[1]
			if last["aborted"] != true || last["err"] != "the document changed while it was sent" || last["level"] != "WARN" {
				t.Error(name, last)
			}
		}
	}
}

// A problem brings nothing of the answer that it stands for.
func TestProblemsHaveNoHeadersOfAnotherAnswer(t *testing.T) {
	f := &failing{Store: memstore.New()}
	w := newWorld(t, f)
	w.fill(3)
	opened := 0
	f.open = map[string]func() (io.Reader, error){snapshotID(2): func() (io.Reader, error) {
		opened++
		if opened%2 == 1 {
			return strings.NewReader(strings.Repeat(" ", 2<<20)), nil
		}
		return nil, saga.ErrSnapshotNotFound
	}}
	for _, accepted := range []string{"", "gzip", "zstd"} {
		w.get("/v1/snapshots/"+snapshotID(2), "Accept-Encoding", accepted).problem(404, "snapshot_not_found").
			has("ETag", "").has("Content-Encoding", "")
	}
	f.open[snapshotID(2)] = func() (io.Reader, error) { return nil, errors.New("disk gone") }
	w.get("/v1/snapshots?view=full&limit=1").problem(500, "internal").has("Link", "")
	f.gzipped = true
	f.open[snapshotID(2)] = func() (io.Reader, error) { return &failAfter{2 << 20, errors.New("disk gone")}, nil }
	w.get("/v1/snapshots/"+snapshotID(2), "Accept-Encoding", "gzip").problem(500, "snapshot_unreadable").has("Content-Encoding", "")
}

// receive gets what may break off, and answers how many bytes there were of it.
func (w *world) receive(path, coding string) (int, error) {
	w.Helper()
	req, err := http.NewRequest(http.MethodGet, w.url+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", coding)
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return len(got), err
}

func TestPagesAreBoundedInBytes(t *testing.T) {
	for _, s := range stores { // compressed ones count as they go out
		w := newWorld(t, s.open(t), func(cfg *api.Config) { cfg.MaxPageBytes = 3000 })
		for i := range 10 {
			w.do("PUT", "/v1/snapshots/"+snapshotID(i), whole("context", fmt.Sprintf(`{"i": %d, "text": "%s"}`, i, strings.Repeat("x", 1000*(i%3))))).is(201)
		}
		pages := 0
		got := w.walk("/v1/snapshots?view=full", "snapshots", "snapshot_id", func() { pages++ })
		if len(got) != 10 || pages != 6 {
			t.Errorf("%s: %d snapshots in %d pages", s.name, len(got), pages)
		}
		if n := len(w.get("/v1/snapshots").ids("snapshots", "snapshot_id")); n != 10 {
			t.Error("summaries are cut:", n)
		}
	}
	w := newWorld(t, memstore.New(), func(cfg *api.Config) { cfg.MaxPageBytes = 1 })
	w.fill(3)
	if got := w.walk("/v1/snapshots?view=full", "snapshots", "snapshot_id", nil); len(got) != 3 {
		t.Error(got)
	}
}

func TestFilesTakenAwayAndSpoiled(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, openDirectory(t, filestore.Config{BasePath: dir}))
	w.fill(6)
	file := func(saga, n int) string { return filepath.Join(dir, "snapshots", sagaID(saga), snapshotID(n)+".json") }
	if err := errors.Join(os.Remove(file(0, 4)), os.WriteFile(file(0, 2), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	w.get("/v1/sagas/"+sagaID(0)+"/snapshots/latest").problem(500, "snapshot_unreadable")
	w.get("/v1/sagas/"+sagaID(0)+"/snapshots").snapshots(0).holds(`["`+snapshotID(2)+`"]`, "unreadable")
	w.get("/v1/snapshots/"+snapshotID(4)).problem(404, "snapshot_not_found")
	w.get("/v1/snapshots/"+snapshotID(2)).problem(500, "snapshot_unreadable")
	w.get("/v1/stats").holds("1", "unreadable_files").holds("4", "total_snapshots")
	w.do("DELETE", "/v1/snapshots/"+snapshotID(2), "").is(204)
	w.get("/v1/sagas/"+sagaID(0)+"/snapshots/latest").is(200).holds(`"`+snapshotID(0)+`"`, "snapshot_id")
}

// A page of which nothing is left is not answered: what follows it is.
func TestPagesOfWhatHasVanished(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, openDirectory(t, filestore.Config{BasePath: dir, Cache: 1 << 20}))
	list := "/v1/sagas/" + sagaID(1) + "/snapshots"
	replays := "/v1/sagas/" + sagaID(1) + "/replays"
	var files, replayFiles []string
	for i := range 12 {
		w.do("PUT", "/v1/snapshots/"+snapshotID(i), draft(1, i, fmt.Sprintf(`"created_at": "2026-11-22T10:00:%02dZ"`, i))).is(201)
		w.now = w.now.Add(time.Second)
		w.do("POST", replays, fmt.Sprintf(`{"checkpoint_step": "step-%d", "replay_id": "%s"}`, i, replayID(i))).is(201)
		files = append(files, filepath.Join(dir, "snapshots", sagaID(1), snapshotID(i)+".json"))
		replayFiles = append(replayFiles, filepath.Join(dir, "replays", replayID(i)+".json"))
	}
	w.get(list).is(200) // so that they are remembered
	take := func(files ...string) {
		t.Helper()
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}

	take(files[5:]...)
	page := w.get(list + "?limit=2").snapshots(4) // 5 was beside it
	if page.field("next_cursor") == "null" || page.header.Get("Link") == "" {
		t.Error("the walk ends too early:", page.header, page.body)
	}
	take(files[4])
	if err := os.WriteFile(files[3], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.get(list+"?limit=1&pretty").snapshots(2).holds(`["`+snapshotID(3)+`"]`, "unreadable")
	take(files[1:3]...)
	w.get(list + "?limit=1&order=asc").snapshots(0)
	take(files[0])
	w.get(list+"?limit=1").snapshots().holds("null", "next_cursor").has("Link", "")

	take(replayFiles[3:]...)
	w.get(replays+"?limit=2").lists("replays", "replay_id", replayID(2))
	take(replayFiles[:3]...)
	w.get(replays+"?limit=2").lists("replays", "replay_id").holds("null", "next_cursor").has("Link", "")
}

// Nobody waits for what follows any more.
func TestAClientThatHangsUpAmongWhatHasVanished(t *testing.T) {
	f := &failing{Store: memstore.New(), open: map[string]func() (io.Reader, error){}}
	status := 0
	w := newWorld(t, f, func(cfg *api.Config) {
		cfg.Observe = func(_, _ string, s int, _ time.Duration) { status = s }
	})
	w.fill(10)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked := 0
	for i := range 10 {
		f.open[snapshotID(i)] = func() (io.Reader, error) {
			cancel()
			asked++
			return nil, saga.ErrSnapshotNotFound
		}
	}
	req := httptest.NewRequest(http.MethodGet, "http://localhost/v1/snapshots?view=full&limit=1", nil).WithContext(ctx)
	w.server.ServeHTTP(httptest.NewRecorder(), req)
	if status != 499 || asked != 1 {
		t.Errorf("%d, after %d documents", status, asked)
	}
}

func TestAClientThatHangsUp(t *testing.T) {
	f := &failing{Store: memstore.New(), err: context.Canceled}
	status := 0
	w := newWorld(t, f, func(cfg *api.Config) {
		cfg.Observe = func(_, _ string, s int, _ time.Duration) { status = s }
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req := httptest.NewRequest(http.MethodGet, "http://localhost/v1/snapshots", nil).WithContext(ctx)
	w.server.ServeHTTP(httptest.NewRecorder(), req)
	if status != 499 {
		t.Error(status)
	}
}
