package hostile

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asGlutton has the test binary take memory at each line it reads, and stay.
const asGlutton = "TEST_AS_GLUTTON"

func beGlutton() {
	var taken [][]byte
	in := bufio.NewScanner(os.Stdin)
	for fmt.Println("ready"); in.Scan(); fmt.Println("taken") {
		memory := make([]byte, 2*mostMemory)
		for i := range memory {
			memory[i] = 1
		}
		taken = append(taken, memory)
	}
	os.Exit(len(taken) & 1)
}

// Each violation that the corpus looks for is found when there is one.
func TestTheHarnessFindsViolations(t *testing.T) {
	glutton := exec.Command(os.Args[0])
	glutton.Env = append(os.Environ(), asGlutton+"=1")
	in, err := glutton.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := glutton.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := glutton.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = glutton.Wait() }()
	said := bufio.NewScanner(out)
	said.Scan()

	const answer = `{"type":"about:blank","code":"invalid_json"}`
	refuse := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
	context := `{"a":1.0}`
	for _, test := range []struct {
		name, found string
		violate     func(tg *target, w http.ResponseWriter)
	}{
		{"none", "", func(_ *target, w http.ResponseWriter) { refuse(w, 400, answer) }},
		{"a 500", "500 invalid_json", func(_ *target, w http.ResponseWriter) { refuse(w, 500, answer) }},
		{"another code", "400 too_deep", func(_ *target, w http.ResponseWriter) {
			refuse(w, 400, strings.Replace(answer, "invalid_json", "too_deep", 1))
		}},
		{"no problem", "400 plain", func(_ *target, w http.ResponseWriter) { http.Error(w, "no", http.StatusBadRequest) }},
		{"no answer", `it answers ""`, func(*target, http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{"a save that comes back otherwise", "it comes back as", func(_ *target, w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) }},
		{"an injected header", "injected", func(_ *target, w http.ResponseWriter) { w.Header().Set("X-Injected", "1"); refuse(w, 400, answer) }},
		{"a file outside", "elsewhere.json is there for no reason", func(tg *target, w http.ResponseWriter) {
			plant(t, filepath.Join(tg.dir, "elsewhere.json"))
			refuse(w, 400, answer)
		}},
		{"a file among the snapshots", "data/snapshots/x/y.json is there for no reason", func(tg *target, w http.ResponseWriter) {
			plant(t, filepath.Join(tg.base, "snapshots", "x", "y.json"))
			refuse(w, 400, answer)
		}},
		{"a snapshot that was refused", sagaID + "/" + id(1) + ".json is there for no reason", func(tg *target, w http.ResponseWriter) {
			plant(t, filepath.Join(tg.base, "snapshots", sagaID, id(1)+".json"))
			refuse(w, 400, answer)
		}},
		{"a file that changed", "outside.json has changed", func(tg *target, w http.ResponseWriter) {
			plant(t, filepath.Join(tg.dir, "outside.json"))
			refuse(w, 400, answer)
		}},
		{"memory", "MiB of memory", func(_ *target, w http.ResponseWriter) {
			fmt.Fprintln(in)
			said.Scan()
			refuse(w, 400, answer)
		}},
		{"a panic", "it has panicked", func(tg *target, w http.ResponseWriter) {
			fmt.Fprintln(tg.log, `{"msg":"panic"}`)
			refuse(w, 400, answer)
		}},
		{"an end", "it is not ready", func(tg *target, w http.ResponseWriter) {
			tg.log = nil // which the server below takes for its own
			refuse(w, 400, answer)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "memory" && resident(os.Getpid()) == 0 {
				t.Skip("this system does not say how much memory a process takes")
			}
			tg := &target{t: t, dir: t.TempDir(), log: &safeBuffer{}, granted: map[string]string{}, pid: glutton.Process.Pid, least: resident(glutton.Process.Pid)}
			tg.base = filepath.Join(tg.dir, "data")
			plant(t, filepath.Join(tg.base, "snapshots", sagaID, "old"))
			plant(t, filepath.Join(tg.dir, "outside.json"))
			tg.untouched = tree(t, tg.dir)
			if test.name == "a file that changed" {
				tg.untouched["outside.json"] = "file as it was"
			}
			log, ready := tg.log, true
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/readyz" && !ready:
					w.WriteHeader(http.StatusServiceUnavailable)
				case r.URL.Path == "/readyz":
				case r.Method == http.MethodGet:
					fmt.Fprint(w, `{"a":1}`)
				default:
					test.violate(tg, w)
					ready, tg.log = tg.log != nil, log
				}
			}))
			defer server.Close()
			tg.address = server.Listener.Addr().String()
			attack := save("a save", context, "400 invalid_json|201")
			err := tg.run(1, &attack)
			switch {
			case test.found == "" && err != nil:
				t.Errorf("the innocent is found guilty: %v", err)
			case test.found != "" && (err == nil || !strings.Contains(err.Error(), test.found)):
				t.Errorf("%q was to be found, and this was: %v", test.found, err)
			}
		})
	}
}

// What was granted and is not there is missed, and so is what a second request
// that hides in the first is answered.
func TestTheHarnessMissesWhatIsGone(t *testing.T) {
	tg := start(t, t.TempDir())
	kept, lost := save("one", `{"n":1}`, "201"), save("another", `{"n":2}`, "201")
	for i, a := range []attack{kept, lost} {
		if err := tg.run(i, &a); err != nil {
			t.Fatal(err)
		}
	}
	two := raw("two in one", strings.Repeat("GET /healthz HTTP/1.1\nHost: localhost\n\n", 2), "200")
	if err := tg.run(2, &two); err == nil || !strings.Contains(err.Error(), `it answers "200, 200"`) {
		t.Error("two answers are taken for one:", err)
	}
	if err := tg.stop(); err != nil {
		t.Fatal(err)
	}
	if got := tg.missing(); got != nil {
		t.Error(got)
	}
	if err := os.Remove(filepath.Join(tg.base, "snapshots", sagaID, id(1)+".json")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tg.missing()); got != "["+id(1)+" is not as it was saved]" {
		t.Error(got)
	}
}

// plant writes a file, with the directories above it.
func plant(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("planted"), 0o600); err != nil {
		t.Fatal(err)
	}
}
