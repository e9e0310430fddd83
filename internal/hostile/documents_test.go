package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestDocuments(t *testing.T) {
	tg := start(t, t.TempDir(), "--max-body-size=1MiB")
	attacks := documents()
	t.Logf("%d documents", len(attacks))
	assault(t, tg, attacks)
}

const envelope = `{"saga_id":"` + sagaID + `","saga_name":"order","step_name":"pay","step_index":1,"status":"completed","context":{}`

func documents() []attack {
	rep := strings.Repeat
	small := envelope + "}"
	room := maxBody - len(small) - 100
	numbered := func(form string, n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, form, i)
		}
		return b.String()
	}
	// Names whose FNV or Go hashes collide are not to be had; as many as fit are.
	manyNames := "{" + numbered(`"%x":0`, room/10) + "}"
	return []attack{
		// Depth.
		save("nested as deep as may be", rep(`{"a":`, 98)+"{}"+rep("}", 98), "201"),
		save("nested one deeper", rep(`{"a":`, 99)+"{}"+rep("}", 99), "400 too_deep"),
		save("arrays one deeper", `{"a":`+rep("[", 99)+rep("]", 99)+"}", "400 too_deep"),
		save("half a million brackets", rep("[", 500_000), "400 too_deep|400 invalid_field"),
		save("half a million braces", rep(`{"a":`, 150_000), "400 too_deep"),
		put("brackets alone", rep("[", maxBody-1), "400 invalid_json|400 too_deep"),

		// Size.
		save("as large as may be", `{"a":"`+rep("x", room)+`"}`, "201"),
		save("larger", `{"a":"`+rep("x", maxBody)+`"}`, "413 body_too_large"),
		put("white space alone", rep(" ", maxBody), "400 invalid_json"),
		put("white space before", rep(" ", maxBody-len(small))+small, "201"),
		put("white space beyond the bound", small+rep("\n", maxBody), "413 body_too_large"),
		put("nothing", "", "400 invalid_json"),
		save("a flood of arrays", `{"a":[`+rep("[],", room/3-10)+`[]]}`, "201"),
		save("a flood of objects", `{"a":[`+rep("{},", room/3-10)+`{}]}`, "201"),
		save("a flood of small objects", `{"a":[`+rep(`{"a":1,"b":2},`, room/14-10)+`{}]}`, "201"),
		save("a flood of numbers", `{"a":[`+rep("1,", room/2-10)+`1]}`, "201"),
		save("a flood of strings", `{"a":[`+rep(`"",`, room/3-10)+`""]}`, "201"),
		save("a flood of commas", `{"a":[`+rep(",", room)+`]}`, "400 invalid_json"),
		save("a flood, deep", `{"a":`+rep("[", 95)+rep("1,", room/2-200)+"1"+rep("]", 95)+"}", "201"),
		save("as many names as fit", manyNames, "201"),
		save("a name of a megabyte", `{"`+rep("n", room)+`":1}`, "201"),
		save("a name of escapes", `{"`+rep(`\u0041`, room/6-10)+`":1}`, "201"),
		put("a field of a megabyte", envelope+`,"`+rep("n", room)+`":1}`, "400 unknown_field"),
		put("as many fields as fit", envelope+","+numbered(`"%x":0`, room/11)+"}", "400 unknown_field"),
		put("ten thousand steps", envelope+`,"completed_steps":[`+rep(`"s",`, 9_999)+`"s"]}`, "201"),
		put("one step more", envelope+`,"completed_steps":[`+rep(`"s",`, 10_000)+`"s"]}`, "400 invalid_field"),
		put("a thousand and one references", envelope+`,"external_refs":{`+numbered(`"r%d":"x"`, 1001)+"}}", "400 invalid_field"),
		put("a long reference", envelope+`,"external_refs":{"r":"`+rep("x", 4097)+`"}}`, "400 invalid_field"),
		put("a long status", strings.Replace(small, "completed", rep("c", 51), 1), "400 invalid_field"),
		put("a long step", strings.Replace(small, `"pay"`, `"`+rep("é", 256)+`"`, 1), "400 invalid_field"),

		// Names that stand twice.
		save("a name twice", `{"a":1,"a":2}`, "400 duplicate_field"),
		save("a name twice, one spelled otherwise", `{"a":1,"\u0061":2}`, "400 duplicate_field"),
		save("a name twice, deep", `{"x":[{"y":{"a":1,"b":2,"\u0061":3}}]}`, "400 duplicate_field"),
		save("a name twice among many", strings.TrimSuffix(manyNames[:len(manyNames)/2], ",")[:strings.LastIndex(manyNames[:len(manyNames)/2], ",")]+`,"0":1}`, "400 duplicate_field"),
		save("a surrogate pair twice", `{"\ud83d\ude00":1,"😀":2}`, "400 duplicate_field"),
		put("a field twice", envelope+`,"status":"failed"}`, "400 duplicate_field"),
		put("a field twice, one spelled otherwise", envelope+`,"\u0073tatus":"failed"}`, "400 duplicate_field"),
		put("the id of a saga twice", envelope+`,"saga\u005fid":"0b8f0d5c-6f6e-4a0e-9d0e-000000000009"}`, "400 duplicate_field"),
		save("names that differ in case", `{"a":1,"A":2}`, "201"),
		save("names that differ in their normal form", `{"é":1,"`+"e\u0301"+`":2}`, "201"),
		save("lone surrogates as two names", `{"\ud800":1,"\ud801":2}`, "201|400 duplicate_field"),
		save("the empty name", `{"":1}`, "201"),
		save("a name that means something elsewhere", `{"__proto__":{"admin":true},"constructor":1}`, "201"),

		// Text.
		save("a byte that is none of UTF-8", "{\"a\":\"\xff\"}", "400 invalid_json"),
		save("half a rune", "{\"a\":\"\xe2\x82\"}", "400 invalid_json"),
		save("an overlong slash", "{\"a\":\"\xc0\xaf\"}", "400 invalid_json"),
		save("an overlong NUL", "{\"a\":\"\xc0\x80\"}", "400 invalid_json"),
		save("a surrogate in bytes", "{\"a\":\"\xed\xa0\x80\"}", "400 invalid_json"),
		save("beyond Unicode", "{\"a\":\"\xf4\x90\x80\x80\"}", "400 invalid_json"),
		save("a byte that is none, in a name", "{\"\xff\":1}", "400 invalid_json"),
		save("a lone surrogate", `{"a":"\ud800"}`, "201"),
		save("surrogates the wrong way round", `{"a":"\udc00\ud800"}`, "201"),
		save("a lone surrogate as a name", `{"\udfff":1}`, "201"),
		save("an escaped NUL", `{"a\u0000b":"\u0000"}`, "201"),
		save("a bare NUL in a string", "{\"a\":\"\x00\"}", "400 invalid_json"),
		save("a bare NUL between tokens", "{\"a\":\x001}", "400 invalid_json"),
		save("a line break in a string", "{\"a\":\"\n\"}", "400 invalid_json"),
		save("what no line of JavaScript may have", "{\"a\":\"\u2028\u2029</script><!--\"}", "201"),
		save("a text that turns round", "{\"a\":\"\u202egpj.exe\"}", "201"),
		save("escape sequences of a terminal", `{"a":"\u001b]0;x\u0007\u009b2J"}`, "201"),
		save("a bad escape", `{"a":"\x41"}`, "400 invalid_json"),
		save("half an escape", `{"a":"\u00"}`, "400 invalid_json"),
		put("a step with a line break", strings.Replace(small, `"pay"`, `"pay\nmsg=forged"`, 1), "400 invalid_field"),
		put("a step with an escape sequence", strings.Replace(small, `"pay"`, `"\u001b[2J"`, 1), "400 invalid_field"),
		put("a step with a C1 control", strings.Replace(small, `"pay"`, `"\u009b2J"`, 1), "400 invalid_field"),
		put("a step with a lone surrogate", strings.Replace(small, `"pay"`, `"\ud800"`, 1), "400 invalid_field"),
		put("a step that is a path", strings.Replace(small, `"pay"`, `"../../outside"`, 1), "201"),
		put("a saga that is a path", strings.Replace(small, sagaID, "../../../../../../outside-hostile", 1), "400 invalid_field"),
		put("a saga with a NUL", strings.Replace(small, sagaID, sagaID[:35]+`\u0000`, 1), "400 invalid_field"),
		put("a snapshot that is a path", envelope+`,"snapshot_id":"../../outside"}`, "400 invalid_field"),
		put("a saga in braces", strings.Replace(small, sagaID, "{"+sagaID+"}", 1), "400 invalid_field"),

		// Numbers.
		save("a number of ten thousand digits", `{"a":`+rep("9", 10_000)+`}`, "201"),
		save("a fraction of ten thousand digits", `{"a":-0.`+rep("0", 10_000)+`1}`, "201"),
		save("1e999999", `{"a":1e999999,"b":-1E-999999}`, "201"),
		save("an exponent of ten thousand digits", `{"a":1e`+rep("9", 10_000)+`}`, "201"),
		save("spellings of nought", `{"a":[0,-0,0.0,-0.0e-0,0E+00]}`, "201"),
		save("beyond a float's whole numbers", `{"a":9007199254740993,"b":0.1000000000000000055511151231257827}`, "201"),
		save("a leading nought", `{"a":007}`, "400 invalid_json"),
		save("a plus", `{"a":+1}`, "400 invalid_json"),
		save("hexadecimal", `{"a":0x1}`, "400 invalid_json"),
		save("half a number", `{"a":1.}`, "400 invalid_json"),
		save("NaN", `{"a":NaN}`, "400 invalid_json"),
		save("Infinity", `{"a":-Infinity}`, "400 invalid_json"),
		put("a step index of ten thousand digits", strings.Replace(small, `"step_index":1`, `"step_index":1`+rep("0", 10_000), 1), "400 invalid_field"),
		put("a step index of 1e9", strings.Replace(small, `"step_index":1`, `"step_index":1e9`, 1), "400 invalid_field"),
		put("a negative step index", strings.Replace(small, `"step_index":1`, `"step_index":-1`, 1), "400 invalid_field"),
		put("a time of ten thousand digits", envelope+`,"created_at":"2026-01-01T00:00:00.`+rep("0", 10_000)+`Z"}`, "400 invalid_field"),
		put("the year ten thousand", envelope+`,"created_at":"10000-01-01T00:00:00Z"}`, "400 invalid_field"),
		put("a leap second", envelope+`,"created_at":"2016-12-31T23:59:60Z"}`, "400 invalid_field"),

		// Around the document.
		put("a byte order mark", "\ufeff"+small, "400 invalid_json"),
		put("UTF-16", "\xff\xfe{\x00}\x00", "400 invalid_json"),
		put("a NUL behind", small+"\x00", "400 invalid_json"),
		put("a document behind", small+small, "400 invalid_json"),
		put("a line of another document behind", small+"\n{}", "400 invalid_json"),
		put("a comma behind", small+",", "400 invalid_json"),
		put("a comment", "/* */"+small, "400 invalid_json"),
		put("a comma too many", envelope+",}", "400 invalid_json"),
		put("single quotes", `{'saga_id':1}`, "400 invalid_json"),
		put("an array of documents", "["+small+"]", "400 invalid_json"),
		put("null", "null", "400 invalid_json"),
		put("a number", "1", "400 invalid_json"),
		put("an end too early", small[:len(small)-1], "400 invalid_json"),
		put("HTML", "<html><script>alert(1)</script></html>", "400 invalid_json"),
		put("XML with an entity", `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, "400 invalid_json"),

		// Codings.
		put("gzip", gzipped(small), "201", "Content-Encoding: gzip"),
		put("gzip in two members", gzipped(small[:50])+gzipped(small[50:]), "201", "Content-Encoding: gzip"),
		put("gzip in ten thousand empty members", rep(gzipped(""), 10_000)+gzipped(small), "201", "Content-Encoding: gzip"),
		put("a second document in a second member", gzipped(small)+gzipped(small), "400 invalid_json", "Content-Encoding: gzip"),
		put("gzip that ends too early", gzipped(small)[:40], "400 invalid_json", "Content-Encoding: gzip"),
		put("gzip without its sum", gzipped(small)[:len(gzipped(small))-8], "400 invalid_json", "Content-Encoding: gzip"),
		put("gzip with another sum", gzipped(small)[:len(gzipped(small))-8]+"12345678", "400 invalid_json", "Content-Encoding: gzip"),
		put("gzip with something behind", gzipped(small)+"something", "400 invalid_json", "Content-Encoding: gzip"),
		put("gzip with a header that does not end", "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff"+rep("n", maxBody-100), "400 invalid_json", "Content-Encoding: gzip"),
		put("a bomb in gzip", bomb(gzipWriter), "413 body_too_large", "Content-Encoding: gzip"),
		put("gzip in gzip", gzipped(gzipped(small)), "400 invalid_json", "Content-Encoding: gzip"),
		put("gzip in gzip, and said so", gzipped(gzipped(small)), "415 unsupported_encoding", "Content-Encoding: gzip, gzip"),
		put("no gzip", small, "400 invalid_json", "Content-Encoding: gzip"),
		put("zstd", zstandard(small), "201", "Content-Encoding: zstd"),
		put("zstd in two frames", zstandard(small[:50])+zstandard(small[50:]), "201", "Content-Encoding: zstd"),
		put("zstd between frames to be skipped", skippable(1000)+zstandard(small)+skippable(10), "201", "Content-Encoding: zstd"),
		put("frames to be skipped alone", rep(skippable(0), 10_000), "400 invalid_json", "Content-Encoding: zstd"),
		put("a frame to be skipped of four gigabytes", "\x50\x2a\x4d\x18\xff\xff\xff\xff"+zstandard(small), "400 invalid_json", "Content-Encoding: zstd"),
		put("zstd that ends too early", zstandard(small)[:30], "400 invalid_json", "Content-Encoding: zstd"),
		put("zstd with a dictionary", "\x28\xb5\x2f\xfd\x23\x01\x02\x03\x04\x10\x00\x00\x00", "400 invalid_json", "Content-Encoding: zstd"),
		put("zstd that says it has exabytes", "\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x0f\x01\x00\x00", "400 invalid_json", "Content-Encoding: zstd"),
		put("zstd with a window of two gigabytes", "\x28\xb5\x2f\xfd\x00\xa8"+rep("\x00", 50), "400 invalid_json", "Content-Encoding: zstd"),
		put("a bomb in zstd", bomb(func(w io.Writer) io.WriteCloser { return mustZstd(w) }), "413 body_too_large", "Content-Encoding: zstd"),
		put("no zstd", small, "400 invalid_json", "Content-Encoding: zstd"),
		put("brotli", "\x0b\x02\x80", "415 unsupported_encoding", "Content-Encoding: br"),
		put("deflate", "x", "415 unsupported_encoding", "Content-Encoding: deflate"),
		put("no coding of this world", small, "415 unsupported_encoding", "Content-Encoding: ../../etc/passwd"),
		put("identity twice", small, "415 unsupported_encoding", "Content-Encoding: identity", "Content-Encoding: identity"),
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func gzipWriter(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func mustZstd(w io.Writer) *zstd.Encoder {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err)
	}
	return z
}

func zstandard(text string) string {
	var b bytes.Buffer
	z := mustZstd(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

// skippable is a frame of n bytes that a decoder of zstd passes over.
func skippable(n int) string {
	return "\x50\x2a\x4d\x18" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) + strings.Repeat("s", n)
}

// bomb is half a gigabyte of a document, packed.
func bomb(pack func(io.Writer) io.WriteCloser) string {
	var b bytes.Buffer
	w := pack(&b)
	_, _ = io.WriteString(w, envelope+`,"more":"`)
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 512 {
		_, _ = w.Write(chunk)
	}
	_, _ = io.WriteString(w, `"}`)
	_ = w.Close()
	return b.String()
}
