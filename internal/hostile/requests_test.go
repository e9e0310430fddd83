package hostile

import (
	"fmt"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	tg := start(t, t.TempDir(), "--max-body-size=1MiB")
	attacks := requests()
	t.Logf("%d requests", len(attacks))
	assault(t, tg, attacks)
}

// raw is a request as it goes over the wire, with LF for the ends of lines.
func raw(name, text, want string) attack {
	return attack{name: name, text: strings.ReplaceAll(text, "\n", "\r\n"), want: want, context: "{}"}
}

// half is one after which nothing more comes.
func half(a attack) attack { a.half = true; return a }

func requests() []attack {
	rep := strings.Repeat
	small := envelope + "}"
	length := fmt.Sprintf("Content-Length: %d\n", len(small))
	chunk := fmt.Sprintf("%x\n%s\n", len(small), small)
	head := "PUT /v1/snapshots/{id} HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
	// What a proxy in front might take for the body, and we must not take for a request.
	smuggled := "DELETE /v1/sagas/" + sagaID + "/snapshots HTTP/1.1\nHost: localhost\n\n"
	get := func(headers string) string { return "GET /v1/stats HTTP/1.1\nHost: localhost\n" + headers + "\n" }
	return []attack{
		// Whose request is it?
		raw("no Host", "GET /v1/stats HTTP/1.1\n\n", "400 plain"),
		raw("two Hosts", "GET /v1/stats HTTP/1.1\nHost: localhost\nHost: attacker.example\n\n", "400 plain"),
		raw("two Hosts alike", "GET /v1/stats HTTP/1.1\nHost: localhost\nHost: localhost\n\n", "400 plain"),
		raw("an empty Host", "GET /v1/stats HTTP/1.1\nHost:\n\n", "421 host_not_allowed"),
		raw("another Host", "GET /v1/stats HTTP/1.1\nHost: attacker.example\n\n", "421 host_not_allowed"),
		raw("another Host on a probe", "GET /healthz HTTP/1.1\nHost: attacker.example\n\n", "421 host_not_allowed"),
		raw("a Host with a user", "GET /v1/stats HTTP/1.1\nHost: localhost@attacker.example\n\n", "421 host_not_allowed|400 plain"),
		raw("a Host with a path", "GET /v1/stats HTTP/1.1\nHost: localhost/../x\n\n", "421 host_not_allowed|400 plain"),
		raw("a Host with a blank", "GET /v1/stats HTTP/1.1\nHost: localhost attacker.example\n\n", "421 host_not_allowed|400 plain"),
		raw("a forwarded Host", "GET /v1/stats HTTP/1.1\nHost: attacker.example\nX-Forwarded-Host: localhost\nForwarded: host=localhost\n\n", "421 host_not_allowed"),
		raw("an absolute target", "GET http://localhost/v1/stats HTTP/1.1\nHost: attacker.example\n\n", "200"), // RFC 9112, 3.2.2; no browser sends it
		raw("an absolute target elsewhere", "GET http://attacker.example/v1/stats HTTP/1.1\nHost: localhost\n\n", "421 host_not_allowed"),
		raw("an absolute target of another scheme", "GET file:///etc/passwd HTTP/1.1\nHost: localhost\n\n", "404 route_not_found|421 host_not_allowed|400 plain"),
		raw("no Host in HTTP/1.0", "GET /v1/stats HTTP/1.0\n\n", "421 host_not_allowed"),
		raw("a page of another origin", "POST /v1/cleanup HTTP/1.1\nHost: localhost\nOrigin: http://attacker.example\nContent-Length: 0\n\n", "403 cross_origin"),
		raw("a page that was turned here", "POST /v1/cleanup HTTP/1.1\nHost: attacker.example\nOrigin: http://attacker.example\nContent-Length: 0\n\n", "421 host_not_allowed"),
		raw("a form of another origin", "POST /v1/snapshots HTTP/1.1\nHost: localhost\nSec-Fetch-Site: cross-site\nContent-Type: text/plain\n"+length+"\n"+small, "403 cross_origin"),

		// Where does it end?
		raw("length and chunks", head+length+"Transfer-Encoding: chunked\n\n0\n\n"+smuggled, "400 invalid_json|400 plain"),
		raw("chunks and length", head+"Transfer-Encoding: chunked\nContent-Length: 5\n\n0\n\n"+smuggled, "400 invalid_json|400 plain"),
		raw("two lengths", head+length+"Content-Length: 5\n\n"+small, "400 plain"),
		raw("two lengths alike", head+length+length+"\n"+small, "201|400 plain"), // RFC 9110, 8.6 allows both
		raw("two lengths in one line", head+"Content-Length: 5, 5\n\n"+small, "400 plain"),
		raw("a negative length", head+"Content-Length: -1\n\n"+small, "400 plain"),
		raw("a length with a plus", head+fmt.Sprintf("Content-Length: +%d\n\n", len(small))+small, "400 plain"),
		raw("a length in hexadecimal", head+fmt.Sprintf("Content-Length: 0x%x\n\n", len(small))+small, "400 plain"),
		raw("a length beyond 64 bits", head+"Content-Length: 99999999999999999999\n\n"+small, "400 plain"),
		half(raw("a length of exabytes", head+"Content-Length: 9223372036854775807\n\n"+small, "413 body_too_large")),
		raw("a length with a blank before the colon", head+"Content-Length : 5\n\n"+small, "400 plain"),
		raw("an empty length", head+"Content-Length:\n\n"+smuggled, "400 plain"),
		half(raw("a length that is not sent", head+"Content-Length: 500000\n\n"+small, "499|499 plain|")),
		raw("chunks", head+"Transfer-Encoding: chunked\n\n"+chunk+"0\n\n", "201"),
		raw("chunks with extensions", head+"Transfer-Encoding: chunked\n\n"+strings.Replace(chunk, "\n", ";a=b;c=\"d\"\n", 1)+"0\n\n", "201"),
		half(raw("chunks with an extension of a megabyte", head+"Transfer-Encoding: chunked\n\n"+strings.Replace(chunk, "\n", ";"+rep("x", 1<<20)+"\n", 1)+"0\n\n", "400 invalid_json")),
		half(raw("chunks of one byte with long extensions", head+"Transfer-Encoding: chunked\n\n"+rep("1;"+rep("x", 3000)+"\n \n", 300)+"0\n\n", "400 invalid_json")),
		raw("trailers", head+"Transfer-Encoding: chunked\nTrailer: X-Injected\n\n"+chunk+"0\nX-Injected: 1\nHost: attacker.example\n\n", "201"),
		half(raw("a chunk size that is none", head+"Transfer-Encoding: chunked\n\nxyz\n"+small+"\n0\n\n", "400 invalid_json")),
		half(raw("a negative chunk size", head+"Transfer-Encoding: chunked\n\n-5\n"+small+"\n0\n\n", "400 invalid_json")),
		half(raw("a chunk size with 0x", head+"Transfer-Encoding: chunked\n\n0x"+chunk+"0\n\n", "400 invalid_json")),
		half(raw("a chunk size beyond 64 bits", head+"Transfer-Encoding: chunked\n\n"+rep("f", 17)+"\n"+small+"\n0\n\n", "400 invalid_json")),
		half(raw("a chunk longer than it says", head+"Transfer-Encoding: chunked\n\n5\n"+small+"\n0\n\n", "400 invalid_json")),
		{name: "chunks that end in bare LF", half: true, context: "{}", want: "400 invalid_json|499|499 plain|201",
			text: strings.ReplaceAll(head+"Transfer-Encoding: chunked\n\n", "\n", "\r\n") + chunk + "0\n\n"},
		raw("chunked, identity", head+"Transfer-Encoding: chunked, identity\n\n0\n\n"+smuggled, "501 plain"),
		raw("identity", head+"Transfer-Encoding: identity\n"+length+"\n"+small, "501 plain"),
		raw("chunked twice", head+"Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n"+smuggled, "501 plain|400 plain"),
		raw("chunked, folded", head+"Transfer-Encoding:\n chunked\n"+length+"\n0\n\n"+smuggled, "400 plain|400 invalid_json|501 plain"),
		raw("chunked with a vertical tab", head+"Transfer-Encoding: \x0bchunked\n"+length+"\n"+small, "400 plain|501 plain"),
		raw("chunked with a blank before the colon", head+"Transfer-Encoding : chunked\n"+length+"\n"+small, "400 plain"),
		raw("xchunked", head+"Transfer-Encoding: xchunked\n"+length+"\n"+small, "501 plain"),
		raw("chunked in HTTP/1.0", strings.Replace(head, "1.1", "1.0", 1)+"Transfer-Encoding: chunked\n"+length+"\n0\n\n"+smuggled, "400 plain|400 invalid_json|501 plain"),
		raw("a body of a GET", "GET /v1/stats HTTP/1.1\nHost: localhost\nConnection: close\n"+fmt.Sprintf("Content-Length: %d\n\n", len(smuggled)+4)+smuggled, "200"),

		// Lines.
		raw("a folded header", get("X-Request-Id: a\n X-Injected: 1\n"), "200|400 plain"),
		{name: "bare LF as ends of lines", text: "GET /v1/stats HTTP/1.1\nHost: localhost\n\n", want: "200|400 plain"}, // RFC 9112, 2.2
		{name: "a bare CR in a header", text: "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\rX-Injected: 1\r\n\r\n", want: "400 plain"},
		{name: "a NUL in a header", text: "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\x00\r\n\r\n", want: "400 plain"},
		raw("a header without a colon", get("X-Injected\n"), "400 plain"),
		raw("a header without a name", get(": x\n"), "400 plain"),
		raw("a header with a blank in its name", get("X Injected: 1\n"), "400 plain"),
		raw("a header of a megabyte", get("X-Filling: "+rep("x", 1<<20)+"\n"), "431 plain"),
		raw("sixty thousand headers", get(rep("A: b\n", 60_000)), "431 plain"),
		raw("a target of a megabyte", "GET /"+rep("x", 1<<20)+" HTTP/1.1\nHost: localhost\n\n", "431 plain"),
		raw("a query of 60 KB", "GET /v1/stats?"+rep("a=1&", 15_000)+" HTTP/1.1\nHost: localhost\n\n", "400 unknown_parameter|400 invalid_parameter"),
		raw("a query with half an escape", "GET /v1/stats?a=%zz HTTP/1.1\nHost: localhost\n\n", "400 invalid_parameter"),
		raw("a query with semicolons", "GET /v1/stats?a=1;b=2 HTTP/1.1\nHost: localhost\n\n", "400 invalid_parameter"),
		raw("a request line without a version", "GET /v1/stats\nHost: localhost\n\n", "400 plain"), // HTTP/0.9
		raw("a version that is none", "GET /v1/stats HTTP/9.9\nHost: localhost\n\n", "505 plain"),
		raw("a version with letters", "GET /v1/stats HTTP/x.y\nHost: localhost\n\n", "400 plain"),
		raw("two blanks", "GET  /v1/stats HTTP/1.1\nHost: localhost\n\n", "400 plain"),
		raw("a target with a blank", "GET /v1/sta ts HTTP/1.1\nHost: localhost\n\n", "400 plain"),
		raw("a target with an escape sequence", "GET /v1/\x1b[2J HTTP/1.1\nHost: localhost\n\n", "400 plain"),
		half(raw("noise", "\x00\x01\x02\xff\xfe"+rep("\x80", 1000)+"\n\n", "400 plain")),
		half(raw("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+rep("\x00", 100)+"\n\n", "400 plain")),
		half(raw("an end in the header", "GET /v1/stats HTTP/1.1\nHost: loc", "400 plain|")),

		// Other things that HTTP knows.
		raw("the preface of HTTP/2", "PRI * HTTP/2.0\n\nSM\n\n", "505 plain|400 plain|421 host_not_allowed"),
		raw("an upgrade to HTTP/2", get("Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\n"), "200"),
		raw("an upgrade to a websocket", get("Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"), "200"),
		raw("TRACE", "TRACE /v1/stats HTTP/1.1\nHost: localhost\nAuthorization: secret\n\n", "405 method_not_allowed"),
		raw("CONNECT", "CONNECT attacker.example:443 HTTP/1.1\nHost: localhost\n\n", "421 host_not_allowed|404 route_not_found|405 method_not_allowed"),
		raw("CONNECT to us", "CONNECT localhost:443 HTTP/1.1\nHost: localhost\n\n", "404 route_not_found|405 method_not_allowed"),
		raw("OPTIONS *", "OPTIONS * HTTP/1.1\nHost: localhost\n\n", "200|404 route_not_found|405 method_not_allowed"),
		raw("a method of our own", "BREW /v1/stats HTTP/1.1\nHost: localhost\n\n", "405 method_not_allowed"),
		raw("a method in lower case", "get /v1/stats HTTP/1.1\nHost: localhost\n\n", "405 method_not_allowed"),
		raw("a method of a megabyte", rep("A", 1<<20)+" / HTTP/1.1\nHost: localhost\n\n", "431 plain"),
		raw("another method in a header", "POST /v1/snapshots/"+id(0)+" HTTP/1.1\nHost: localhost\nX-HTTP-Method-Override: DELETE\nContent-Length: 0\n\n", "405 method_not_allowed"),
		raw("another path in a header", "GET /nowhere HTTP/1.1\nHost: localhost\nX-Original-URL: /v1/stats\nX-Rewrite-URL: /v1/stats\n\n", "404 route_not_found"),
		raw("an expectation", head+length+"Expect: 100-continue\n\n"+small, "201"),
		raw("an expectation of something else", head+length+"Expect: 200-ok\n\n"+small, "417 plain|417"),
		raw("a range", get("Range: bytes=0-10,20-30\n"), "200"),
		raw("a thousand ranges", get("Range: bytes="+rep("0-0,", 10_000)+"0-0\n"), "200"),
		raw("tags by the thousand", get("If-None-Match: "+rep(`"x", `, 10_000)+"\"y\"\n"), "200"),
		raw("codings by the thousand", get("Accept-Encoding: "+rep("gzip;q=0.1, ", 4_000)+"zstd\n"), "200"),
		raw("HEAD", "HEAD /v1/stats HTTP/1.1\nHost: localhost\n\n", "200"),
		raw("twenty requests at once", rep("GET /healthz HTTP/1.1\nHost: localhost\n\n", 20), strings.TrimSuffix(rep("200, ", 20), ", ")),
	}
}

// Ids are taken as ids, however they are spelled: on every route with one.
func TestPaths(t *testing.T) {
	tg := start(t, t.TempDir(), "--max-body-size=1MiB")
	body := envelope + "}"
	var attacks []attack
	for _, route := range []string{
		"GET /v1/snapshots/X", "PUT /v1/snapshots/X", "DELETE /v1/snapshots/X", "GET /v1/sagas/X", "GET /v1/sagas/X/snapshots",
		"DELETE /v1/sagas/X/snapshots", "GET /v1/sagas/X/snapshots/latest", "POST /v1/sagas/X/replays", "GET /v1/sagas/X/replays",
		"GET /v1/replays/X", "PUT /v1/replays/X", "PATCH /v1/replays/X",
	} {
		for _, spelled := range []string{
			"..", "../..", "%2e%2e", "%2e%2e%2f%2e%2e%2foutside.json", "..%2f..%2foutside", "..%5c..%5coutside", "%252e%252e%252foutside", "..%c0%af..",
			"/etc/passwd", "%2fetc%2fpasswd", "file:%2f%2f%2fetc", ".", "%00", sagaID + "%00", sagaID + "%00.json", sagaID + "%0d%0aX-Injected:%201", sagaID + "%0a",
			"%0d%0aX-Injected:%201", sagaID + "%20", "%20" + sagaID, sagaID + "%2f..", sagaID + "/..", sagaID + "/../../..", sagaID + ".json", sagaID + "%2ejson",
			"%7b" + sagaID + "%7d", "urn:uuid:" + sagaID, strings.ReplaceAll(sagaID, "-", ""), strings.ReplaceAll(sagaID, "-", "%2d") + "x",
			"*", "con", "nul.json", "~root", "%ff", "%ef%bc%8e%ef%bc%8e", "$%7bjndi:x%7d", "';--", strings.Repeat("a", 5000), strings.Repeat("%41", 5000),
		} {
			attacks = append(attacks, attack{
				name: strings.Replace(route, "X", spelled[:min(len(spelled), 60)], 1),
				text: strings.Replace(route, "X", spelled, 1) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n" +
					fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body,
				want: "400 invalid_id|404 route_not_found|405 method_not_allowed",
			})
		}
	}
	for _, path := range []string{
		"//", "/..", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/../../outside.json", "/v1/%2e%2e/healthz", "//v1/stats", "/v1//stats", "/v1/stats/",
		"/v1/stats%2f", "/v1/stats%00", "/v1/stats%0d%0aX-Injected:%201", "/v1%2fstats", "/v1\\stats", "/v1/%5cstats", "/healthz/..", "/metrics%0a", "/openapi.yaml.gz",
		"/.snapshotd/lock", "/snapshots/" + sagaID, "/debug/pprof/", "/.git/config", "/" + strings.Repeat("a/", 20_000),
	} {
		attacks = append(attacks, attack{name: path[:min(len(path), 60)], want: "404 route_not_found|400 plain",
			text: "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"})
	}
	for _, query := range []string{
		"cursor=", "cursor=../../x", "cursor=" + strings.Repeat("A", 50_000), "cursor=AQAGYOSZVBtgAAAAAQGS8MEAAHAAgAAAAAAAAAI2EsjBzmaAsw", "after=x", "before=%00",
		"after=2026-01-01T00:00:00.0000000000Z", "limit=0", "limit=-1", "limit=1e9", "limit=0x10", "status=..%2f", "status=%0d%0aX-Injected:%201", "step_name=", "step_name=%ff",
		"order=;drop", "view=../x", "pretty=x", "saga_name=%ff", "a%00=1", "limit=1&limit=2",
	} {
		attacks = append(attacks, attack{name: query[:min(len(query), 60)], want: "400 invalid_parameter|400 invalid_cursor|400 unknown_parameter",
			text: "GET /v1/snapshots?" + query + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"})
	}
	t.Logf("%d paths and queries", len(attacks))
	assault(t, tg, attacks)
}

// What stands in a header that we look at comes back nowhere it does harm.
func TestHeaders(t *testing.T) {
	tg := start(t, t.TempDir(), "--max-body-size=1MiB", "--log-level=debug")
	body := envelope + "}"
	var attacks []attack
	for _, header := range []string{
		"X-Request-Id", "Traceparent", "If-None-Match", "Content-Encoding", "Content-Type", "Accept-Encoding", "Origin", "Sec-Fetch-Site", "Expect", "Authorization",
		"Access-Control-Request-Method",
	} {
		for name, value := range map[string]string{
			"an escaped line break": `a%0d%0aX-Injected: 1`, "half a line break": "a\rX-Injected: 1", "a line break": "a\nX-Injected: 1", "a NUL": "a\x00b",
			"an escape sequence": "\x1b]0;x\x07", "bytes above ASCII": "\xff\xfe\x80", "UTF-8": "é\u2028\u202e", "60 KB": strings.Repeat("x", 60_000), "commas": strings.Repeat(",", 50_000),
			"quotes": strings.Repeat(`"`, 50_000), "semicolons": "application/json" + strings.Repeat(";a=b", 10_000), "numbers": strings.Repeat("gzip;q=1e9999999,", 3_000),
			"a path": "../../../../etc/passwd", "a template": "${jndi:ldap://127.0.0.1/x}", "markup": `"><script>alert(1)</script>`, "blanks": strings.Repeat(" ", 50_000), "nothing": "",
		} {
			attacks = append(attacks, attack{name: header + " of " + name, context: "{}",
				text: "PUT /v1/snapshots/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
					fmt.Sprintf("%s: %s\r\nContent-Length: %d\r\n", header, value, len(body)) + contentType(header) + "\r\n" + body,
				want: "201|400 plain|400 invalid_parameter|400 invalid_json|415 unsupported_encoding|415 unsupported_media_type|403 cross_origin|417 plain|417",
			})
		}
	}
	t.Logf("%d headers", len(attacks))
	assault(t, tg, attacks)
	if log := tg.log.String(); strings.ContainsAny(log, "\x00\x1b\r") || strings.Contains(log, "X-Injected: 1\"\n") {
		t.Error("a header reaches the log as it is")
	}
}

func contentType(header string) string {
	if header == "Content-Type" {
		return ""
	}
	return "Content-Type: application/json\r\n"
}
