package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"snapshotd/internal/api"
	"snapshotd/internal/store/memstore"
)

// The routes of the router are the operations of the contract, both ways; HEAD is
// one wherever GET is.
func TestRoutesAreThoseOfTheContract(t *testing.T) {
	w := newWorld(t, memstore.New())
	var served, declared []string
	err := chi.Walk(w.server.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served = append(served, method+" "+route)
		if method == http.MethodGet {
			served = append(served, "HEAD "+route)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range theContract().operations() {
		declared = append(declared, op.method+" "+op.path)
	}
	slices.Sort(served)
	slices.Sort(declared)
	if !slices.Equal(served, declared) {
		t.Errorf("served:\n%s\ndeclared:\n%s", strings.Join(served, "\n"), strings.Join(declared, "\n"))
	}
}

// The parameters that a route knows are those that its operations declare, both ways.
func TestParametersAreThoseOfTheContract(t *testing.T) {
	known := api.Parameters()
	for _, op := range theContract().operations() {
		var declared []string
		for _, p := range op.parameters() {
			if p.Value.In == openapi3.ParameterInQuery {
				declared = append(declared, p.Value.Name)
			}
		}
		method := op.method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		served := slices.Sorted(slices.Values(known[method+" "+op.path]))
		slices.Sort(declared)
		if !slices.Equal(served, declared) {
			t.Errorf("%s: served %v, declared %v", op.id, served, declared)
		}
	}
}

// HEAD is declared as GET is: with the same parameters and answers.
func TestHeadIsDeclaredAsGetIs(t *testing.T) {
	shape := func(op *openapi3.Operation) string {
		var refs []string
		for _, p := range op.Parameters {
			refs = append(refs, p.Ref)
		}
		for status, response := range op.Responses.Map() {
			refs = append(refs, status+" "+response.Ref)
		}
		slices.Sort(refs)
		return strings.Join(refs, "\n")
	}
	for path, item := range theContract().doc.Paths.Map() {
		switch {
		case item.Get == nil && item.Head == nil:
		case item.Get == nil || item.Head == nil:
			t.Errorf("%s: one of GET and HEAD is missing", path)
		case shape(item.Get) != shape(item.Head):
			t.Errorf("%s: GET\n%s\nHEAD\n%s", path, shape(item.Get), shape(item.Head))
		}
	}
}
