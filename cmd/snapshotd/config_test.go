package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "rewrite the table of options in the README")

func TestDefaults(t *testing.T) {
	cmd, err := parse(nil, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := serveOptions{
		BasePath: "./saga-snapshots", PrettyJSON: true, Store: "filesystem",
		Durability: "full", MinFree: 64 << 20, CacheSize: 64 << 20, Listen: "127.0.0.1:7420",
		CleanupInterval: duration(time.Minute), MaxBodySize: 16 << 20, MaxPageBytes: 32 << 20,
		ShutdownTimeout: duration(8 * time.Second), LogLevel: "info", LogFormat: "auto",
	}
	if cmd.name != "serve" || !reflect.DeepEqual(cmd.Serve, want) {
		t.Errorf("by default it is %s with\n%+v, not\n%+v", cmd.name, cmd.Serve, want)
	}
}

// TestEveryOption gives each option a value as a flag and as a variable.
func TestEveryOption(t *testing.T) {
	values := []struct {
		option, value string
		want          any // in the field
		with          []string
	}{
		{"base-path", "/srv/sagas", directory("/srv/sagas"), nil},
		{"enable-compression", "true", true, nil},
		{"pretty-json", "false", false, nil},
		{"store", "memory", "memory", nil},
		{"durability", "relaxed", "relaxed", nil},
		{"min-free", "1GiB", size(1 << 30), nil},
		{"cache-size", "1GiB", size(1 << 30), nil},
		{"listen", "[::1]:0", address("[::1]:0"), nil},
		{"metrics-listen", ":9420", address(":9420"), nil},
		{"tokens-file", "/run/tokens", file("/run/tokens"), nil},
		{"insecure-no-auth", "true", true, nil},
		{"rate-per-token", "50:200", tokenRate{50, 200}, []string{"--tokens-file=x"}},
		{"redact", "/context/card/number,/external_refs/a~1b", pointers{"/context/card/number", "/external_refs/a~1b"}, []string{"--tokens-file=x"}},
		{"tls-cert", "cert.pem", file("cert.pem"), []string{"--tls-key=x"}},
		{"tls-key", "key.pem", file("key.pem"), []string{"--tls-cert=x"}},
		{"tls-client-ca", "ca.pem", file("ca.pem"), []string{"--tls-cert=x", "--tls-key=x"}},
		{"default-retention", "30d", duration(30 * 24 * time.Hour), nil},
		{"max-snapshots-per-saga", "50", count(50), nil},
		{"cleanup-interval", "0", duration(0), nil},
		{"max-body-size", "64KiB", size(64 << 10), nil},
		{"max-page-bytes", "10MB", size(10e6), nil},
		{"shutdown-timeout", "1m30s", duration(90 * time.Second), nil},
		{"log-level", "debug", "debug", nil},
		{"log-format", "json", "json", nil},
	}
	if n := reflect.TypeFor[serveOptions]().NumField(); n != len(values) {
		t.Errorf("there are %d options and %d are tested", n, len(values))
	}
	for i, test := range values {
		variable := prefix + strings.ToUpper(strings.ReplaceAll(test.option, "-", "_")) + "="
		for _, given := range []struct {
			name          string
			args, environ []string
		}{
			{"flag", []string{"--" + test.option + "=" + test.value}, nil},
			{"flag of serve", []string{"serve", "--" + test.option + "=" + test.value}, nil},
			{"variable", nil, []string{"HOME=/", variable + test.value}},
			{"flag over variable", []string{"--" + test.option + "=" + test.value}, []string{variable + "nonsense"}},
		} {
			t.Run(test.option+" by "+given.name, func(t *testing.T) {
				cmd, err := parse(append(given.args, test.with...), given.environ, io.Discard)
				if err != nil {
					t.Fatal(err)
				}
				if got := reflect.ValueOf(cmd.Serve).Field(i).Interface(); !reflect.DeepEqual(got, test.want) {
					t.Errorf("it is %v, not %v", got, test.want)
				}
			})
		}
	}
}

func TestSwitchesAndSpaces(t *testing.T) {
	cmd, err := parse([]string{"--enable-compression", "--listen", "[::1]:80", "--pretty-json=no"},
		[]string{"SNAPSHOTD_BASE_PATH="}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s := cmd.Serve; !s.EnableCompression || s.PrettyJSON || s.Listen != "[::1]:80" {
		t.Errorf("%+v", s)
	}
	if cmd.Serve.BasePath != "./saga-snapshots" {
		t.Errorf("an empty variable set the base path to %q", cmd.Serve.BasePath)
	}
}

// TestUsageErrors runs the program: it must exit 2 and name the option, its
// variable and what was expected.
func TestUsageErrors(t *testing.T) {
	for _, test := range []struct {
		args  string // separated by spaces
		env   string
		wants []string
	}{
		{args: "--base-path=", wants: []string{"--base-path", "SNAPSHOTD_BASE_PATH", "path of a directory"}},
		{args: "--base-path", wants: []string{"--base-path (or SNAPSHOTD_BASE_PATH): a value was expected\n"}},
		{args: "--store --listen=:0", wants: []string{"--store (or SNAPSHOTD_STORE): a value was expected, not \"--listen=:0\""}},
		{args: "--enable-compression=maybe", wants: []string{"--enable-compression", "SNAPSHOTD_ENABLE_COMPRESSION", "true", "maybe"}},
		{env: "SNAPSHOTD_PRETTY_JSON=perhaps", wants: []string{"--pretty-json", "SNAPSHOTD_PRETTY_JSON", "true", "perhaps"}},
		{args: "--store=s3", wants: []string{"--store", "SNAPSHOTD_STORE", "filesystem", "memory", "s3"}},
		{env: "SNAPSHOTD_STORE=s3", wants: []string{"--store", "SNAPSHOTD_STORE", "filesystem", "memory", "s3"}},
		{args: "--listen=7420", wants: []string{"--listen", "SNAPSHOTD_LISTEN", "127.0.0.1:7420", `"7420"`}},
		{args: "--listen=localhost:http", wants: []string{"--listen", "host and a port"}},
		{args: "--listen=:70000", wants: []string{"--listen", "host and a port"}},
		{env: "SNAPSHOTD_LISTEN=nowhere", wants: []string{"--listen", "SNAPSHOTD_LISTEN", "nowhere"}},
		{args: "--listen=0.0.0.0:7420", wants: []string{"--listen (or SNAPSHOTD_LISTEN): without tokens 127.0.0.1", `not "0.0.0.0:7420"`, "snapshotd token new NAME", "--tokens-file", "SNAPSHOTD_INSECURE_NO_AUTH=true"}},
		{env: "SNAPSHOTD_LISTEN=:7420", wants: []string{"--listen", "--insecure-no-auth"}},
		{args: "--listen=example.org:7420", wants: []string{"--listen", "--insecure-no-auth"}},
		{args: "--listen=[fe80::1]:7420", wants: []string{"--listen", "--insecure-no-auth"}},
		{args: "--tokens-file=", wants: []string{"--tokens-file", "SNAPSHOTD_TOKENS_FILE", "path of a file"}},
		{args: "--tokens-file=x --insecure-no-auth", wants: []string{"--insecure-no-auth", "SNAPSHOTD_INSECURE_NO_AUTH", "--tokens-file", "not both"}},
		{args: "--rate-per-token=5", wants: []string{"--rate-per-token", "SNAPSHOTD_RATE_PER_TOKEN", "--tokens-file"}},
		{args: "--tokens-file=x --rate-per-token=fast", wants: []string{"--rate-per-token", "50:200", "fast"}},
		{args: "--tokens-file=x --rate-per-token=5:0", wants: []string{"--rate-per-token", "5:0"}},
		{args: "--tokens-file=x --rate-per-token=0:5", wants: []string{"--rate-per-token", "0:5"}},
		{args: "--redact=/context/card", wants: []string{"--redact", "SNAPSHOTD_REDACT", "--tokens-file"}},
		{args: "--tokens-file=x --redact=/context", wants: []string{"--redact", "below /context or /external_refs", `"/context"`}},
		{args: "--tokens-file=x --redact=/context/a,/status", wants: []string{"--redact", `"/status"`}},
		{args: "--tokens-file=x --redact=/context/~2", wants: []string{"--redact", `"/context/~2"`}},
		{args: "--tls-key=x", wants: []string{"--tls-cert", "SNAPSHOTD_TLS_CERT"}},
		{args: "--tls-client-ca=x", wants: []string{"--tls-cert"}},
		{args: "--tls-cert=x", wants: []string{"--tls-key", "SNAPSHOTD_TLS_KEY"}},
		{args: "--metrics-listen=", wants: []string{"--metrics-listen", "SNAPSHOTD_METRICS_LISTEN", "host and a port"}},
		{args: "token new --scope=read", wants: []string{"NAME"}},
		{args: "token new ops", wants: []string{"--scope"}},
		{args: "token new ops --scope=all", wants: []string{"--scope: some of read, write, replay, delete, metrics, admin"}},
		{args: "token new a,b --scope=read", wants: []string{"a name was expected: 1 to 64 letters"}},
		{args: "--default-retention=30", wants: []string{"--default-retention", "SNAPSHOTD_DEFAULT_RETENTION", "30d", `"30"`}},
		{args: "--default-retention=-1h", wants: []string{"--default-retention", "duration"}},
		{args: "--max-snapshots-per-saga=-1", wants: []string{"--max-snapshots-per-saga", "SNAPSHOTD_MAX_SNAPSHOTS_PER_SAGA", "whole number"}},
		{args: "--max-snapshots-per-saga=many", wants: []string{"--max-snapshots-per-saga", "whole number"}},
		{args: "--cleanup-interval=often", wants: []string{"--cleanup-interval", "SNAPSHOTD_CLEANUP_INTERVAL", "1h30m"}},
		{args: "--max-body-size=0", wants: []string{"--max-body-size", "SNAPSHOTD_MAX_BODY_SIZE", "16MiB"}},
		{args: "--max-body-size=49MiB", wants: []string{"--max-body-size", "SNAPSHOTD_MAX_BODY_SIZE", "at most 48MiB"}},
		{args: "--max-page-bytes=big", wants: []string{"--max-page-bytes", "SNAPSHOTD_MAX_PAGE_BYTES", "64KiB"}},
		{args: "--shutdown-timeout=", wants: []string{"--shutdown-timeout", "SNAPSHOTD_SHUTDOWN_TIMEOUT", "duration"}},
		{args: "--log-level=loud", wants: []string{"--log-level", "SNAPSHOTD_LOG_LEVEL", "debug", "loud"}},
		{args: "--log-format=xml", wants: []string{"--log-format", "SNAPSHOTD_LOG_FORMAT", "tint", "json", "xml"}},
		{args: "--basepath=x", wants: []string{"--basepath", "--base-path"}},
		{args: "serve stop", wants: []string{"stop"}},
		{args: "start", wants: []string{"start"}},
		{args: "version --base-path=x", wants: []string{"--base-path"}},
		{args: "--base-path=x version", wants: []string{"--base-path"}},
		{args: "healthcheck --listen=x", wants: []string{"--listen", "SNAPSHOTD_LISTEN"}},
	} {
		t.Run(test.args+test.env, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			p := process{args: strings.Fields(test.args), stdout: &out, stderr: &errs}
			if test.env != "" {
				p.environ = []string{test.env}
			}
			if code := p.run(t.Context()); code != exitUsage {
				t.Errorf("exit code %d", code)
			}
			for _, want := range append(test.wants, "snapshotd --help") {
				if !strings.Contains(errs.String(), want) {
					t.Errorf("%q is missing in\n%s", want, &errs)
				}
			}
			if out.Len() > 0 || strings.Contains(errs.String(), "kong") {
				t.Errorf("printed\n%s\nand\n%s", &out, &errs)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	options := optionTable(t)
	for _, args := range []string{"--help", "-h", "help", "serve --help", "help serve", "--listen=:0 --help"} {
		t.Run(args, func(t *testing.T) {
			text := output(t, strings.Fields(args)...)
			for line := range strings.Lines(text) {
				if len(line) > helpWidth+1 {
					t.Errorf("a line of %d characters: %s", len(line)-1, line)
				}
			}
			for _, o := range options {
				if !strings.Contains(text, "\n  --"+o.Name) {
					t.Errorf("--%s is missing in\n%s", o.Name, text)
				}
			}
			if !strings.Contains(text, "SNAPSHOTD_BASE_PATH") || !strings.Contains(text, "(default 127.0.0.1:7420)") {
				t.Errorf("variables or defaults are missing in\n%s", text)
			}
		})
	}
	text := output(t, "--help")
	for _, command := range []string{"[serve]", "healthcheck", "version"} {
		if !strings.Contains(text, "\n  snapshotd "+command) {
			t.Errorf("%s is missing in\n%s", command, text)
		}
	}
	if text := output(t, "healthcheck", "--help"); !strings.Contains(text, "--url=URL") || strings.Contains(text, "--base-path=") {
		t.Errorf("healthcheck's help is\n%s", text)
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if text := output(t, arg); !strings.HasPrefix(text, "snapshotd ") || !strings.Contains(text, "go1.") {
			t.Errorf("%s says %q", arg, text)
		}
	}
	if text := (build{version: "v1.2.3", revision: "abc", goVersion: "go1.26"}).String(); text != "snapshotd v1.2.3 (revision abc, go1.26)" {
		t.Error(text)
	}
}

// output runs the program, which must succeed, and answers what it prints.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	p := process{args: args, stdout: &out, stderr: &errs}
	if code := p.run(t.Context()); code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit code %d\n%s", code, &errs)
	}
	return out.String()
}

func TestUnknownVariables(t *testing.T) {
	got := unknownVariables([]string{
		"HOME=/", "SNAPSHOTD_BASEPATH=x", "SNAPSHOTD_BASE_PATH=x", "SNAPSHOTD_URL=http://x",
		"SNAPSHOTD_SERVICE_HOST=10.0.0.1", "SNAPSHOTD_PORT_7420_TCP=tcp://10.0.0.1:7420", "SNAPSHOTD_HELP=1",
	})
	if want := []string{"SNAPSHOTD_BASEPATH", "SNAPSHOTD_HELP"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

func optionTable(t *testing.T) []*kong.Flag {
	t.Helper()
	parser, _, err := newParser(&commands{}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model.DefaultCmd.Flags
}

func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- options -->\n", "<!-- /options -->"
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("there is no README yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no block %s...%s", path, begin, end)
	}
	var b strings.Builder
	b.WriteString("| Option | Variable | Default | Meaning |\n|---|---|---|---|\n")
	for _, o := range optionTable(t) {
		byDefault := ""
		if o.Default != "" {
			byDefault = "`" + o.Default + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", o.Name, variable(o.Name), byDefault, o.Help)
	}
	want := before + begin + b.String() + end + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("the table of options in %s is not that of the code; go test ./cmd/snapshotd -update writes it", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
