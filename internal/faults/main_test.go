//go:build faults && linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Variables by which .ci/faults tells the tests what to run.
const (
	plainBuild     = "FAULTS_SNAPSHOTD"           // the daemon as it is shipped
	failpointBuild = "FAULTS_SNAPSHOTD_FAILPOINT" // built with -tags failpoint
	reportFile     = "FAULTS_REPORT"              // where the report goes, beside stdout; may be empty
)

func TestMain(m *testing.M) {
	if why := unfit(); why != "" {
		fmt.Println("The fault suite is skipped:", why)
		if os.Getenv("CI") == "true" {
			fmt.Println("With CI=true that is a failure.")
			os.Exit(1)
		}
		os.Exit(0)
	}
	root, err := os.MkdirTemp("", "snapshotd-faults-")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Setenv("TMPDIR", root)
	code := m.Run()
	if text := results.String(); text != "" {
		fmt.Print("\n", text)
		if path := os.Getenv(reportFile); path != "" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				fmt.Println(err)
				code = 1
			}
		}
	}
	for _, left := range leftovers(root) {
		fmt.Println("left behind:", left)
		code = 1
	}
	if err := os.RemoveAll(root); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// unfit says why the suite cannot run here, or nothing.
func unfit() string {
	_, loop := os.Stat("/dev/loop-control")
	switch {
	case os.Getuid() != 0:
		return "it needs root, to mount filesystems."
	case loop != nil:
		return "it needs loop devices."
	case os.Getenv(plainBuild) == "" || os.Getenv(failpointBuild) == "":
		return "it is started by make faults, which builds what it runs."
	case sharesMounts():
		return "it needs a mount namespace of its own, see make faults."
	}
	return ""
}

// sharesMounts reports whether what is mounted here shows elsewhere, too.
func sharesMounts() bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 6 && fields[4] == "/" {
			return strings.HasPrefix(fields[6], "shared:")
		}
	}
	return false
}

// leftovers names mounts, loop devices and processes that the tests should have
// cleared away.
func leftovers(root string) []string {
	var left []string
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, root) {
			left = append(left, "a mount: "+strings.TrimSpace(line))
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range loops {
		if file, _ := os.ReadFile(path); strings.Contains(string(file), root) {
			left = append(left, "a loop device: "+strings.TrimSpace(string(file)))
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		if line, _ := os.ReadFile(path); strings.Contains(string(line), root) {
			left = append(left, "a process: "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

// need skips a test for want of something; in CI nothing may be wanting.
func need(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s, and with CI=true nothing may be skipped", what)
	default:
		t.Skipf("needs %s", what)
	}
}
