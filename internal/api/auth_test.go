package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"snapshotd/internal/access"
	"snapshotd/internal/api"
	"snapshotd/internal/store/memstore"
)

// keys are tokens with one scope each, of callers who are called like it.
type keys struct {
	tokens *access.Tokens
	of     map[string]string
	file   string
}

func newKeys(t testing.TB, r access.Rate) *keys {
	k := &keys{tokens: access.NewTokens(r), of: map[string]string{}}
	for _, name := range access.ScopeNames() {
		k.of[name] = access.NewToken()
		scope, _ := access.ParseScopes(name)
		k.add(t, access.Line(name, k.of[name], scope))
	}
	return k
}

func (k *keys) add(t testing.TB, line string) {
	k.file += line + "\n"
	if err := k.tokens.Load([]byte(k.file)); err != nil {
		t.Fatal(err)
	}
}

// allBut makes a token that has all scopes but one, and admin.
func (k *keys) allBut(t testing.TB, scope string) string {
	without, _ := access.ParseScopes(scope)
	all := access.Read | access.Write | access.Replay | access.Delete | access.Metrics
	token := access.NewToken()
	k.add(t, access.Line("almost", token, all&^without))
	return token
}

// scope is the one that an operation declares; "" = none.
func (op *operation) scope() string {
	if op.spec.Security == nil {
		return ""
	}
	return (*op.spec.Security)[0]["bearer"][0]
}

func withTokens(t *testing.T, options ...func(*api.Config)) (*world, *keys) {
	k := newKeys(t, access.Rate{})
	options = append(options, func(cfg *api.Config) { cfg.Tokens = k.tokens })
	return newWorld(t, memstore.New(), options...), k
}

// A missing token and whatever else is none are answered alike, byte for byte.
func TestWhoIsNotKnown(t *testing.T) {
	w, k := withTokens(t)
	first := w.get("/v1/stats", "X-Request-Id", "r1").problem(401, "unauthorized").
		has("WWW-Authenticate", `Bearer realm="snapshotd"`).has("Cache-Control", "private, no-cache")
	for _, value := range []string{
		"Bearer", "Bearer ", "Bearer x", "Bearer " + k.of["read"] + "x", "Bearer " + k.of["read"] + " x", "Bearer " + strings.ToUpper(k.of["read"]),
		"Basic " + k.of["read"], k.of["read"], "Bearer" + k.of["read"], "Bearer\t" + k.of["read"], "Bearer " + strings.Repeat("x", 10_000), "Bearer \xff",
	} {
		w.get("/v1/stats", "X-Request-Id", "r1", "Authorization", value).problem(401, "unauthorized").
			has("WWW-Authenticate", `Bearer realm="snapshotd"`).says(first.body)
	}
	for _, query := range []string{"?access_token=" + k.of["read"], "?token=" + k.of["read"], "?pretty"} {
		w.get("/v1/stats"+query).problem(401, "unauthorized")
	}
	req := httptest.NewRequest(http.MethodGet, "/v1/stats", nil)
	req.Header["Authorization"] = []string{"Bearer " + k.of["read"], "Bearer " + k.of["read"]}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, req)
	if rec.Code != http.StatusUnauthorized {
		t.Error("two headers:", rec.Code)
	}
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "bEaReR"} {
		w.get("/v1/stats", "Authorization", scheme+" "+k.of["read"]).is(200)
	}
	w.get("/v1/stats", "Authorization", "Bearer   "+k.of["read"]).is(200)

	// Who is not known learns of a server that starts or ends no more than of others.
	w.server.Drain()
	w.get("/v1/stats").problem(401, "unauthorized")
	w.get("/v1/nowhere").problem(404, "route_not_found")
	w.get("/v1/stats", "Authorization", "Bearer "+k.of["read"]).problem(503, "draining")
}

func TestAForbiddenRequestNamesTheScope(t *testing.T) {
	w, k := withTokens(t)
	w.do("DELETE", "/v1/snapshots/"+snapshotID(1)+"?pretty", "", "Authorization", "Bearer "+k.of["read"]).
		problem(403, "insufficient_scope").holds(`"delete"`, "scope").
		has("WWW-Authenticate", `Bearer realm="snapshotd", error="insufficient_scope", scope="delete"`)
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), "no JSON", "Authorization", "Bearer "+k.of["read"]).problem(403, "insufficient_scope")
	w.get("/metrics", "Authorization", "Bearer "+k.of["read"]).problem(403, "insufficient_scope")
	w.get("/metrics", "Authorization", "Bearer "+k.of["metrics"]).is(200)
}

func TestRateOfAToken(t *testing.T) {
	var rejected []string
	k := newKeys(t, access.Rate{PerSecond: 0.01, Burst: 2})
	w := newWorld(t, memstore.New(), func(cfg *api.Config) {
		cfg.Tokens = k.tokens
		cfg.Rejected = func(reason string) { rejected = append(rejected, reason) }
	})
	for range 2 {
		w.get("/v1/stats", "Authorization", "Bearer "+k.of["read"]).is(200)
	}
	a := w.get("/v1/stats", "Authorization", "Bearer "+k.of["read"]).problem(429, "rate_limited")
	if seconds := a.header.Get("Retry-After"); seconds != "100" {
		t.Error("Retry-After", seconds)
	}
	w.get("/v1/stats", "Authorization", "Bearer "+k.of["admin"]).is(200)
	w.get("/healthz", "Authorization", "Bearer "+k.of["read"]).is(200)
	w.get("/v1/stats").problem(401, "unauthorized")
	w.do("DELETE", "/v1/snapshots/"+snapshotID(1), "", "Authorization", "Bearer "+k.of["write"]).problem(403, "insufficient_scope")
	if got := strings.Join(rejected, " "); got != "rate_limited unauthorized insufficient_scope" {
		t.Error(got)
	}
}

