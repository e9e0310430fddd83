package document_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"snapshotd/internal/document"
)

func maskOf(t testing.TB, pointers ...string) *document.Mask {
	t.Helper()
	m := &document.Mask{}
	for _, p := range pointers {
		if err := m.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestMask(t *testing.T) {
	for _, c := range []struct{ pointers, doc, want string }{
		{"/a", `{"a":1}`, `{"a":"[redacted]"}`},
		{"/a", `{"a": {"deep": [1, 2]} , "b" : 1.0}`, `{"a": "[redacted]" , "b" : 1.0}`},
		{"/a", " {\n \"b\" :\t[ 1E400 , -0 ],\"a\":null}\n", " {\n \"b\" :\t[ 1E400 , -0 ],\"a\":\"[redacted]\"}\n"},
		{"/a/b", `{"a":{"b":"x","c":"x"},"b":"x"}`, `{"a":{"b":"[redacted]","c":"x"},"b":"x"}`},
		{"/a/b", `{"a":"b"}`, `{"a":"b"}`},
		{"/a/b", `{"a":["b"]}`, `{"a":["b"]}`},
		{"/a/1 /a/3", `{"a":[0, 1 ,2,[3]]}`, `{"a":[0, "[redacted]" ,2,"[redacted]"]}`},
		{"/a/01", `{"a":[0,1]}`, `{"a":[0,1]}`},
		{"/a/0", `{"a":{"0":1}}`, `{"a":{"0":"[redacted]"}}`},
		{"/a/b /a", `{"a":{"b":1}}`, `{"a":"[redacted]"}`},
		{"/a/b /a/c/d", `{"a":{"c":{"d":1,"e":2},"b":1}}`, `{"a":{"c":{"d":"[redacted]","e":2},"b":"[redacted]"}}`},
		{"/a~1b/c~0d/", `{"a/b":{"c~d":{"":"x"}}}`, `{"a/b":{"c~d":{"":"[redacted]"}}}`},
		{"/é", `{"\u00e9":"x","é ":"x"}`, `{"\u00e9":"[redacted]","é ":"x"}`},
		{"/card", `{"\u0063ard":"x"}`, `{"\u0063ard":"[redacted]"}`},
		{"/a", `{"a":1,"a":2}`, `{"a":"[redacted]","a":"[redacted]"}`},
		{"/a", `{"b":"\ud800\/<>","a":"\ud800"}`, `{"b":"\ud800\/<>","a":"[redacted]"}`},
		{"/a", `[]`, `[]`},
		{"/a", `"a"`, `"a"`},
	} {
		got, err := maskOf(t, strings.Fields(c.pointers)...).Append([]byte("> "), []byte(c.doc))
		if err != nil || string(got) != "> "+c.want {
			t.Errorf("%s of %s:\n%s was expected, not\n%s %v", c.pointers, c.doc, c.want, got, err)
		}
	}
	if got, err := maskOf(t, "").Append(nil, []byte(` {"a":1}`)); err != nil || string(got) != ` "[redacted]"` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := maskOf(t, "/a/b").At("a").Append(nil, []byte(`{"b":1}`)); err != nil || string(got) != `{"b":"[redacted]"}` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := maskOf(t, "/a/b").At("x").Append(nil, []byte(`{"b":1}`)); err != nil || string(got) != `{"b":1}` {
		t.Errorf("%s %v", got, err)
	}
	if err := new(document.Mask).Add("a"); !errors.Is(err, document.ErrPointerSyntax) {
		t.Error(err)
	}
}

// What is not JSON is not shown in part.
func TestMaskOfBrokenText(t *testing.T) {
	for _, doc := range []string{``, `{`, `{"a":`, `{"a":"secret`, `{"a":1,"b"}`, `{"b":1 "a":2}`, `[1,`, `{"b":{"c":tru}}`} {
		var syntax *document.SyntaxError
		if got, err := maskOf(t, "/a", "/b/c").Append(nil, []byte(doc)); len(got) > 0 || !errors.As(err, &syntax) {
			t.Errorf("%s: %s %v", doc, got, err)
		}
	}
}

// Whatever else is in a document, what a pointer leads to is hidden, and nothing
// else is touched.
func TestMaskHidesWhatFindFinds(t *testing.T) {
	mask := maskOf(t, "/a/s", "/a/c/1")
	rapid.Check(t, func(t *rapid.T) {
		value := func(depth int) string { return drawValue(t, depth) }
		doc := `{"x": ` + value(2) + `, "a": {"b": ` + value(2) + `, "s": "planted-secret" ,"c":[` + value(1) + `,"planted-secret"]}}`
		masked, err := mask.Append(nil, []byte(doc))
		if err != nil {
			t.Fatal(doc, err)
		}
		if want := strings.ReplaceAll(doc, `"planted-secret"`, document.Masked); string(masked) != want {
			t.Fatalf("%s\n%s", doc, masked)
		}
		for _, pointer := range []string{"/x", "/a/b", "/a/c/0"} {
			before, err1 := document.Find([]byte(doc), pointer)
			after, err2 := document.Find(masked, pointer)
			if err1 != nil || err2 != nil || !bytes.Equal(before, after) {
				t.Fatal(pointer, doc, err1, err2)
			}
		}
	})
}

func drawValue(t *rapid.T, depth int) string {
	if depth > 0 && rapid.Bool().Draw(t, "nested") {
		form := rapid.SampledFrom([]string{`{"s": %, "a":{"s":%}}`, `[%, %]`, `{"": {"~":%}}`, ` [ ] `, `{}`}).Draw(t, "form")
		for strings.Contains(form, "%") {
			form = strings.Replace(form, "%", drawValue(t, depth-1), 1)
		}
		return form
	}
	return rapid.SampledFrom([]string{"null", "true", "1.0", "-0", "1E400", `"\ud800"`, `"\u00e9\/"`, `"}"`, `"\""`, `"\\"`, "{}", "[]"}).Draw(t, "scalar")
}
