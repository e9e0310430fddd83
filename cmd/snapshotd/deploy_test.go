package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every series that an alert or the dashboard names is on /metrics of a fresh
// daemon, once it has answered a request.
func TestOperatorsKitNamesWhatThereIs(t *testing.T) {
	r := start(t, "--base-path", filepath.Join(t.TempDir(), "data"), "--cleanup-interval=0")
	r.get("/v1/sagas")
	_, scraped := r.get("/metrics")
	for _, path := range []string{"../../deploy/prometheus/alerts.yml", "../../deploy/grafana/dashboards/snapshotd.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bsnapshotd_[a-z_]+`).FindAllString(string(text), -1)
		if len(names) < 10 {
			t.Errorf("%s names %d series", path, len(names))
		}
		for _, name := range names {
			if !strings.Contains(scraped, "\n"+name+"{") && !strings.Contains(scraped, "\n"+name+" ") {
				t.Errorf("%s names %s, which /metrics has not", path, name)
			}
		}
	}
}

// What docker-compose.yml needs can be made, and is what its services expect: the
// daemon knows the token of Prometheus, which may read the metrics and no more.
func TestTokensOfTheComposeFile(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		skipUnlessCI(t, "there is no sh")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "secrets")
	maker := exec.Command("../../deploy/new-tokens.sh", dir)
	maker.Env = append(os.Environ(), asProgram+"=1", "SNAPSHOTD_PROGRAM="+program)
	if out, err := maker.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	token := func(file string) string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	r := start(t, "--store=memory", "--tokens-file="+filepath.Join(dir, "snapshotd", "tokens"))
	for _, c := range []struct {
		token, path string
		want        int
	}{
		{"prometheus_token", "/metrics", 200}, {"prometheus_token", "/v1/stats", 403}, {"admin_token", "/v1/stats", 200},
	} {
		r.token = token(c.token)
		if code, body := r.get(c.path); code != c.want {
			t.Errorf("%s with %s: %d %s", c.path, c.token, code, body)
		}
	}
	again := exec.Command("../../deploy/new-tokens.sh", dir)
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "is there already") {
		t.Errorf("tokens are made over those that are there: %v\n%s", err, out)
	}
	for file, wants := range map[string][]string{
		"../../docker-compose.yml":               {"./deploy/secrets/snapshotd:/etc/snapshotd:ro", "SNAPSHOTD_TOKENS_FILE: /etc/snapshotd/tokens", "file: ./deploy/secrets/prometheus_token"},
		"../../deploy/prometheus/prometheus.yml": {"credentials_file: /run/secrets/prometheus_token"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q", file, want)
			}
		}
	}
}
