package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/access"
	"snapshotd/internal/api"
	"snapshotd/internal/saga"
	"snapshotd/internal/store/memstore"
)

// A scene is a fresh server and the example of a request for one operation.
type scene struct {
	*world
	store  *failing
	op     *operation
	path   string
	query  url.Values
	header []string
	body   map[string]any
	text   string // instead of body
}

// newScene prepares the records that the example is about, unless they are not
// to be found.
func newScene(t *testing.T, op *operation, prepared bool, options ...func(*api.Config)) *scene {
	s := &scene{store: &failing{Store: memstore.New()}, op: op, path: op.path, query: url.Values{}}
	s.world = newWorld(t, s.store, options...)
	s.client = &http.Client{Transport: watch(t, direct{s.server})}
	for _, p := range op.parameters() {
		if p.Value.In == "path" {
			s.path = strings.ReplaceAll(s.path, "{"+p.Value.Name+"}", p.Value.Example.(string))
		}
	}
	s.body = longestExample(op)
	if !prepared {
		return s
	}
	saves := strings.HasPrefix(op.path, "/v1/snapshots") && (op.method == "PUT" || op.method == "POST")
	if !saves {
		s.save("saveSnapshot")
	}
	if strings.Contains(op.path, "replay") && op.method != "PUT" && op.method != "POST" {
		s.save("saveReplay")
	}
	return s
}

// save runs the example of another operation.
func (s *scene) save(id string) {
	s.Helper()
	op := operationNamed(s, id)
	path := op.path
	for _, p := range op.parameters() {
		if p.Value.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", p.Value.Example.(string))
		}
	}
	example := longestExample(op)
	if id == "saveReplay" { // still under way
		example["replay_status"] = "pending"
		delete(example, "completed_at")
	}
	s.do(op.method, path, asJSON(example)).is(http.StatusCreated)
}

func operationNamed(t testing.TB, id string) *operation {
	for _, op := range theContract().operations() {
		if op.id == id {
			return op
		}
	}
	t.Fatal("no operation is called", id)
	return nil
}

// longestExample is the one that says most.
func longestExample(op *operation) (longest map[string]any) {
	for _, example := range requestExamples(op) {
		if len(asJSON(example)) > len(asJSON(longest)) {
			longest = example
		}
	}
	return longest
}

