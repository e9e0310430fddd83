package hostile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	sagaID  = "0b8f0d5c-6f6e-4a0e-9d0e-000000000001"
	maxBody = 1 << 20
	// mostMemory is what an attack may take beyond the memory in use before. What is
	// saved takes some twenty times its size for a moment, garbage included.
	mostMemory = 64 << 20
)

// An attack is one request, or what looks like one.
type attack struct {
	name string
	text string // as it goes over the wire; {id} and {length} are filled in
	want string // such as "400 invalid_json", "201", "400 plain"; alternatives stand between bars
	half bool   // nothing comes after the text

	context string // what is saved when the answer is 201
}

// save is a save of a snapshot with this context, which comes back byte for byte
// if it is taken at all.
func save(name, context, want string) attack {
	a := put(name, `{"saga_id":"`+sagaID+`","saga_name":"order","step_name":"pay","step_index":1,"status":"completed","context":`+context+`}`, want)
	a.context = context
	return a
}

// put is a save with this body.
func put(name, body, want string, headers ...string) attack {
	return attack{name: name, want: want, context: "{}", text: "PUT /v1/snapshots/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
		"Content-Type: application/json\r\n" + strings.Join(append(headers, ""), "\r\n") +
		fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body}
}

func id(n int) string { return fmt.Sprintf("0b8f0d5c-6f6e-4a0e-9d0e-1%011d", n) }

// run attacks the target and answers all that is wrong afterwards.
func (tg *target) run(n int, a *attack) error {
	id := id(n)
	resident(tg.pid)
	received, err := exchange(tg.address, strings.ReplaceAll(a.text, "{id}", id), a.half)
	if err != nil {
		return fmt.Errorf("it cannot be reached: %w", err)
	}
	got, err := answered(received, a.text)
	if err != nil {
		return err
	}
	var wrong []error
	if !matches(got, a.want) {
		wrong = append(wrong, fmt.Errorf("it answers %q, and %q was expected\n%.300q", got, a.want, received))
	}
	if got == "201" {
		tg.granted[id] = a.context
		wrong = append(wrong, tg.comesBack(id, a.context))
	}
	if used := resident(tg.pid); used > tg.least+mostMemory {
		wrong = append(wrong, fmt.Errorf("it takes %d MiB of memory, %d MiB before the attacks", used>>20, tg.least>>20))
	}
	for _, path := range tg.unexplained() {
		wrong = append(wrong, errors.New(path))
	}
	wrong = append(wrong, tg.ready())
	if strings.Contains(tg.log.String(), `"msg":"panic"`) || strings.Contains(tg.log.String(), "http: panic serving") {
		wrong = append(wrong, errors.New("it has panicked"))
	}
	return errors.Join(wrong...)
}

func matches(got, want string) bool {
	for alternative := range strings.SplitSeq(want, "|") {
		if got == alternative {
			return true
		}
	}
	return false
}

// answered sums the answers up: statuses, with the codes of problems, or plain for
// what net/http answers by itself.
func answered(received []byte, text string) (string, error) {
	method, _, _ := strings.Cut(text, " ")
	r := bufio.NewReader(bytes.NewReader(received))
	var sum []string
	for {
		if _, err := r.Peek(1); err == io.EOF {
			break
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return "", fmt.Errorf("no answer of HTTP: %.200q", received)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return "", fmt.Errorf("half an answer: %.200q", received)
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		status := fmt.Sprint(resp.StatusCode)
		var problem struct{ Code string }
		switch {
		case resp.Header.Get("X-Injected") != "":
			status += " injected"
		case resp.StatusCode < 400:
		case json.Unmarshal(body, &problem) == nil && resp.Header.Get("Content-Type") == "application/problem+json":
			status += " " + problem.Code
		case method != http.MethodHead:
			status += " plain"
		}
		sum = append(sum, status)
	}
	return strings.Join(sum, ", "), nil
}

// comesBack reads what was saved.
func (tg *target) comesBack(id, context string) error {
	received, err := exchange(tg.address, "GET /v1/snapshots/"+id+"?pointer=/context HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(received)), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != context+"\n" {
		return fmt.Errorf("saved as %.100q, it comes back as %d %.100q (%d bytes of %d), %w", context, resp.StatusCode, body, len(body), len(context)+1, err)
	}
	return nil
}

// assault runs all attacks, and looks at the directory when the daemon has ended.
func assault(t *testing.T, tg *target, attacks []attack) {
	for i := range attacks {
		t.Run(attacks[i].name, func(t *testing.T) {
			if err := tg.run(i, &attacks[i]); err != nil {
				t.Error(err)
			}
		})
	}
	tg.ends(t)
}

// ends stops the daemon and looks at what it leaves.
func (tg *target) ends(t *testing.T) {
	if err := tg.stop(); err != nil {
		t.Errorf("it ends with %v\n%s", err, tg.log)
	}
	for _, problem := range append(tg.unexplained(), tg.missing()...) {
		t.Error(problem)
	}
}
