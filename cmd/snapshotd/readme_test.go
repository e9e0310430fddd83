package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeWalk runs the commands of the README's walk against a real server and
// holds what they print against what the README says; -update writes it there.
func TestReadmeWalk(t *testing.T) {
	const path = "../../README.md"
	for _, tool := range []string{"bash", "curl", "grep"} {
		if _, err := exec.LookPath(tool); err != nil {
			skipUnlessCI(t, "the walk needs "+tool)
		}
	}
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(readme), "<!-- walk -->\n")
	walk, after, found := strings.Cut(rest, "<!-- /walk -->")
	if !found {
		t.Fatal("the README has no walk")
	}
	r := start(t, "--base-path", filepath.Join(t.TempDir(), "data"), "--cleanup-interval=0")

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
			out.WriteString(shell(t, strings.ReplaceAll(command, "localhost:7420", strings.TrimPrefix(r.url, "http://"))))
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
	if err := os.WriteFile(path, []byte(before+"<!-- walk -->\n"+out.String()+"<!-- /walk -->"+after), 0o644); err != nil {
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

func shell(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("bash", "-o", "pipefail", "-c", command).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
