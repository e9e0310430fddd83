package main

import (
	"os"
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
