package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"snapshotd/internal/document"
)

func TestMembersKeepsSpelling(t *testing.T) {
	big := strings.Repeat("9", 400)
	doc := " {\n \"a\" : 1.0 ,\"b\\u0041\":{\"x\":[1, 2e5]},\t\"n\":" + big + ",\"s\":\"\\ud800 \\u00e9\"}\n "
	got, err := document.Members([]byte(doc), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := [][3]string{
		{"a", `"a"`, "1.0"},
		{"bA", `"b\u0041"`, `{"x":[1, 2e5]}`},
		{"n", `"n"`, big},
		{"s", `"s"`, `"\ud800 \u00e9"`},
	}
	if len(got) != len(want) {
		t.Fatalf("%d members, want %d", len(got), len(want))
	}
	for i, m := range got {
		if string(m.Name) != want[i][0] || string(m.Spelled) != want[i][1] || string(m.Value) != want[i][2] {
			t.Errorf("member %d = %s %s %s, want %v", i, m.Name, m.Spelled, m.Value, want[i])
		}
	}
}

func TestMembersRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101)
	for _, tt := range []struct {
		doc     string
		kind    document.Kind
		pointer string
	}{
		{``, document.Malformed, ""},
		{`  `, document.Malformed, ""},
		{`null`, document.Malformed, ""},
		{`[]`, document.Malformed, ""},
		{`{} x`, document.Malformed, ""},
		{`{}{}`, document.Malformed, ""},
		{`{"a":[1,2`, document.Malformed, "/a"},
		{`{"a":tru}`, document.Malformed, "/a"},
		{`{"a":NaN}`, document.Malformed, "/a"},
		{`{"a":01}`, document.Malformed, ""},
		{`{"a":1,}`, document.Malformed, ""},
		{`{1:2}`, document.Malformed, ""},
		{"\ufeff{}", document.Malformed, ""},
		{"{\"a\":\"\xff\"}", document.Malformed, ""},
		{"{\"a\":\"x\ny\"}", document.Malformed, "/a"},
		{"{\"a\":1}\x00", document.Malformed, ""},
		{`{"a":1,"a":2}`, document.DuplicateName, "/a"},
		{`{"a":1,"\u0061":2}`, document.DuplicateName, "/a"},
		{`{"a/b":{"c~":[{"d":1,"d":2}]}}`, document.DuplicateName, "/a~1b/c~0/0/d"},
		{deep, document.TooDeep, strings.Repeat("/a", 100)},
	} {
		_, err := document.Members([]byte(tt.doc), nil)
		var se *document.SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%.40q: error %v, want a SyntaxError", tt.doc, err)
			continue
		}
		if se.Kind != tt.kind || se.Pointer != tt.pointer {
			t.Errorf("%.40q: kind %d at %q (%s), want kind %d at %q", tt.doc, se.Kind, se.Pointer, se, tt.kind, tt.pointer)
		}
	}
	if _, err := document.Members([]byte(strings.Repeat(`{"a":`, 100)+"1"+strings.Repeat("}", 100)), nil); err != nil {
		t.Errorf("100 levels: %v", err)
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct{ base, override, want string }{
		{`{}`, `{}`, `{}`},
		{`{"a":1.0,"b":{"x":1},"c":[1, 2]}`, `{"z":1e400,"b":{"y":null},"a":null}`, `{"a":null,"b":{"y":null},"c":[1,2],"z":1e400}`},
		{`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
		{`{"k":"\ud800"}`, `{"\udfff":"é\u00e9"}`, `{"k":"\ud800","\udfff":"é\u00e9"}`},
	} {
		got, err := document.Merge([]byte(tt.base), []byte(tt.override))
		if err != nil || string(got) != tt.want {
			t.Errorf("Merge(%s, %s) = %s, %v, want %s", tt.base, tt.override, got, err, tt.want)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`{"a":[1,2]}`, "{ \"a\" : [1,\n2] }", true},
		{`{"a":1.0}`, `{"a":1}`, false},
		{`{"a":"é"}`, `{"a":"\u00e9"}`, false},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, false},
		{`{"a":" "}`, `{"a":""}`, false},
	} {
		if got := document.Equal([]byte(tt.a), []byte(tt.b)); got != tt.want {
			t.Errorf("Equal(%s, %s) = %v", tt.a, tt.b, got)
		}
	}
}

func TestFind(t *testing.T) {
	doc := `{"":0,"a/b":1,"m~n":2,"list":[{"x":[10, 11.0]},null],"0":{"-":"é"}}`
	for _, tt := range []struct {
		pointer, want string
		err           error
	}{
		{"", doc, nil},
		{"/", "0", nil},
		{"/a~1b", "1", nil},
		{"/m~0n", "2", nil},
		{"/list/0/x/1", "11.0", nil},
		{"/list/1", "null", nil},
		{"/0/-", `"é"`, nil},
		{"/list/2", "", document.ErrPointerNotFound},
		{"/list/-", "", document.ErrPointerNotFound},
		{"/list/00", "", document.ErrPointerNotFound},
		{"/list/+0", "", document.ErrPointerNotFound},
		{"/list/", "", document.ErrPointerNotFound},
		{"/list/0/x/1/y", "", document.ErrPointerNotFound},
		{"/none", "", document.ErrPointerNotFound},
		{"a", "", document.ErrPointerSyntax},
		{"/a~2", "", document.ErrPointerSyntax},
	} {
		got, err := document.Find([]byte(doc), tt.pointer)
		if !errors.Is(err, tt.err) || string(got) != tt.want {
			t.Errorf("Find(%q) = %s, %v, want %s, %v", tt.pointer, got, err, tt.want, tt.err)
		}
	}
}

func TestLayout(t *testing.T) {
	doc := `{ "a":[1 ,2.0,[]], "b": {} ,"c":"<\u00e9é>"}`
	if got, want := string(document.AppendCompact([]byte("x"), []byte(doc))), `x{"a":[1,2.0,[]],"b":{},"c":"<\u00e9é>"}`; got != want {
		t.Errorf("compact:\n%s\nwant\n%s", got, want)
	}
	want := "{\n  \"a\": [\n    1,\n    2.0,\n    []\n  ],\n  \"b\": {},\n  \"c\": \"<\\u00e9é>\"\n}"
	if got := string(document.AppendIndent(nil, []byte(doc), 0)); got != want {
		t.Errorf("indented:\n%s\nwant\n%s", got, want)
	}
	want = strings.ReplaceAll(want, "\n", "\n  ")
	if got := string(document.AppendIndent(nil, []byte(doc), 1)); got != want {
		t.Errorf("indented at level 1:\n%s\nwant\n%s", got, want)
	}
}

// A megabyte nested deep around single digits would grow a hundredfold.
func TestIndentDoesNotBlowUp(t *testing.T) {
	deep := strings.Repeat("[", 98) + strings.Repeat("1,", 500_000) + "1" + strings.Repeat("]", 98)
	if got := document.AppendIndent(nil, []byte(deep), 1); len(got) > 5*len(deep) {
		t.Errorf("%d bytes became %d", len(deep), len(got))
	}
	flat := "[" + strings.Repeat(`"\"[",`, 50_000) + "1]"
	if got := document.AppendIndent(nil, []byte(flat), 0); !strings.HasPrefix(string(got), "[\n  \"\\\"[\",\n") {
		t.Errorf("a large flat value is not indented: %.20q", got)
	}
}

func TestStringsAndStringMap(t *testing.T) {
	list, _, err := document.Strings([]byte(`["a","\u00e9"]`))
	if err != nil || len(list) != 2 || list[1] != "é" {
		t.Errorf("Strings = %q, %v", list, err)
	}
	if _, at, err := document.Strings([]byte(`["a",1]`)); at != "/1" || !errors.Is(err, document.ErrWrongType) {
		t.Errorf("Strings with a number: %q, %v", at, err)
	}
	m, _, err := document.StringMap([]byte(`{"a":"b"}`))
	if err != nil || m["a"] != "b" {
		t.Errorf("StringMap = %q, %v", m, err)
	}
	if _, at, err := document.StringMap([]byte(`{"a/":null}`)); at != "/a~1" || !errors.Is(err, document.ErrWrongType) {
		t.Errorf("StringMap with null: %q, %v", at, err)
	}
}

// lax reports, of what encoding/json accepts, whether a name stands twice in an
// object and how deep it nests.
func lax(doc []byte) (twice bool, deepest int) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a value comes next, not a name
	}
	var stack []level
	for {
		token, err := d.Token()
		if err != nil {
			return twice, deepest
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].names != nil {
			top := &stack[n-1]
			if !top.value {
				twice = twice || top.names[token.(string)]
				top.names[token.(string)] = true
			}
			top.value = !top.value
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{names: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		}
		deepest = max(deepest, len(stack))
	}
}

// FuzzMembers holds the scanner against encoding/json: what we accept it
// accepts, and what it accepts we refuse only for our own stricter rules.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2e3,"\u00e9"]}`, `{"a":{"a":1},"b":null}`, `[1]`, `{"a":1,"a":2}`, "{\"\xff\":1}", `{"a":"\ud800"}`, `{"\ud800":1,"\ud801":2}`, `{"a":{"\u0061":1,"a":2}}`, `{"a":1e999999,"b":-0.0}`} {
		f.Add([]byte(s))
	}
	f.Add([]byte(strings.Repeat(`{"a":[`, 55) + strings.Repeat("]}", 55)))
	for _, mode := range []string{"plain", "compact"} {
		files, err := filepath.Glob("../store/filestore/testdata/sagaz-" + mode + "/snapshots/*/*.json")
		if err != nil || len(files) == 0 {
			f.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		members, err := document.Members(doc, nil)
		var object map[string]json.RawMessage
		oracle := json.Unmarshal(doc, &object)
		if err == nil {
			if oracle != nil {
				t.Fatalf("accepted what encoding/json refuses: %v", oracle)
			}
			for _, m := range members {
				if !json.Valid(m.Value) || !json.Valid(m.Spelled) {
					t.Fatalf("member %q is not JSON", m.Spelled)
				}
			}
			if c := document.AppendCompact(nil, doc); !document.Equal(c, document.AppendIndent(nil, doc, 0)) {
				t.Fatal("the layouts differ in more than white space")
			}
			return
		}
		var se *document.SyntaxError
		if !errors.As(err, &se) {
			t.Fatalf("error of another kind: %v", err)
		}
		if oracle != nil || object == nil {
			return
		}
		// encoding/json is laxer in three ways, and each must be there to be named.
		twice, depth := lax(doc)
		switch {
		case se.Kind == document.DuplicateName && twice, se.Kind == document.TooDeep && depth > document.MaxDepth:
		case se.Kind == document.Malformed && strings.Contains(se.Detail, "UTF-8") && !utf8.Valid(doc):
		default:
			t.Fatalf("refused what encoding/json accepts, with names twice: %t, depth %d: %v", twice, depth, err)
		}
	})
}
