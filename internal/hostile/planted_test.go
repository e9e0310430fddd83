//go:build unix

package hostile

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mostPlanted is what it takes to find out that a packed file of the largest size that
// is read, 256 MiB, is no snapshot, while another is read.
const mostPlanted = 900 << 20

// Whoever can write into the directory puts there what is no snapshot: the daemon
// starts, serves the rest, follows no link, waits for no pipe, reads no device,
// and takes no more memory for it.
func TestPlantedFiles(t *testing.T) {
	dir := t.TempDir()
	saga := filepath.Join(dir, "data", "snapshots", sagaID)
	document := envelope + `,"snapshot_id":"` + id(0) + `","created_at":"2026-11-22T22:00:00+00:00"}`
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(saga, 0o755))
	for _, sub := range []string{"indexes", "replays"} {
		must(os.MkdirAll(filepath.Join(dir, "data", sub), 0o755))
	}
	file := func(n int) string { return filepath.Join(saga, id(n)+".json") }
	must(os.WriteFile(file(0), []byte(document), 0o644))
	secret := filepath.Join(dir, "secret.json")
	must(os.WriteFile(secret, []byte(strings.Replace(document, id(0), id(1), 1)), 0o600))
	sparse := func(path string, size int64) {
		must(os.WriteFile(path, nil, 0o644))
		must(os.Truncate(path, size))
	}
	planted := []struct {
		name  string
		plant func(path string) error
	}{
		{"a link to a snapshot outside", func(path string) error { return os.Symlink(secret, path) }},
		{"a link to a snapshot inside", func(path string) error { return os.Symlink(file(0), path) }},
		{"a link to nowhere", func(path string) error { return os.Symlink("nowhere", path) }},
		{"a link to itself", func(path string) error { return os.Symlink(path, path) }},
		{"a link to a device", func(path string) error { return os.Symlink("/dev/zero", path) }},
		{"a link to a directory", func(path string) error { return os.Symlink("/", path) }},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }},
		{"a device", func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o644, 1<<8|5) }}, // /dev/zero
		{"a socket", func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o644, 0) }},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o755) }},
		{"a file of a terabyte", func(path string) error { sparse(path, 1<<40); return nil }},
		{"a file of 200 megabytes of nothing", func(path string) error { sparse(path, 200<<20); return nil }},
		{"another snapshot by a second name", func(path string) error { return os.Link(file(0), path) }},
		{"a bomb", func(path string) error {
			return os.WriteFile(path+".gz", []byte(bomb(gzipWriter)), 0o644)
		}},
		{"nothing at all", func(path string) error { return os.WriteFile(path, nil, 0o644) }},
		{"half a document", func(path string) error { return os.WriteFile(path, []byte(document[:100]), 0o644) }},
		{"brackets", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("[", 1<<20)), 0o644) }},
		{"nobody's to read", func(path string) error { return os.WriteFile(path, []byte(document), 0) }},
	}
	names := map[int]string{}
	for i, p := range planted {
		if err := p.plant(file(i + 1)); err != nil {
			t.Logf("%s cannot be planted here: %v", p.name, err)
			continue
		}
		names[i+1] = p.name
	}
	// The same where sagas, indexes, replays and the directory's own files are.
	must(os.Symlink(dir, filepath.Join(dir, "data", "snapshots", "0b8f0d5c-6f6e-4a0e-9d0e-000000000008")))
	must(syscall.Mkfifo(filepath.Join(dir, "data", "snapshots", "0b8f0d5c-6f6e-4a0e-9d0e-000000000007"), 0o644))
	must(os.WriteFile(filepath.Join(dir, "data", "snapshots", "..data"), []byte("x"), 0o644))
	must(os.WriteFile(filepath.Join(dir, "data", "snapshots", "new\nline"), []byte("x"), 0o644))
	must(os.WriteFile(filepath.Join(saga, "-rf \x1b[2J.json"), []byte("x"), 0o644))
	must(syscall.Mkfifo(filepath.Join(dir, "data", "indexes", sagaID+".json"), 0o644))
	sparse(filepath.Join(dir, "data", "indexes", "0b8f0d5c-6f6e-4a0e-9d0e-000000000006.json"), 1<<40)
	must(os.Symlink(secret, filepath.Join(dir, "data", "replays", id(1)+".json")))
	must(syscall.Mkfifo(filepath.Join(dir, "data", "replays", id(2)+".json"), 0o644))
	sparse(filepath.Join(dir, "data", "replays", id(3)+".json"), 1<<40)

	tg := start(t, dir)
	must(os.WriteFile(filepath.Join(dir, "outside.json"), []byte("canary"), 0o600))
	if used := resident(tg.pid); used > mostPlanted {
		t.Errorf("it takes %d MiB to open the directory", used>>20)
	}
	tg.get(t, "/v1/snapshots/"+id(0), "200")
	tg.get(t, "/v1/sagas/"+sagaID+"/snapshots", "200")
	tg.get(t, "/v1/stats", "200")
	for n, name := range names {
		// Known by name, and not to be read; or not known at all. Never what is behind a link.
		tg.get(t, "/v1/snapshots/"+id(n), "500 snapshot_unreadable|404 snapshot_not_found", name)
	}
	for n := 1; n <= 3; n++ {
		tg.get(t, "/v1/replays/"+id(n), "500 snapshot_unreadable|404 replay_not_found")
	}
	if err := tg.ready(); err != nil {
		t.Error(err)
	}
	if used := resident(tg.pid); used > mostPlanted {
		t.Errorf("it takes %d MiB to answer", used>>20)
	}
	// What is deleted is the link, not what it leads to.
	for n := range names {
		received, err := exchange(tg.address, "DELETE /v1/snapshots/"+id(n)+" HTTP/1.1\r\nHost: localhost\r\n\r\n", false)
		if got, problem := answered(received, "DELETE"); err != nil || problem != nil || !matches(got, "204|404 snapshot_not_found|500 internal") {
			t.Errorf("deleting %s: %s %v %v", names[n], got, err, problem)
		}
	}
	for _, path := range []string{secret, file(0), filepath.Join(dir, "outside.json")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if err := tg.stop(); err != nil {
		t.Errorf("%v\n%s", err, tg.log)
	}
	if strings.ContainsAny(tg.log.String(), "\x1b") || strings.Contains(tg.log.String(), `"msg":"panic"`) {
		t.Error(tg.log)
	}
}

// get asks for a path; the last words say what for.
func (tg *target) get(t *testing.T, path, want string, what ...string) {
	t.Helper()
	received, err := exchange(tg.address, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := answered(received, http.MethodGet); err != nil || !matches(got, want) {
		t.Errorf("%s %s: %s was expected, not %s, %v", path, fmt.Sprint(what), want, got, err)
	}
}
