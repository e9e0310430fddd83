package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	spec "snapshotd/api"
)

// A contract is openapi.yaml, ready to be held against what goes over the wire.
//
// The document is read with kin-openapi. Values are checked with the validator of
// JSON Schema 2020-12 that kin-openapi uses for OpenAPI 3.1, but compiled once and
// out of the document as it stands: kin compiles for every value (about 1 ms), goes
// back to a validator of its own where it sees fit, and does not look at the
// answers to HEAD nor at 304.
type contract struct {
	doc      *openapi3.T
	mux      *chi.Mux
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema
}

// theContract is the one that the server is held to.
var theContract = sync.OnceValue(func() *contract {
	c, err := loadContract()
	if err != nil {
		panic(err)
	}
	return c
})

func loadContract() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec.YAML)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	text, err := spec.JSON()
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	// Only files of other programs have further keys, and the suite has none.
	schemas := root.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)
	for _, open := range []string{"Snapshot", "Replay"} {
		schemas[open].(map[string]any)["additionalProperties"] = false
	}
	c := &contract{doc: doc, mux: chi.NewMux(), compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(contractURL, root); err != nil {
		return nil, err
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			c.mux.MethodFunc(method, path, func(http.ResponseWriter, *http.Request) {})
		}
	}
	return c, nil
}

const contractURL = "file:///openapi.json"

// schema compiles the schema at a reference of the document, such as
// #/components/schemas/Uuid.
func (c *contract) schema(ref string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.schemas[ref]; s != nil {
		return s, nil
	}
	s, err := c.compiler.Compile(contractURL + ref)
	if err != nil {
		return nil, err
	}
	c.schemas[ref] = s
	return s, nil
}

// fits checks a decoded value against the schema at ref.
func (c *contract) fits(ref string, value any) error {
	s, err := c.schema(ref)
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// An exchange is a request with its answer, as they went over the wire.
type exchange struct {
	request  *http.Request
	sent     []byte // the body
	status   int
	header   http.Header
	received []byte // the body
	cutShort bool   // the connection broke off within the body
}

// An operation is one that a request was found to be meant for.
type operation struct {
	id, method, path string // path is a pattern
	item             *openapi3.PathItem
	spec             *openapi3.Operation
	params           map[string]string // of the path
}

func (c *contract) operations() (list []*operation) {
	paths := c.doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		operations := paths[path].Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			op := operations[method]
			list = append(list, &operation{id: op.OperationID, method: method, path: path, item: paths[path], spec: op})
		}
	}
	return list
}

// find answers the operation of a request, or with nil the methods that its path has.
func (c *contract) find(r *http.Request) (op *operation, methods []string) {
	path := r.URL.EscapedPath()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"} {
		route := chi.NewRouteContext()
		if !c.mux.Match(route, method, path) {
			continue
		}
		methods = append(methods, method)
		if method != r.Method {
			continue
		}
		item := c.doc.Paths.Value(route.RoutePattern())
		op = &operation{method: method, path: route.RoutePattern(), item: item, spec: item.GetOperation(method), params: map[string]string{}}
		op.id = op.spec.OperationID
		for i, name := range route.URLParams.Keys {
			op.params[name] = route.URLParams.Values[i]
		}
	}
	return op, methods
}

// check answers everything in which an answer is not as the contract has it.
func (c *contract) check(x *exchange) error {
	op, methods := c.find(x.request)
	switch {
	case op == nil && x.status == http.StatusMisdirectedRequest:
		return c.checkRouters(x, "Misdirected", x.status)
	case methods == nil:
		return c.checkRouters(x, "RouteNotFound", http.StatusNotFound)
	case op == nil:
		err := c.checkRouters(x, "MethodNotAllowed", http.StatusMethodNotAllowed)
		if allow := strings.Join(methods, ", "); x.header.Get("Allow") != allow {
			err = errors.Join(err, fmt.Errorf("Allow is %q, and the document has %s", x.header.Get("Allow"), allow))
		}
		return err
	}
	response := op.spec.Responses.Status(x.status)
	if response == nil {
		return fmt.Errorf("%s: the status %d is not declared", op.id, x.status)
	}
	err := c.checkAnswer(x, response, narrower(op, x))
	if x.status/100 == 2 {
		err = errors.Join(err, c.checkRequest(op, x))
	}
	if err != nil {
		return fmt.Errorf("%s, %d: %w", op.id, x.status, err)
	}
	return nil
}

// checkRouters checks an answer that belongs to no operation.
func (c *contract) checkRouters(x *exchange, name string, status int) error {
	if x.status != status {
		return fmt.Errorf("%d, but the document has no such route: %d was expected", x.status, status)
	}
	return c.checkAnswer(x, &openapi3.ResponseRef{Ref: "#/components/responses/" + name, Value: c.doc.Components.Responses[name].Value}, "")
}

