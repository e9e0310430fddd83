package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	spec "snapshotd/api"
)

// node is a part of the document, as JSON has it.
type node = map[string]any

var contractRoot = sync.OnceValue(func() (root node) {
	text, err := spec.JSON()
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		err = d.Decode(&root)
	}
	if err != nil {
		panic(err)
	}
	return root
})

// resolve follows a reference such as #/components/schemas/Uuid.
func resolve(ref string) node {
	var at any = contractRoot()
	for token := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(node)[strings.ReplaceAll(token, "~1", "/")]
	}
	return at.(node)
}

// A member is a key of an object with its value as JSON text.
type member struct{ name, value string }

func object(members []member) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.name) + ":" + m.value)
	}
	return b.String() + "}"
}

func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// drawValue draws JSON text that fits a schema; often it lies at a bound.
func drawValue(t *rapid.T, schema node) string {
	if ref, ok := schema["$ref"].(string); ok {
		switch ref[strings.LastIndex(ref, "/")+1:] {
		case "UuidInput", "Name", "TimeInput":
			return quote(drawText(t, schema))
		}
		return drawValue(t, resolve(ref))
	}
	if options, ok := schema["anyOf"].([]any); ok {
		return drawValue(t, rapid.SampledFrom(options).Draw(t, "alternative").(node))
	}
	kind := schema["type"]
	if kinds, ok := kind.([]any); ok {
		kind = rapid.SampledFrom(kinds).Draw(t, "type")
	}
	switch kind {
	case "null":
		return "null"
	case "boolean":
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "boolean")
	case "integer":
		return drawInteger(t, schema)
	case "array":
		return drawArray(t, schema)
	case "object":
		if schema["properties"] == nil {
			return drawMap(t, schema)
		}
		return object(drawMembers(t, schema))
	default:
		return quote(drawText(t, schema))
	}
}

func drawInteger(t *rapid.T, schema node) string {
	low, high := bound(schema, "minimum", 0), bound(schema, "maximum", 1<<40)
	n := rapid.Int64Range(low, high).Draw(t, "integer")
	return fmt.Sprint(rapid.SampledFrom([]int64{n, n % 5, low, high}).Filter(func(n int64) bool { return n >= low }).Draw(t, "bound"))
}

func bound(schema node, name string, without int64) int64 {
	text, ok := schema[name].(json.Number)
	if !ok {
		return without
	}
	n, err := text.Int64()
	if err != nil {
		panic(err)
	}
	return n
}

