package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"snapshotd/internal/api"
	"snapshotd/internal/saga"
)

// eachAnswer visits every answer that the contract declares.
func eachAnswer(t *testing.T, visit func(t *testing.T, op *operation, status int, response *openapi3.ResponseRef)) {
	for _, op := range theContract().operations() {
		for text, response := range op.spec.Responses.Map() {
			t.Run(op.id+"/"+text, func(t *testing.T) {
				var status int
				if _, err := fmt.Sscan(text, &status); err != nil {
					t.Fatal(err)
				}
				visit(t, op, status, response)
			})
		}
	}
}

// Whatever problem an operation lists can be had from it.
func TestEveryProblemCanBeHad(t *testing.T) {
	eachAnswer(t, func(t *testing.T, op *operation, status int, response *openapi3.ResponseRef) {
		for _, code := range theContract().codes(response) {
			a := provoke(t, op, code).is(status)
			if op.method != http.MethodHead && a.field("code") != `"`+code+`"` {
				t.Errorf("%s was expected: %s", code, a.body)
			}
		}
	})
}

func TestEveryExampleOfARequest(t *testing.T) {
	for _, op := range theContract().operations() {
		for name, example := range requestExamples(op) {
			t.Run(op.id+"/"+name, func(t *testing.T) {
				s := newScene(t, op, true)
				s.body = example
				if a := s.send(); a.status != 200 && a.status != 201 {
					t.Error(a.status, a.body)
				}
			})
		}
	}
}

func TestEveryExampleOfAParameter(t *testing.T) {
	for _, op := range theContract().operations() {
		for _, p := range op.parameters() {
			if p.Value.Example == nil {
				continue
			}
			t.Run(op.id+"/"+p.Value.Name, func(t *testing.T) {
				s := newScene(t, op, true)
				example := fmt.Sprint(p.Value.Example)
				switch p.Value.In {
				case openapi3.ParameterInQuery:
					s.query.Set(p.Value.Name, example)
				case openapi3.ParameterInHeader:
					s.header = []string{p.Value.Name, example}
				}
				if a := s.send(); a.status/100 != 2 {
					t.Error(a.status, a.body)
				}
			})
		}
	}
}

// Every example of an answer is of the kind that the server gives: with the same
// status and the same keys. A problem is word for word what some operation that refers to
// it says.
func TestEveryExampleOfAnAnswer(t *testing.T) {
	said := map[string]*saying{}
	eachAnswer(t, func(t *testing.T, op *operation, status int, response *openapi3.ResponseRef) {
		examples := map[string]any{}
		for _, media := range response.Value.Content {
			if media.Example != nil {
				examples[""] = media.Example
			}
			for name, example := range media.Examples {
				examples[name] = example.Value.Value
			}
		}
		if len(examples) == 0 { // 204 and 304
			examples[""] = nil
		}
		for name, example := range examples {
			a := sendFor(t, op, response, name, example).is(status)
			want, ok := example.(map[string]any)
			if !ok || op.method == http.MethodHead || !strings.Contains(a.header.Get("Content-Type"), "json") {
				continue
			}
			if want["code"] != nil {
				what := response.Ref + " " + name
				if response.Ref == "" {
					what = op.id + what
				}
				if said[what] == nil {
					said[what] = &saying{example: spoken(want)}
				}
				if answer := spoken(a.object()); !slices.Contains(said[what].answers, answer) {
					said[what].answers = append(said[what].answers, answer)
				}
			}
			if got := a.object(); !hasKeysOf(got, want) {
				t.Errorf("the example %s has the keys %v, the answer %v:\n%s", name, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)), a.body)
			}
		}
	})
	// No operation refers to what only the router says.
	router := newScene(t, operationNamed(t, "getStats"), false)
	router.op.method = http.MethodPost
	said["MethodNotAllowed"] = &saying{
		example: spoken(theContract().doc.Components.Responses["MethodNotAllowed"].Value.Content["application/problem+json"].Example.(map[string]any)),
		answers: []string{spoken(router.send().object())},
	}
	for what, s := range said {
		if !slices.Contains(s.answers, s.example) {
			t.Errorf("the example of %s says\n%s\nand the server\n%s", what, s.example, strings.Join(s.answers, "\n"))
		}
	}
}

// A saying is an example of a problem, with what the operations that refer to it say.
type saying struct {
	example string
	answers []string
}

// spoken leaves out what is another for each request.
func spoken(problem map[string]any) string {
	problem = maps.Clone(problem)
	delete(problem, "request_id")
	return asJSON(problem)
}

// hasKeysOf leaves out the contract itself, of which the example is a bit.
func hasKeysOf(got, want map[string]any) bool {
	if want["openapi"] != nil {
		return got["openapi"] == want["openapi"]
	}
	return slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
}

// sendFor sends what the example named is an answer to.
func sendFor(t *testing.T, op *operation, response *openapi3.ResponseRef, name string, example any) *answer {
	kind := response.Ref[strings.LastIndex(response.Ref, "/")+1:]
	if object, ok := example.(map[string]any); ok && object["code"] != nil {
		return sendForProblem(t, op, kind+" "+name, object)
	}
	s := newScene(t, op, name != "none")
	switch strings.TrimSpace(kind + " " + name) {
	case "SnapshotKnown", "ReplayPreparedBefore":
		s.send()
	case "ReplayUpdated":
		if op.method == http.MethodPut {
			s.save("saveReplay")
		}
	case "NotModified":
		s.header = []string{"If-None-Match", "*"}
	case "SnapshotDocument part":
		s.query.Set("pointer", "/context/amount")
	case "SnapshotSearchPage summary", "SagaSnapshotPage summary":
		s.save("createSnapshot")
		s.query.Set("limit", "1")
		s.query.Set("view", "summary")
	case "SnapshotSearchPage full", "SagaSnapshotPage full":
		s.save("createSnapshot")
		s.store.unreadable("01a2054e-295c-7e02-a6d1-90c3b5f7e812")
		s.query.Set("view", "full")
	case "CleanedUp dry_run":
		s.query.Set("dry_run", "true")
	case "Ready verbose":
		s.query.Set("verbose", "true")
	}
	return s.send()
}

func sendForProblem(t *testing.T, op *operation, name string, example map[string]any) *answer {
	switch name {
	case "CheckpointNotFound unknown_snapshot":
		s := newScene(t, op, true)
		s.body = map[string]any{"snapshot_id": snapshotID(99)}
		return s.send()
	case "CheckpointNotFound checkpoint_not_found":
		s := newScene(t, op, true)
		for i, step := range []string{"reserve_inventory", "authorize_payment"} {
			earlier := longestExample(operationNamed(t, "createSnapshot"))
			earlier["snapshot_id"], earlier["step_name"], earlier["created_at"] = snapshotID(i), step, fmt.Sprintf("2020-01-01T00:00:0%dZ", i)
			s.do("POST", "/v1/snapshots", asJSON(earlier)).is(http.StatusCreated)
		}
		s.body["checkpoint_step"] = "ship_order"
		return s.send()
	case "BodyTooLarge ":
		if op.id == "createSnapshot" { // one of them is enough, for that is a large body
			s := newScene(t, op, false)
			s.text = strings.Repeat(" ", 16<<20+1)
			return s.send()
		}
	case "ReadUnavailable overloaded":
		return newScene(t, op, false, func(cfg *api.Config) { cfg.MaxInFlight = -1 }).send()
	case "NotReady no_space":
		s := newScene(t, op, true)
		s.store.err = saga.ErrNoSpace
		s.query.Set("verbose", "true")
		return s.send()
	}
	return provoke(t, op, example["code"].(string))
}
