package main

import (
	"fmt"
	"strings"

	"snapshotd/internal/access"
)

// tokenCommands make tokens.
type tokenCommands struct {
	New newTokenOptions `cmd:"" help:"Make a token: print it, and its line for --tokens-file."`
}

type newTokenOptions struct {
	Name  callerName `arg:"" name:"NAME" help:"Who the caller is; it stands in the log, and its replays are initiated by it."`
	Scope scopes     `placeholder:"SCOPES" required:"" help:"What it may do: some of read, write, replay, delete, metrics, admin, separated by commas."`
}

// Help is what the help says beside the options.
func (*newTokenOptions) Help() string {
	return `Prints the token, which is not kept anywhere and cannot be shown again, and then the line that lets the daemon know it: its name, its SHA-256 and its scopes. To replace a token add a line with the same name, give its caller the new token, and take the old line out.`
}

// newToken prints the token and its line, each on a line of its own; what they are
// goes where it is not in the way of programs.
func (p *process) newToken(o *newTokenOptions) int {
	token := access.NewToken()
	_, _ = fmt.Fprintln(p.stderr, "The token, which is shown this once:")
	p.say("%s", token)
	_, _ = fmt.Fprintln(p.stderr, "The line for the file that --tokens-file names:")
	p.say("%s", access.Line(string(o.Name), token, access.Scope(o.Scope)))
	return exitOK
}

// callerName is a name that a tokens file takes.
type callerName string

func (n *callerName) UnmarshalText(text []byte) error {
	if !access.CheckName(string(text)) {
		return fmt.Errorf("a name was expected: %s", access.NameExpected)
	}
	*n = callerName(text)
	return nil
}

// scopes are a set of them.
type scopes access.Scope

func (s *scopes) UnmarshalText(text []byte) error {
	set, ok := access.ParseScopes(string(text))
	if !ok {
		return fmt.Errorf("some of %s were expected, separated by commas, each once, not %q", strings.Join(access.ScopeNames(), ", "), text)
	}
	*s = scopes(set)
	return nil
}
