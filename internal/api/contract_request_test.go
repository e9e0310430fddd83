package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// checkRequest answers everything in which a request that was granted is not as
// the contract has it.
func (c *contract) checkRequest(op *operation, x *exchange) error {
	query := x.request.URL.Query()
	declared := map[string]bool{}
	var errs []error
	for _, p := range op.parameters() {
		text, found := "", false
		switch p.Value.In {
		case openapi3.ParameterInPath:
			text, found = unescaped(op.params[p.Value.Name]), true
		case openapi3.ParameterInQuery:
			declared[p.Value.Name] = true
			text, found = query.Get(p.Value.Name), query.Has(p.Value.Name)
		case openapi3.ParameterInHeader:
			lines := x.request.Header.Values(p.Value.Name)
			text, found = strings.TrimSpace(strings.Join(lines, ", ")), len(lines) > 0
			found = found && text != "" // an empty one says nothing
			if p.Value.Name == "Content-Encoding" {
				text = strings.ToLower(text) // RFC 9110, section 8.4.1
			}
		}
		if !found || text == "" && p.Value.AllowEmptyValue {
			continue
		}
		if err := c.fitsText(p.Ref+"/schema", text); err != nil {
			errs = append(errs, fmt.Errorf("it took %s in the %s: %w", p.Value.Name, p.Value.In, err))
		}
	}
	for name := range query {
		if !declared[name] {
			errs = append(errs, fmt.Errorf("it took the parameter %s, which is not declared", name))
		}
	}
	if op.spec.RequestBody != nil {
		errs = append(errs, c.checkSent(op.spec.RequestBody, x))
	}
	return errors.Join(errs...)
}

// parameters are those of the operation and of its path.
func (op *operation) parameters() openapi3.Parameters {
	return append(append(openapi3.Parameters{}, op.spec.Parameters...), op.item.Parameters...)
}

func (c *contract) checkSent(body *openapi3.RequestBodyRef, x *exchange) error {
	sent := x.request.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(sent)
	if err != nil || body.Value.Content[media] == nil {
		return fmt.Errorf("it took the media type %q", sent)
	}
	text, err := decode(strings.ToLower(x.request.Header.Get("Content-Encoding")), x.sent)
	if err != nil {
		return fmt.Errorf("it took a body that does not decode: %w", err)
	}
	value, err := parse(media, text)
	if err != nil {
		return fmt.Errorf("it took a body that is no JSON: %w", err)
	}
	if err := c.fits(body.Ref+"/content/"+strings.ReplaceAll(media, "/", "~1")+"/schema", value); err != nil {
		return fmt.Errorf("it took a body: %w\nin %s", err, text)
	}
	return nil
}

func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// fitsText checks a value that is spelled in a header, a path or a query: as the
// schema has it, it is a number, a boolean or a text.
func (c *contract) fitsText(ref, text string) error {
	schema, err := c.schema(ref)
	if err != nil {
		return err
	}
	var value any = text
	if schema.Types != nil {
		switch types := schema.Types.ToStrings(); types[0] {
		case "integer":
			n, ok := new(big.Int).SetString(text, 10)
			if !ok {
				return fmt.Errorf("%q is no whole number", text)
			}
			value = json.Number(n.String())
		case "boolean":
			if text != "true" && text != "false" {
				return fmt.Errorf("%q is no boolean", text)
			}
			value = text == "true"
		}
	}
	return schema.Validate(value)
}

// decode takes a body out of its content coding.
func decode(coding string, body []byte) ([]byte, error) {
	text, err := unpacked(strings.TrimPrefix(coding, "x-"), string(body))
	return []byte(text), err
}

// hasBody reports whether a request brings one.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }
