package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The README's table of log lines names only messages that the code has.
func TestReadmeLogs(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "<!-- logs -->")
	table, _, found := strings.Cut(rest, "<!-- /logs -->")
	if !found {
		t.Fatal("the README has no table of log lines")
	}
	source, err := exec.Command("grep", "-rhE", `(Info|Warn|Error|Debug|LogAttrs)[A-Za-z]*\(`, "--include=*.go", "../../internal", ".").Output()
	if err != nil {
		t.Skip("there is no grep")
	}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || strings.Contains(row, "---") || strings.Contains(cells[1], "`msg`") {
			continue
		}
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			if start, _, _ := strings.Cut(message[1], "…"); !strings.Contains(string(source), `"`+start) {
				t.Errorf("nothing logs %q", message[1])
			}
		}
	}
}