// The caller's name stands in the log, and a token nowhere.
func TestTheLogNamesTheCaller(t *testing.T) {
	w, k := withTokens(t)
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), draft(1, 1, ""), "Authorization", "Bearer "+k.of["write"]).is(201)
	w.do("DELETE", "/v1/snapshots/"+snapshotID(1), "", "Authorization", "Bearer "+k.of["delete"]).is(204)
	w.get("/v1/stats", "Authorization", "Bearer "+k.of["write"]).is(403)
	w.get("/v1/stats", "Authorization", "Bearer nonsense").is(401)
	w.get("/healthz", "Authorization", "Bearer "+k.of["write"]).is(200)
	lines := w.waitForLines(5)
	for i, want := range []any{"write", "delete", "write", nil, nil} {
		if lines[i]["caller"] != want {
			t.Errorf("line %d: caller %v, not %v: %v", i, lines[i]["caller"], want, lines[i])
		}
	}
	for _, token := range k.of {
		if strings.Contains(w.log.String(), token) {
			t.Error("a token is in the log")
		}
	}
}

func TestWhoInitiatedAReplay(t *testing.T) {
	w, k := withTokens(t)
	as := func(scope string) []string { return []string{"Authorization", "Bearer " + k.of[scope]} }
	w.do("PUT", "/v1/snapshots/"+snapshotID(1), whole("step_name", `"pay"`), as("write")...).is(201)
	prepare := func(scope, members string) *answer {
		return w.do("POST", "/v1/sagas/"+sagaID(1)+"/replays", `{"checkpoint_step": "pay"`+members+`}`, as(scope)...)
	}
	again := `, "replay_id": "` + replayID(1) + `"`
	prepare("replay", again).is(201).holds(`"replay"`, "replay", "initiated_by")
	prepare("replay", again).is(200)
	prepare("replay", again+`, "initiated_by": "replay"`).is(200)
	prepare("admin", again).problem(409, "replay_conflict") // it is another's
	prepare("admin", again+`, "initiated_by": "replay"`).is(200)
	prepare("replay", `, "initiated_by": "ada"`).problem(403, "insufficient_scope").holds(`"admin"`, "scope").
		has("WWW-Authenticate", `Bearer realm="snapshotd", error="insufficient_scope", scope="admin"`)
	prepare("replay", `, "initiated_by": "system"`).problem(403, "insufficient_scope")
	prepare("admin", "").is(201).holds(`"admin"`, "replay", "initiated_by")
	prepare("admin", `, "initiated_by": "ada"`).is(201).holds(`"ada"`, "replay", "initiated_by")
	if n := len(w.get("/v1/sagas/"+sagaID(1)+"/replays", as("read")...).ids("replays", "replay_id")); n != 3 {
		t.Error("what was refused has been recorded:", n)
	}

	put := func(scope string, n int, members string) *answer {
		return w.do("PUT", "/v1/replays/"+replayID(n), `{"original_saga_id": "`+sagaID(1)+`", "new_saga_id": "`+sagaID(2)+`",
			"checkpoint_step": "pay"`+members+`}`, as(scope)...)
	}
	running, success := `, "replay_status": "running"`, `, "replay_status": "success"`
	put("replay", 2, running+`, "initiated_by": "ada"`).problem(403, "insufficient_scope")
	w.get("/v1/replays/"+replayID(2), as("read")...).problem(404, "replay_not_found")
	put("replay", 2, running).is(201).holds(`"replay"`, "initiated_by")
	put("replay", 2, running).is(200)
	put("replay", 2, running+`, "initiated_by": "replay"`).is(200)

	put("admin", 3, running+`, "initiated_by": "ada"`).is(201).holds(`"ada"`, "initiated_by")
	put("replay", 3, running+`, "initiated_by": "replay"`).problem(403, "insufficient_scope") // it claims another's
	put("replay", 3, success+`, "initiated_by": "ada"`).is(200).holds(`"ada"`, "initiated_by").holds(`"success"`, "replay_status")
	put("admin", 4, running).is(201).holds(`"admin"`, "initiated_by")
	put("replay", 4, success).is(200).holds(`"admin"`, "initiated_by")
	w.do("PATCH", "/v1/replays/"+replayID(2), `{"replay_status": "success"}`, as("replay")...).is(200).holds(`"replay"`, "initiated_by")
}

// The operator's own listener serves metrics and health, open, and nothing else.
func TestTheOperatorsRoutes(t *testing.T) {
	w, _ := withTokens(t, func(cfg *api.Config) { cfg.MetricsApart = true })
	w.get("/metrics").problem(404, "route_not_found")
	w.get("/healthz").is(200)
	w.url = serveOn(t, w.server.Operator())
	w.get("/metrics").is(200)
	w.do("HEAD", "/metrics", "").is(200)
	w.get("/metrics?x").problem(400, "unknown_parameter")
	w.get("/healthz").is(200)
	w.get("/readyz?verbose").is(200)
	w.client = http.DefaultClient // the contract knows those routes, at another address
	for _, path := range []string{"/v1/stats", "/v1/sagas", "/version", "/openapi.yaml", "/"} {
		w.get(path).problem(404, "route_not_found")
	}
	w.do("POST", "/metrics", "").problem(405, "method_not_allowed").has("Allow", "GET, HEAD")
}