func drawArray(t *rapid.T, schema node) string {
	n := rapid.IntRange(0, 3).Draw(t, "items")
	if most := bound(schema, "maxItems", 0); most > 0 && rapid.IntRange(0, 99).Draw(t, "full") == 0 {
		return "[" + strings.TrimSuffix(strings.Repeat(`"x",`, int(most)), ",") + "]"
	}
	items := make([]string, n)
	for i := range items {
		items[i] = drawValue(t, schema["items"].(node))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// drawMap draws an object without known keys. The values of an opaque one are
// what a careless decoder would change.
func drawMap(t *rapid.T, schema node) string {
	var members []member
	values, typed := schema["additionalProperties"].(node)
	for i := range rapid.IntRange(0, 3).Draw(t, "entries") {
		name := rapid.SampledFrom([]string{"a", "", "~/", "é", "<k>", "snapshot_id", "context"}).Draw(t, "key") + strings.Repeat("'", i)
		if typed {
			members = append(members, member{name, drawValue(t, values)})
		} else {
			members = append(members, member{name, drawOpaque(t, 3)})
		}
	}
	return object(members)
}

func drawOpaque(t *rapid.T, depth int) string {
	if depth > 0 && rapid.IntRange(0, 3).Draw(t, "nested") == 0 {
		form := rapid.SampledFrom([]string{`{"x": %s}`, "[%s, 1]", `{"": [%s]}`}).Draw(t, "form")
		return fmt.Sprintf(form, drawOpaque(t, depth-1))
	}
	return rapid.SampledFrom([]string{
		"null", "true", "1", "1.0", "-0", "1E400", "123456789012345678901234567890.10", `"\ud800"`, `"\u00e9\/"`, "{}", "[]",
		`"` + strings.Repeat("x", 2000) + `"`, strings.Repeat("[", 90) + strings.Repeat("]", 90),
	}).Draw(t, "opaque")
}

// drawMembers draws the keys of an object: those required, and some others. Of
// alternatives that each require a key only one is there.
func drawMembers(t *rapid.T, schema node) (members []member) {
	wanted, unwanted := map[string]bool{}, map[string]bool{}
	for _, name := range list(schema["required"]) {
		wanted[name.(string)] = true
	}
	if alternatives := list(schema["oneOf"]); len(alternatives) > 0 {
		chosen := rapid.IntRange(0, len(alternatives)-1).Draw(t, "chosen")
		for i, alternative := range alternatives {
			name := list(alternative.(node)["required"])[0].(string)
			wanted[name], unwanted[name] = i == chosen, i != chosen
		}
	}
	properties := schema["properties"].(node)
	for _, name := range sortedKeys(properties) {
		if wanted[name] || !unwanted[name] && rapid.Bool().Draw(t, "with "+name) {
			value := drawValue(t, properties[name].(node))
			if value != "null" && rapid.IntRange(0, 4).Draw(t, "known") > 0 {
				value = familiar(t, name, value)
			}
			members = append(members, member{name, value})
		}
	}
	return members
}

// familiar answers a value that was saved before, where the field has such.
func familiar(t *rapid.T, name, otherwise string) string {
	if ids := fewIDs[name]; ids != nil {
		return quote(rapid.SampledFrom(ids).Draw(t, name))
	}
	return otherwise
}

func list(v any) []any {
	items, _ := v.([]any)
	return items
}

// A few ids and names come again and again, so that requests meet.
var (
	fewSagas = []string{sagaID(1), sagaID(2)}
	fewIDs   = map[string][]string{
		"snapshot_id": {snapshotID(1), snapshotID(2), strings.ToUpper(snapshotID(3))}, "replay_id": {replayID(1), replayID(2)},
		"saga_id": fewSagas, "new_saga_id": fewSagas, "original_saga_id": fewSagas,
	}
	fewNames = []string{"pay", "ship", "__completed__", "x", strings.Repeat("x", 255), strings.Repeat("é", 255), "\u00a0", ` "\/<&>'`, "\U0001f600"}
)

// drawText draws a text that fits a schema, as it stands in a path, a query or,
// quoted, in a body.
func drawText(t *rapid.T, schema node) string {
	if ref, ok := schema["$ref"].(string); ok {
		switch ref[strings.LastIndex(ref, "/")+1:] {
		case "UuidInput":
			return rapid.StringMatching(resolve(ref)["pattern"].(string)).Draw(t, "id")
		case "Name":
			return rapid.SampledFrom(fewNames).Draw(t, "name")
		case "TimeInput", "TimeParameter":
			return drawTime(t)
		}
		return drawText(t, resolve(ref))
	}
	if fixed, ok := schema["const"].(string); ok {
		return fixed
	}
	if options := list(schema["enum"]); len(options) > 0 {
		return rapid.SampledFrom(options).Draw(t, "one of").(string)
	}
	switch schema["type"] {
	case "integer":
		return drawInteger(t, schema)
	case "boolean":
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "boolean")
	}
	if pattern, ok := schema["pattern"].(string); ok {
		return rapid.StringMatching(pattern).Draw(t, "text")
	}
	least, most := int(bound(schema, "minLength", 0)), int(bound(schema, "maxLength", 20))
	if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
		return strings.Repeat("é", most)
	}
	return rapid.StringN(least, min(most, 20), -1).Draw(t, "text")
}

// drawTime draws a time that RFC 3339 can spell and that the years 1 to 9999 hold.
func drawTime(t *rapid.T) string {
	if rapid.IntRange(0, 4).Draw(t, "edge") == 0 {
		return rapid.SampledFrom([]string{
			"0001-01-01T00:00:00Z", "0001-01-01T23:59:00+23:59", "9999-12-31T23:59:59.999999999Z", "9999-12-31T00:00:59-23:59",
			"2024-02-29T23:59:59.1+00:00", "2026-11-22T22:08:59.000000-00:00", "2026-11-22T22:08:59.119505+01:00",
		}).Draw(t, "time")
	}
	at := time.Date(rapid.IntRange(2, 9998).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")),
		rapid.IntRange(1, 28).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"), 0, rapid.IntRange(0, 59).Draw(t, "second"), 0, time.UTC)
	fraction := rapid.StringMatching(`(\.[0-9]{1,9})?`).Draw(t, "fraction")
	return at.Format("2006-01-02T15:04:05") + fraction + rapid.StringMatching(`Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]`).Draw(t, "offset")
}
