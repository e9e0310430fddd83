package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadmeWalk(t *testing.T) {
	r := start(t, "--base-path", filepath.Join(t.TempDir(), "data"), "--cleanup-interval=0")
	walkReadme(t, r, "walk")
}

// The walk of three callers has their tokens in variables.
func TestReadmeWalkWithTokens(t *testing.T) {
	k := newKeyring(t)
	environ := []string{"CHECKOUT=" + k.token("checkout", "write,replay"), "ADA=" + k.token("ada", "read"), "OPS=" + k.token("ops", "admin")}
	r := start(t, "--base-path", filepath.Join(t.TempDir(), "data"), "--cleanup-interval=0", "--tokens-file="+k.path, "--redact=/context/card")
	walkReadme(t, r, "walk with tokens", environ...)
}

// walkReadme runs the commands of a walk in the README against a real server and
// holds what they print against what the README says; -update writes it there.
func walkReadme(t *testing.T, r *run, name string, environ ...string) {
	t.Helper()
	const path = "../../README.md"
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	for _, tool := range []string{"bash", "curl", "grep"} {
		if _, err := exec.LookPath(tool); err != nil {
			skipUnlessCI(t, "the walk needs "+tool)
		}
	}
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(readme), begin)
	walk, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatal("the README has no " + name)
	}
	var out strings.Builder
	inBlock := false
	for line := range strings.Lines(walk) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inBlock = line == "```console\n"
			out.WriteString(line)
		case inBlock && isCommand:
			out.WriteString(line)
			out.WriteString(shell(t, strings.ReplaceAll(command, "localhost:7420", strings.TrimPrefix(r.url, "http://")), environ...))
		case !inBlock:
			out.WriteString(line)
		}
	}
	if out.String() == walk {
		return
	}
	if !*update {
		t.Fatalf("the walk prints something else than the README says (go test ./cmd/snapshotd -update writes it):\n%s", out.String())
	}
	if err := os.WriteFile(path, []byte(before+begin+out.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// skipUnlessCI skips a test for want of a tool, which CI must have.
func skipUnlessCI(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("skipped in CI: " + why)
	}
	t.Skip(why)
}

func shell(t *testing.T, command string, environ ...string) string {
	t.Helper()
	bash := exec.Command("bash", "-o", "pipefail", "-c", command)
	bash.Env = append(os.Environ(), environ...)
	out, err := bash.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
