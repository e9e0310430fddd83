package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"snapshotd/internal/access"
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

// The scopes that the router asks for are those that the operations declare, both
// ways, and each is asked for: without a token nothing is open that does not say so,
// and a token with every other scope is not enough.
func TestScopesAreThoseOfTheContract(t *testing.T) {
	known := api.Scopes()
	open := map[string]bool{"/healthz": true, "/readyz": true, "/version": true, "/openapi.yaml": true, "/openapi.json": true}
	keys := newKeys(t, access.Rate{})
	for _, op := range theContract().operations() {
		method := op.method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if served := known[method+" "+op.path].String(); served != op.scope() {
			t.Errorf("%s: served with the scope %q, declared with %q", op.id, served, op.scope())
		}
		if open[op.path] != (op.scope() == "") {
			t.Errorf("%s: the scope is %q", op.id, op.scope())
		}
		s := newScene(t, op, false, func(cfg *api.Config) { cfg.Tokens = keys.tokens })
		delete(s.body, "initiated_by") // which is not each caller's to say
		status := func(token string) int {
			s.header = []string{"Authorization", token}
			return s.send().status
		}
		if open[op.path] {
			if got := status(""); got != http.StatusOK {
				t.Errorf("%s: without a token %d", op.id, got)
			}
			continue
		}
		if got := status(""); got != http.StatusUnauthorized {
			t.Errorf("%s: without a token %d", op.id, got)
		}
		for scope, token := range keys.of {
			got := status("Bearer " + token)
			if refused := got == http.StatusForbidden; refused == (scope == op.scope() || scope == "admin") || got == http.StatusUnauthorized {
				t.Errorf("%s: with the scope %s %d", op.id, scope, got)
			}
		}
		if got := status("Bearer " + keys.allBut(t, op.scope())); got != http.StatusForbidden {
			t.Errorf("%s: with all scopes but %s and admin %d", op.id, op.scope(), got)
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
		if op.Security != nil {
			refs = append(refs, fmt.Sprint(*op.Security))
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
