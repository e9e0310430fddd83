package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"snapshotd/internal/access"
)

// A keyring is a tokens file, and the tokens that it knows, by their scopes.
type keyring struct {
	t    *testing.T
	path string
	text string
}

func newKeyring(t *testing.T) *keyring {
	return &keyring{t: t, path: filepath.Join(t.TempDir(), "tokens")}
}

// token makes one, for a caller of that name, and adds it to the file.
func (k *keyring) token(name, scope string) string {
	k.t.Helper()
	var out, errs bytes.Buffer
	p := process{args: []string{"token", "new", name, "--scope", scope}, stdout: &out, stderr: &errs}
	if code := p.run(k.t.Context()); code != exitOK {
		k.t.Fatalf("exit code %d\n%s", code, &errs)
	}
	token, line, _ := strings.Cut(out.String(), "\n")
	if strings.Contains(errs.String(), token) || strings.Contains(line, token) {
		k.t.Errorf("the token is shown more than once:\n%s%s", &out, &errs)
	}
	k.write(k.text + line)
	return token
}

func (k *keyring) write(text string) {
	k.t.Helper()
	k.text = text
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func TestTokenNew(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	token := k.token("checkout", "read,write")
	tokens := access.NewTokens(access.Rate{})
	if err := tokens.Load([]byte(k.text)); err != nil {
		t.Fatal(err)
	}
	if c := tokens.Authenticate(token); c == nil || c.Name != "checkout" || !c.May(access.Write) || c.May(access.Delete) {
		t.Errorf("%q is %+v", token, c)
	}
	if text := output(t, "token", "new", "--help"); !strings.Contains(text, "Usage: snapshotd token new [options] NAME") || strings.Contains(text, "ariable") {
		t.Error(text)
	}
}

func TestServeWithTokens(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	writer := k.token("writer", "write")
	first := k.text
	r := start(t, "--listen=0.0.0.0:0", "--store=memory", "--tokens-file="+k.path)
	r.url = "http://127.0.0.1" + r.url[strings.LastIndex(r.url, ":"):]
	put := func(token string) int {
		r.token = token
		code, _ := r.do("PUT", "/v1/snapshots/"+snapshotID, document)
		return code
	}
	if code := put(""); code != http.StatusUnauthorized {
		t.Error("without a token", code)
	}
	if code := put(writer); code != http.StatusCreated {
		t.Error("with a token", code)
	}
	if code, body := r.get("/v1/stats"); code != http.StatusForbidden || !strings.Contains(body, `"scope":"read"`) {
		t.Error("without the scope", code, body)
	}
	if log := r.log.String(); strings.Contains(log, "can read and delete everything") || !strings.Contains(log, "there is no --tls-cert") {
		t.Errorf("it warns of\n%s", log)
	}

	// Asked to, it reads the file at once; else when it has changed.
	r.token = k.token("second", "read,metrics")
	r.hangUp <- syscall.SIGHUP
	r.until("the second token is known", func() bool { code, _ := r.get("/v1/stats"); return code == http.StatusOK })
	k.write(first)
	r.until("the second token is no longer known", func() bool { code, _ := r.get("/v1/stats"); return code == http.StatusUnauthorized })
	if code := put(writer); code != http.StatusOK {
		t.Error("the first is not, either", code)
	}

	r.token = k.token("second", "read,metrics")
	good := k.text
	r.until("the new second token is known", func() bool { code, _ := r.get("/v1/stats"); return code == http.StatusOK })
	gauge := func(name string) bool { _, body := r.get("/metrics"); return strings.Contains(body, "\n"+name+"\n") }
	if !gauge(`snapshotd_config_last_reload_successful{file="tokens"} 1`) || !gauge(`snapshotd_config_reloads_total{file="tokens",result="ok"} 3`) {
		t.Error("the reloads are not counted")
	}
	k.write(good + "third nonsense read")
	r.until("the metric shows the broken file", func() bool { return gauge(`snapshotd_config_last_reload_successful{file="tokens"} 0`) })
	lines := r.lines("a changed file cannot be used; what it said before stays in force")
	if len(lines) != 1 || lines[0]["file"] != "tokens" || !strings.Contains(fmt.Sprint(lines[0]["err"]), k.path+": line 3, hash: the SHA-256") {
		t.Error(lines)
	}
	if code, _ := r.get("/v1/stats"); code != http.StatusOK {
		t.Error("a broken file has changed who is known", code)
	}
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	r.until("the missing file is complained of", func() bool {
		return len(r.lines("a changed file cannot be used; what it said before stays in force")) == 2
	})
	k.write(good)
	r.until("the metric shows the mended file", func() bool { return gauge(`snapshotd_config_last_reload_successful{file="tokens"} 1`) })
	if code := put(writer); code != http.StatusOK {
		t.Error("at the end", code)
	}
}

// A file is gone by for what it holds, found twice in a row, however it gets there.
func TestWatchedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var loaded string
	f := &watched{paths: []string{path}, load: func(contents [][]byte) error { loaded = string(contents[0]); return nil }}
	looks := func(what, want string) {
		t.Helper()
		if tried, _ := f.look(false); tried {
			t.Errorf("%s: it is taken at first sight", what)
		}
		if tried, err := f.look(false); !tried || err != nil || loaded != want {
			t.Errorf("%s: tried %v, %v, %q", what, tried, err, loaded)
		}
		if tried, _ := f.look(false); tried {
			t.Errorf("%s: it is taken again", what)
		}
	}
	if err := f.start(); !os.IsNotExist(err) {
		t.Error(err)
	}
	do(os.Mkdir(path, 0o700))
	if err := f.start(); err == nil || !strings.Contains(err.Error(), "a regular file was expected") {
		t.Error(err)
	}
	do(os.Remove(path))
	write(path, "one")
	if err := f.start(); err != nil || loaded != "one" {
		t.Error(err, loaded)
	}
	if tried, _ := f.look(false); tried {
		t.Error("it is taken without having changed")
	}

	before, err := os.Stat(path)
	do(err)
	write(path, "two")
	do(os.Chtimes(path, before.ModTime(), before.ModTime()))
	looks("written in place, of the same size and time", "two")

	write(path+".new", "three")
	do(os.Rename(path+".new", path))
	looks("renamed", "three")

	// As Kubernetes mounts it: file -> ..data/file, ..data -> ..1
	for i, text := range []string{"", "four", "five"} {
		data := filepath.Join(dir, fmt.Sprint("..", i))
		do(os.Mkdir(data, 0o700))
		write(filepath.Join(data, "file"), text)
		do(os.Symlink(fmt.Sprint("..", i), filepath.Join(dir, "..tmp")))
		do(os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		if i == 0 {
			do(os.Remove(path))
			do(os.Symlink("..data/file", path))
		}
		looks("swapped by a link", text)
	}

	write(path, "six, which is being wri")
	if tried, _ := f.look(false); tried {
		t.Error("half a file is taken")
	}
	write(path, "six, which is being written")
	looks("written slowly", "six, which is being written")

	do(os.Remove(path))
	if tried, _ := f.look(false); tried {
		t.Error("it complains at first sight")
	}
	if tried, err := f.look(false); !tried || !os.IsNotExist(err) {
		t.Error(tried, err)
	}
	if tried, _ := f.look(false); tried {
		t.Error("it complains twice")
	}
	if tried, err := f.look(true); !tried || !os.IsNotExist(err) {
		t.Error(tried, err)
	}
	write(path, strings.Repeat("x", maxWatchedFile+1))
	if tried, err := f.look(true); !tried || err == nil || !strings.Contains(err.Error(), "at most 1 MiB") {
		t.Error(tried, err)
	}
	write(path, "six, which is being written")
	looks("back again", "six, which is being written")
}

func TestUnusableTokensFile(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	for _, c := range []struct{ text, want string }{
		{"", "tokens: at least one token was expected"},
		{"x y read", "tokens: line 1, hash: the SHA-256 of the token"},
	} {
		k.write(c.text)
		if log := fail(t, "--listen=127.0.0.1:0", "--store=memory", "--tokens-file="+k.path); !strings.Contains(log, c.want) {
			t.Errorf("the log is\n%s", log)
		}
	}
	if log := fail(t, "--listen=127.0.0.1:0", "--store=memory", "--tokens-file="+k.path+"x"); !strings.Contains(log, "tokensx: no such file") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestMetricsListener: metrics and health are served open at their own address,
// until the daemon has drained.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	token := k.token("ops", "admin")
	r := start(t, "--base-path="+t.TempDir(), "--tokens-file="+k.path, "--metrics-listen=127.0.0.1:0")
	lines := r.lines("listening for metrics")
	if len(lines) != 1 {
		t.Fatalf("the log is\n%s", &r.log)
	}
	address := fmt.Sprint(lines[0]["address"])
	main := r.url
	at := func(base, path string) int { r.url = base; code, _ := r.get(path); return code }
	own := "http://" + address
	for path, want := range map[string]int{"/metrics": 200, "/healthz": 200, "/readyz": 200, "/v1/stats": 404, "/version": 404} {
		if code := at(own, path); code != want {
			t.Errorf("%s at its own address: %d", path, code)
		}
	}
	r.token = token
	for path, want := range map[string]int{"/metrics": 404, "/healthz": 200, "/readyz": 200, "/v1/stats": 200} {
		if code := at(main, path); code != want {
			t.Errorf("%s at the main address: %d", path, code)
		}
	}
	if log := fail(t, "--listen=127.0.0.1:0", "--store=memory", "--metrics-listen="+address); !strings.Contains(log, address) || !strings.Contains(log, "--metrics-listen") {
		t.Errorf("the log is\n%s", log)
	}
	var out, errs bytes.Buffer
	p := process{args: []string{"healthcheck", "--listen=127.0.0.1:1"}, environ: []string{"SNAPSHOTD_METRICS_LISTEN=" + address}, stdout: &out, stderr: &errs}
	if code := p.run(t.Context()); code != exitOK {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	r.token = ""
	r.signal()
	if code := r.stopped(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &r.log)
	}
}

// TestVerifyWithToken: what is read needs the scope read, and no more.
func TestVerifyWithToken(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	reader, writer := k.token("reader", "read"), k.token("writer", "write")
	r := start(t, "--store=memory", "--tokens-file="+k.path, "--redact=/context/amount")
	r.token = writer
	r.saveSome(3)
	if code, out, errs := verifying(t, "--url="+r.url); code != exitUsage || !strings.Contains(errs, "401") {
		t.Errorf("without a token: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := verifying(t, "--url="+r.url, "--token="+writer); code != exitUsage || !strings.Contains(errs, "needs the scope read") {
		t.Errorf("with another: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := verifying(t, "--url="+r.url, "--token="+reader); code != exitOK || !strings.Contains(out, "3 snapshots") {
		t.Errorf("with a token: exit code %d\n%s%s", code, out, errs)
	}
	var out, errs bytes.Buffer
	p := process{args: []string{"verify", "--url=" + r.url}, environ: []string{"SNAPSHOTD_TOKEN=" + reader}, stdout: &out, stderr: &errs}
	if code := p.run(t.Context()); code != exitOK {
		t.Errorf("by the variable: exit code %d\n%s%s", code, &out, &errs)
	}
}