// requestExamples are copies of the examples of a body, by name.
func requestExamples(op *operation) map[string]map[string]any {
	examples := map[string]map[string]any{}
	if op.spec.RequestBody == nil {
		return examples
	}
	for name, example := range op.spec.RequestBody.Value.Content["application/json"].Examples {
		var clone map[string]any
		if err := json.Unmarshal([]byte(asJSON(example.Value.Value)), &clone); err != nil {
			panic(err)
		}
		examples[name] = clone
	}
	return examples
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (s *scene) send() *answer {
	s.Helper()
	path, body := s.path, s.text
	if len(s.query) > 0 {
		path += "?" + s.query.Encode()
	}
	if body == "" && s.body != nil {
		body = asJSON(s.body)
	}
	return s.do(s.op.method, path, body, s.header...)
}

// notThere are the codes of what must not have been saved before.
var notThere = map[string]bool{
	"snapshot_not_found": true, "saga_not_found": true, "replay_not_found": true, "checkpoint_not_found": true,
}

// askedFor are the codes of those who have to show a token.
var askedFor = map[string]bool{"unauthorized": true, "insufficient_scope": true, "rate_limited": true}

// storeErrors are the codes that begin in the store.
var storeErrors = map[string]error{
	"snapshot_unreadable":  &saga.CorruptError{ID: uuid.MustParse("01a2054e-2cef-7b63-9c25-f04e1d8a7b93"), Err: errors.New("torn")},
	"internal":             errors.New("disk gone"),
	"unsupported_by_store": saga.ErrUnsupported,
	"degraded":             saga.ErrDegraded,
	"outcome_unknown":      saga.ErrOutcomeUnknown,
	"overloaded":           context.DeadlineExceeded,
	"no_space":             saga.ErrNoSpace,
}

// provoke sends what is answered with the code of a problem.
func provoke(t *testing.T, op *operation, code string) *answer {
	t.Helper()
	var options []func(*api.Config)
	if code == "body_too_large" {
		options = append(options, func(cfg *api.Config) { cfg.MaxBodySize = 10 })
	}
	if code == "route_not_found" {
		options = append(options, func(cfg *api.Config) { cfg.MetricsApart = true })
	}
	keys := newKeys(t, access.Rate{PerSecond: 0.1, Burst: 1})
	if askedFor[code] {
		options = append(options, func(cfg *api.Config) { cfg.Tokens = keys.tokens })
	}
	s := newScene(t, op, !notThere[code] && !askedFor[code] && code != "body_too_large", options...)
	if err := storeErrors[code]; err != nil {
		s.store.err = err
		return s.send()
	}
	first := func(change func()) *answer { s.send(); change(); return s.send() }
	switch code {
	case "invalid_json":
		s.text = `{"saga_id": `
	case "invalid_field":
		if s.body["step_index"] != nil {
			s.body["step_index"], s.body["status"] = -1, "Done"
			break
		}
		for name := range s.body {
			s.body[name] = []any{}
		}
	case "missing_field":
		if s.body["saga_name"] == nil {
			s.body = map[string]any{}
		}
		delete(s.body, "saga_name")
	case "unknown_field":
		s.body["step"] = 1
	case "duplicate_field":
		s.text = strings.TrimSuffix(asJSON(s.body), "}") + `,"status":1,"status":1}`
	case "id_mismatch":
		s.body[strings.TrimSuffix(s.op.path[strings.LastIndex(s.op.path, "{")+1:], "}")] = snapshotID(1)
	case "too_deep":
		s.text = `{"context": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"
	case "invalid_id":
		s.path = strings.NewReplacer("01a2054e-", "01a2054e", "01a20562-", "01a20562").Replace(s.path)
	case "invalid_parameter":
		if s.path += "?%zz"; op.parameters().GetByInAndName("query", "pretty") != nil {
			s.path = strings.Replace(s.path, "%zz", "pretty=perhaps", 1)
		}
	case "unknown_parameter":
		s.query.Set("dryrun", "true")
	case "invalid_pointer":
		s.query.Set("pointer", "context.amount")
	case "pointer_not_found":
		s.query.Set("pointer", "/context/amout")
	case "invalid_cursor":
		s.query.Set("cursor", "nonsense")
	case "snapshot_conflict":
		return first(func() { s.body["status"] = "failed" })
	case "replay_conflict":
		return first(func() {
			s.body["replay_status"] = "running" // which is a step back from the example
			if op.id == "prepareReplay" {
				delete(s.body, "replay_status")
				s.body["initiated_by"] = "somebody else"
			} else {
				delete(s.body, "error_message")
				delete(s.body, "completed_at")
			}
		})
	case "precondition_failed":
		return first(func() { s.header = []string{"If-None-Match", "*"} })
	case "unsupported_media_type":
		s.header = []string{"Content-Type", "text/plain"}
	case "unsupported_encoding":
		s.header = []string{"Content-Encoding", "br"}
	case "unauthorized", "route_not_found":
	case "insufficient_scope":
		lacking := keys.of["read"]
		if scope := op.scope(); scope == "read" {
			lacking = keys.of["write"]
		}
		s.header = []string{"Authorization", "Bearer " + lacking}
	case "rate_limited":
		s.header = []string{"Authorization", "Bearer " + keys.of["admin"]}
		return first(func() {})
	case "host_not_allowed":
		s.header = []string{"Host", "snapshotd.attacker.example"}
	case "cross_origin":
		s.header = []string{"Origin", "https://attacker.example"}
	case "starting":
		s.client.Transport = watch(t, direct{api.New(s.config)})
	case "draining":
		s.server.Drain()
	default:
		if !notThere[code] && code != "body_too_large" {
			t.Fatal("nobody knows how to bring about", code)
		}
	}
	return s.send()
}

// unreadable makes the document under an id one that cannot be read.
func (f *failing) unreadable(id string) {
	f.open = map[string]func() (io.Reader, error){
		id: func() (io.Reader, error) { return nil, fmt.Errorf("it is torn: %w", saga.ErrCorrupt) },
	}
}
