package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// prefix begins the names of our variables: --base-path is SNAPSHOTD_BASE_PATH.
const prefix = "SNAPSHOTD_"

// serveOptions configure the daemon. This struct is the only source of the
// flags, their variables, the help and the table in the README.
type serveOptions struct {
	BasePath            directory `placeholder:"DIR" default:"./saga-snapshots" help:"Where the snapshots are kept; made if it is missing."`
	EnableCompression   bool      `default:"false" help:"Store new snapshots as .json.gz, typically 60 to 80 % smaller. Both kinds can always be read."`
	PrettyJSON          bool      `name:"pretty-json" default:"true" help:"Lay new files out for people, indented by two spaces."`
	Store               string    `placeholder:"KIND" default:"filesystem" enum:"filesystem,memory" help:"filesystem, or memory: for tests, everything is lost at the end."`
	Durability          string    `placeholder:"KIND" default:"full" enum:"full,relaxed" help:"full: a 2xx is on stable storage. relaxed: it is handed to the operating system, and a crash of the machine may lose the last seconds."`
	MinFree             size      `placeholder:"SIZE" default:"64MiB" help:"With less space free on the disk nothing new is saved; reading and deleting go on."`
	CacheSize           size      `placeholder:"SIZE" default:"64MiB" help:"Memory for the documents that were read last; that their files are unchanged is still asked each time."`
	Listen              address   `placeholder:"HOST:PORT" default:"127.0.0.1:7420" help:"The address to serve on. Beyond this machine only with tokens."`
	AllowedHosts        hosts     `placeholder:"NAMES" default:"" help:"Names, separated by commas, that requests may be for. IP addresses, localhost and the hosts of --listen and --metrics-listen always may; others are refused, for a web page can have its own name resolve to this machine."`
	CORSOrigins         origins   `name:"cors-origins" placeholder:"ORIGINS" default:"" help:"Origins, separated by commas, whose web pages may call from a browser, such as https://console.example.org. Others can neither read nor change anything."`
	MetricsListen       address   `placeholder:"HOST:PORT" help:"Serve /metrics, /healthz and /readyz on this address, too, over plain HTTP and without tokens; /metrics then there only."`
	TokensFile          file      `placeholder:"FILE" help:"Who may do what: a line for each token, made by snapshotd token new. Read again when it changes."`
	InsecureNoAuth      bool      `default:"false" help:"Serve without tokens to whoever can reach the address, because something else keeps strangers out."`
	RatePerToken        tokenRate `placeholder:"RATE" default:"0" help:"How many requests a second one token may send, and how many at once after a pause, such as 50 or 50:200; 0 = any number."`
	Redact              pointers  `sep:"none" placeholder:"POINTER" help:"Mask the values that these JSON pointers lead to, below /context and /external_refs, in answers to callers without the scope admin; separated by commas, and may be repeated."`
	TLSCert             file      `name:"tls-cert" placeholder:"FILE" help:"Serve over TLS with this certificate and its chain, in PEM. Read again when it changes."`
	TLSKey              file      `name:"tls-key" placeholder:"FILE" help:"The key of the certificate, in PEM."`
	TLSClientCA         file      `name:"tls-client-ca" placeholder:"FILE" help:"Take only clients with a certificate of these authorities, in PEM."`
	DefaultRetention    duration  `placeholder:"TIME" default:"0" help:"How long snapshots are kept, from the save, that are saved without retention_until; 0 = for ever."`
	MaxSnapshotsPerSaga count     `placeholder:"N" default:"0" help:"Beyond this many a saga's oldest snapshots are deleted when it is saved to; 0 = none are."`
	CleanupInterval     duration  `placeholder:"TIME" default:"1m" help:"How often expired snapshots are deleted; 0 = only on request."`
	MaxBodySize         size      `placeholder:"SIZE" default:"16MiB" help:"The largest request body, after decompression; at most 48MiB."`
	MaxPageBytes        size      `placeholder:"SIZE" default:"32MiB" help:"A page of a list ends early, with a cursor, when its documents exceed this."`
	MaxInFlight         count     `placeholder:"N" default:"1024" help:"Requests that may be under way at once; beyond them 503 with Retry-After. Health and metrics are not counted."`
	MaxInFlightBytes    size      `placeholder:"SIZE" default:"256MiB" help:"Bodies and documents that may be in memory at once; beyond them 503 with Retry-After. At most an eighth of the memory limit, if there is one."`
	ShutdownTimeout     duration  `placeholder:"TIME" default:"8s" help:"How long requests may take to end after SIGTERM, before they are cut off."`
	LogLevel            string    `placeholder:"LEVEL" default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
	LogFormat           string    `placeholder:"FORMAT" default:"auto" enum:"auto,tint,json" help:"tint for people, json for machines, or auto: tint on a terminal, else json."`
}

// maxBodySize bounds --max-body-size: laid out for people a document grows up to
// fivefold, and a file of more than 256 MiB is not read.
const maxBodySize = 48 << 20

// Validate checks what the types do not.
func (o *serveOptions) Validate() error {
	if o.MaxBodySize > maxBodySize {
		return fmt.Errorf("--max-body-size (or %sMAX_BODY_SIZE): at most 48MiB was expected", prefix)
	}
	if o.MaxInFlight == 0 {
		return fmt.Errorf("--max-in-flight (or %sMAX_IN_FLIGHT): a whole number from 1 on was expected", prefix)
	}
	if o.MaxInFlightBytes < 2*o.MaxBodySize {
		return fmt.Errorf("--max-in-flight-bytes (or %sMAX_IN_FLIGHT_BYTES): at least twice --max-body-size was expected", prefix)
	}
	return o.validateAccess()
}

// validateAccess refuses what lets in more than was meant.
func (o *serveOptions) validateAccess() error {
	complain := func(option, format string, args ...any) error {
		return fmt.Errorf("--%s (or %s): %s", option, variable(option), fmt.Sprintf(format, args...))
	}
	switch tokens := o.TokensFile != ""; {
	case tokens && o.InsecureNoAuth:
		return complain("insecure-no-auth", "this or --tokens-file was expected, not both")
	case !tokens && !o.InsecureNoAuth && !o.Listen.loopback():
		return complain("listen", "without tokens 127.0.0.1 or another address of this machine alone was expected, not %q.\n"+
			"Make a token with \"snapshotd token new NAME --scope read,write\", put its line into a file and name that with --tokens-file;\n"+
			"or, if something else keeps strangers out, give --insecure-no-auth (or %s)", o.Listen, variable("insecure-no-auth")+"=true")
	case !tokens && o.RatePerToken.PerSecond > 0:
		return complain("rate-per-token", "--tokens-file was expected beside it")
	case !tokens && len(o.Redact) > 0:
		return complain("redact", "--tokens-file was expected beside it: without tokens everybody is shown everything")
	case o.TLSCert == "" && (o.TLSKey != "" || o.TLSClientCA != ""):
		return complain("tls-cert", "a certificate was expected beside the key or the authorities")
	case o.TLSCert != "" && o.TLSKey == "":
		return complain("tls-key", "the key of the certificate was expected beside it")
	}
	return nil
}

// healthcheckOptions configure the question whether a daemon is alive.
type healthcheckOptions struct {
	URL           string  `name:"url" placeholder:"URL" default:"" help:"What to ask; by default /healthz at the address of --metrics-listen, or of --listen."`
	Listen        address `placeholder:"HOST:PORT" default:"127.0.0.1:7420" help:"The address the daemon serves on."`
	MetricsListen address `placeholder:"HOST:PORT" help:"The address it serves metrics and health on, if it has one. It is asked there when clients need certificates."`
	TLSCert       file    `name:"tls-cert" placeholder:"FILE" help:"The certificate it serves with, if it does; no other is taken."`
}

// commands are what the program can do.
type commands struct {
	Serve       serveOptions       `cmd:"" default:"withargs" help:"Run the daemon. The default."`
	Healthcheck healthcheckOptions `cmd:"" help:"Ask a daemon whether it is alive: exit code 0 or 1."`
	Token       tokenCommands      `cmd:"" help:"Make tokens for --tokens-file."`
	Verify      verifyOptions      `cmd:"" help:"Check a directory, or what a daemon answers."`
	Bench       benchCommands      `cmd:"" help:"Measure what this machine can do."`
	Version     struct{}           `cmd:"" help:"Print the version."`

	name string // of the one chosen, such as "bench disk"; "" when help was asked for
}

// parse reads arguments and variables; an argument wins. Help that was asked for
// is printed to stdout. An error names the option and what was expected.
func parse(args, environ []string, stdout io.Writer) (*commands, error) {
	switch {
	case len(args) == 1 && args[0] == "--version":
		args = []string{"version"}
	case len(args) > 0 && args[0] == "help":
		args = append(slices.Clone(args[1:]), "--help")
	}
	cmd := &commands{}
	parser, helped, err := newParser(cmd, environ, stdout)
	if err != nil {
		return nil, err
	}
	chosen, err := parser.Parse(args)
	if *helped {
		return cmd, nil
	}
	if err != nil {
		return nil, usageError(err)
	}
	cmd.name = commandOf(chosen.Selected())
	return cmd, nil
}

// newParser also answers where it notes that it has printed the help.
func newParser(cmd *commands, environ []string, stdout io.Writer) (*kong.Kong, *bool, error) {
	helped := new(bool)
	variables := map[string]string{}
	for _, v := range environ {
		key, value, _ := strings.Cut(v, "=")
		variables[key] = value
	}
	parser, err := kong.New(cmd,
		kong.Name("snapshotd"),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { *helped = true }), // kong asks for it after help alone
		kong.Help(printHelp),
		kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
			if parent != nil && !hasVariable(parent.Node(), flag.Name) {
				return nil, nil
			}
			// An empty variable is one that is not set: compose files pass those on.
			name := variable(flag.Name)
			if value := variables[name]; name != "" && value != "" {
				return value, nil
			}
			return nil, nil
		})),
	)
	return parser, helped, err
}

// commandOf is what is typed to choose a command: "serve", "bench disk".
func commandOf(node *kong.Node) string {
	_, command, _ := strings.Cut(node.FullPath(), " ")
	return command
}

// hasVariable reports whether an option of a command is a variable, too. Where the
// data is may be said by one; to repair it is asked for, not configured. A token is
// best said by one: everybody sees the arguments of a process.
func hasVariable(node *kong.Node, option string) bool {
	if node == nil || option == "token" {
		return true
	}
	switch command, _, _ := strings.Cut(commandOf(node), " "); command {
	case "bench", "token":
		return false
	case "verify":
		return option == "base-path"
	}
	return true
}

// variable is the name of an option's variable, "" if it has none.
func variable(option string) string {
	if option == "help" {
		return ""
	}
	return prefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

var (
	optionAtStart = regexp.MustCompile(`^--([a-z-]+):? `)
	valueMissing  = regexp.MustCompile(`^expected \w+ value but got ("EOL" \(<EOL>\))?`)
)

// usageError is a parser's error in our words: the option's variable stands
// beside the option, for which of the two was wrong is not known here.
func usageError(err error) error {
	text := err.Error()
	match := optionAtStart.FindStringSubmatch(text)
	if match == nil {
		return err
	}
	option := fmt.Sprintf("--%s (or %s)", match[1], variable(match[1]))
	parsing := (*kong.ParseError)(nil)
	if errors.As(err, &parsing) && !hasVariable(parsing.Context.Selected(), match[1]) {
		option = "--" + match[1]
	}
	text = strings.TrimPrefix(text, match[0])
	if missing := valueMissing.FindStringSubmatch(text); missing != nil {
		rest := strings.TrimPrefix(text, missing[0])
		if text = "a value was expected"; rest != "" {
			text += ", not " + rest
		}
	}
	return fmt.Errorf("%s: %s", option, text)
}

// unknownVariables are those that look like ours but set no option, except what
// Kubernetes sets for a service of our name.
func unknownVariables(environ []string) []string {
	parser, _, err := newParser(&commands{}, nil, io.Discard)
	if err != nil {
		return nil
	}
	known := map[string]bool{}
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			if hasVariable(command, flag.Name) {
				known[variable(flag.Name)] = true
			}
		}
	}
	var unknown []string
	for _, v := range environ {
		key, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(key, prefix) || known[key] ||
			strings.HasPrefix(key, prefix+"SERVICE_") || strings.HasPrefix(key, prefix+"PORT") {
			continue
		}
		unknown = append(unknown, key)
	}
	return unknown
}
