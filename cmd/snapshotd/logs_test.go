package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unlisted are the messages at warn or error that the README leaves out, and why.
var unlisted = map[string]string{
	"cannot listen":      "of snapshotd bench ceiling, which is hidden and a child of bench http",
	"serving has failed": "the same",
}

// unwritten are the messages in the README that stand nowhere in our code, and why.
var unwritten = map[string]string{
	"http: …": "net/http's, through the ErrorLog of its server",
}

// The README's table of log lines names only messages that the code has, and all of
// those at warn or error.
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
	logged := map[string]bool{} // true at warn and error
	for _, dir := range []string{".", "../../internal"} {
		logMessages(t, dir, logged)
	}
	listed := map[string]bool{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || strings.Contains(row, "---") || strings.Contains(cells[1], "`msg`") {
			continue
		}
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			meant := 0
			for text := range logged {
				if start, cut := strings.CutSuffix(message[1], "…"); text == start || cut && strings.HasPrefix(text, start) {
					listed[text] = true
					meant++
				}
			}
			if meant == 0 && unwritten[message[1]] == "" {
				t.Errorf("nothing logs %q", message[1])
			}
		}
	}
	for text, must := range logged {
		if must && !listed[text] && unlisted[text] == "" {
			t.Errorf("the README does not say what %q means", text)
		}
		if listed[text] && unlisted[text] != "" {
			t.Errorf("the README has %q, which was to be left out", text)
		}
	}
	for text := range unlisted {
		if !logged[text] {
			t.Errorf("nothing logs %q, which is to be left out", text)
		}
	}
}

// logMessages collects what the code below a directory logs, without its tests.
func logMessages(t *testing.T, dir string, logged map[string]bool) {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, isCall := n.(*ast.CallExpr)
			if !isCall {
				return true
			}
			method, isMethod := call.Fun.(*ast.SelectorExpr)
			if !isMethod || !isLogger(method.X) {
				return true
			}
			at, known := messageAt[method.Sel.Name]
			if !known {
				return true
			}
			literal, isLiteral := call.Args[at].(*ast.BasicLit)
			if !isLiteral {
				t.Errorf("%s: a message of %s is no literal, so nobody can look it up", path, method.Sel.Name)
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Error(path, err)
			}
			logged[text] = logged[text] || strings.HasPrefix(method.Sel.Name, "Warn") || strings.HasPrefix(method.Sel.Name, "Error")
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// messageAt says which argument is the message. Of the last three the level is known
// only when they run; the README may have them or not.
var messageAt = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	"Log": 2, "LogAttrs": 2, "NewRecord": 2,
}

// isLogger goes by the name, which is enough for us.
func isLogger(x ast.Expr) bool {
	name := ""
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	}
	return slices.Contains([]string{"log", "logger", "slog"}, strings.ToLower(name))
}
