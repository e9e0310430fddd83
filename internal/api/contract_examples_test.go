package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

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
// status and the same keys.
func TestEveryExampleOfAnAnswer(t *testing.T) {
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
			if got := a.object(); !hasKeysOf(got, want) {
				t.Errorf("the example %s has the keys %v, the answer %v:\n%s", name, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)), a.body)
			}
		}
	})
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
	case "NotReady no_space":
		s := newScene(t, op, true)
		s.store.err = saga.ErrNoSpace
		s.query.Set("verbose", "true")
		return s.send()
	}
	a := provoke(t, op, example["code"].(string))
	if op.method != http.MethodHead && a.object()["title"] != example["title"] {
		t.Errorf("%s: the title %q is not that of the example", name, a.object()["title"])
	}
	want, _ := example["errors"].([]any)
	if len(want) > 0 && op.method != http.MethodHead {
		got, _ := a.object()["errors"].([]any)
		if len(got) == 0 || len(got[0].(map[string]any)) != len(want[0].(map[string]any)) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	return a
}