// narrower names the schema of what was asked for, where an operation declares
// more than one.
func narrower(op *operation, x *exchange) string {
	query := x.request.URL.Query()
	view := query.Get("view")
	switch response := op.spec.Responses.Status(x.status).Ref; {
	case strings.HasSuffix(response, "/SnapshotDocument") && !query.Has("pointer"):
		return "Snapshot"
	case strings.HasSuffix(response, "/SnapshotSearchPage") && view != "full", strings.HasSuffix(response, "/SagaSnapshotPage") && view == "summary":
		return "SummaryPage"
	case strings.HasSuffix(response, "/SnapshotSearchPage"), strings.HasSuffix(response, "/SagaSnapshotPage"):
		return "SnapshotPage"
	case strings.HasSuffix(response, "/CleanedUp") && (!query.Has("dry_run") || query.Get("dry_run") == "false"):
		return "Cleanup"
	case strings.HasSuffix(response, "/CleanedUp"):
		return "CleanupPreview"
	}
	return ""
}

// undeclared are headers that say nothing about an operation.
var undeclared = []string{"Date", "Content-Length", "Content-Type", "X-Content-Type-Options", "Content-Security-Policy"}

func (c *contract) checkAnswer(x *exchange, response *openapi3.ResponseRef, narrower string) error {
	var errs []error
	declared := map[string]*openapi3.HeaderRef{}
	for name, header := range response.Value.Headers {
		declared[http.CanonicalHeaderKey(name)] = header
	}
	for name, values := range x.header {
		header := declared[name]
		switch {
		case header == nil && !slices.Contains(undeclared, name):
			errs = append(errs, fmt.Errorf("the header %s is not declared", name))
		case header == nil:
		case len(values) > 1:
			errs = append(errs, fmt.Errorf("the header %s stands there %d times", name, len(values)))
		default:
			if err := c.fitsText(header.Ref+"/schema", values[0]); err != nil {
				errs = append(errs, fmt.Errorf("the header %s: %w", name, err))
			}
		}
	}
	for name, header := range declared {
		if header.Value.Required && x.header.Get(name) == "" {
			errs = append(errs, fmt.Errorf("the header %s is missing", name))
		}
	}
	return errors.Join(append(errs, c.checkContent(x, response, narrower))...)
}

func (c *contract) checkContent(x *exchange, response *openapi3.ResponseRef, narrower string) error {
	sent := x.header.Get("Content-Type")
	if len(response.Value.Content) == 0 {
		if sent != "" || len(x.received) > 0 {
			return fmt.Errorf("no body is declared, and there is one of %d bytes of type %q", len(x.received), sent)
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(sent)
	if err != nil || response.Value.Content[media] == nil {
		return fmt.Errorf("the media type %q is not declared", sent)
	}
	switch {
	case x.request.Method == http.MethodHead && len(x.received) > 0:
		return errors.New("an answer to HEAD has a body")
	case x.request.Method == http.MethodHead, x.cutShort:
		return nil
	}
	text, err := decode(x.header.Get("Content-Encoding"), x.received)
	if err != nil {
		return fmt.Errorf("the content coding: %w", err)
	}
	value, err := parse(media, text)
	if err != nil {
		return fmt.Errorf("the body is no %s: %w", media, err)
	}
	ref := response.Ref + "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema"
	if narrower != "" {
		ref = "#/components/schemas/" + narrower
	}
	if err := c.fits(ref, value); err != nil {
		return fmt.Errorf("%w\nin %s", err, text)
	}
	if problem, ok := value.(map[string]any); ok && x.status >= http.StatusBadRequest {
		if problem["status"] != json.Number(fmt.Sprint(x.status)) || problem["title"] != http.StatusText(x.status) ||
			problem["request_id"] != x.header.Get("X-Request-Id") {
			return fmt.Errorf("the problem document is one of another answer: %s", text)
		}
	}
	return nil
}

// parse decodes a body for the validator, numbers as spelled.
func parse(media string, text []byte) (any, error) {
	switch media {
	case "application/json", "application/problem+json":
		return jsonschema.UnmarshalJSON(bytes.NewReader(text))
	case "application/yaml":
		var v any
		err := yaml.Unmarshal(text, &v)
		return v, err
	default:
		return string(text), nil
	}
}

// codes are the problem codes that a response lists: an answer carries one of them.
func (c *contract) codes(response *openapi3.ResponseRef) (list []string) {
	content := response.Value.Content["application/problem+json"]
	if content == nil {
		return nil
	}
	narrowest := 1000
	var visit func(s *openapi3.SchemaRef)
	visit = func(s *openapi3.SchemaRef) {
		if s == nil {
			return
		}
		for _, part := range s.Value.AllOf {
			visit(part)
		}
		code := s.Value.Properties["code"]
		if code == nil {
			return
		}
		listed := code.Value.Enum
		if code.Value.Const != nil {
			listed = []any{code.Value.Const}
		}
		if len(listed) == 0 || len(listed) >= narrowest {
			return
		}
		narrowest, list = len(listed), nil
		for _, code := range listed {
			list = append(list, code.(string))
		}
	}
	visit(content.Schema)
	return list
}
