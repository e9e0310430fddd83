package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority issues certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<60))
	c.Subject = pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(a.path(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(a.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	if err != nil {
		a.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return parsed, key
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *authority) server(name string) {
	a.issue(name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// client believes in the authority alone, and shows the certificate named.
func (a *authority) client(shows string) *http.Client {
	a.t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	cfg.RootCAs.AddCert(a.cert)
	if shows != "" {
		pair, err := tls.LoadX509KeyPair(a.path(shows+".pem"), a.path(shows+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// startTLS runs the daemon with the authority's certificate "server".
func startTLS(t *testing.T, a *authority, args ...string) *run {
	t.Helper()
	// start asks over plain HTTP whether it is ready: at the operator's address.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := listener.Addr().String()
	listener.Close()
	r := startAt(t, "http://"+own, append([]string{
		"--store=memory", "--metrics-listen=" + own, "--tls-cert=" + a.path("server.pem"), "--tls-key=" + a.path("server.key"),
	}, args...)...)
	r.url = "https://" + strings.TrimPrefix(r.listening, "http://")
	r.client.CloseIdleConnections()
	r.client = a.client("")
	return r
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("server")
	r := startTLS(t, a)
	if code, body := r.do("PUT", "/v1/snapshots/"+snapshotID, document); code != http.StatusCreated {
		t.Errorf("%d %s", code, body)
	}
	seen := func() (serial, protocol string, version uint16) {
		t.Helper()
		client := a.client("")
		res, err := client.Get(r.url + "/v1/snapshots/" + snapshotID)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(text), "12345678901234567890123") {
			t.Errorf("%d %s %v", res.StatusCode, text, err)
		}
		return res.TLS.PeerCertificates[0].SerialNumber.String(), res.Proto, res.TLS.Version
	}
	before, protocol, version := seen()
	if protocol != "HTTP/2.0" || version != tls.VersionTLS13 {
		t.Errorf("it speaks %s over %s", protocol, tls.VersionName(version))
	}
	for most, want := range map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS11: false} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: most, InsecureSkipVerify: true})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(most), err)
		}
		if err == nil {
			conn.Close()
		}
	}

	a.server("server")
	r.until("it shows the new certificate", func() bool { now, _, _ := seen(); return now != before })
	if err := os.WriteFile(a.path("server.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.until("it complains of the key", func() bool {
		return len(r.lines("a changed file cannot be used; what it said before stays in force")) == 1
	})
	seen()
	var out, errs bytes.Buffer
	check := func(args ...string) int {
		p := process{args: append([]string{"healthcheck", "--listen=" + strings.TrimPrefix(r.url, "https://")}, args...), stdout: &out, stderr: &errs}
		return p.run(t.Context())
	}
	if code := check("--tls-cert=" + a.path("server.pem")); code != exitOK {
		t.Errorf("the health check: exit code %d %s", code, &errs)
	}
	a.server("other")
	if code := check("--tls-cert=" + a.path("other.pem")); code != exitFailure || !strings.Contains(errs.String(), "not that of --tls-cert") {
		t.Errorf("the health check of another: exit code %d %s", code, &errs)
	}
	if code := check("--tls-cert=" + a.path("other.key") + "x"); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	a, strangers := newAuthority(t), newAuthority(t)
	a.server("server")
	client := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	a.issue("client", client)
	strangers.issue("client", client)
	r := startTLS(t, a, "--tls-client-ca="+a.path("ca.pem"))
	ask := func(c *http.Client) error {
		res, err := c.Get(r.url + "/v1/stats")
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	known := a.client("client")
	for range 2 { // the second time its session is resumed
		if err := ask(known); err != nil {
			t.Error(err)
		}
		known.CloseIdleConnections()
	}
	if err := ask(a.client("")); err == nil {
		t.Error("a client without a certificate is served")
	}
	foreign := a.client("")
	pair, err := tls.LoadX509KeyPair(strangers.path("client.pem"), strangers.path("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	foreign.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	if err := ask(foreign); err == nil {
		t.Error("a client with another authority's certificate is served")
	}

	// The authorities change, and so does who is served.
	text, err := os.ReadFile(strangers.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.path("ca.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r.until("the other is served", func() bool { foreign.CloseIdleConnections(); return ask(foreign) == nil })
	if err := ask(known); err == nil {
		t.Error("who was served before still is")
	}
}

func TestUnusableCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("server")
	a.server("other")
	for _, c := range []struct{ cert, key, ca, want string }{
		{"server.pem", "other.key", "", "the certificate and its key: "},
		{"server.key", "server.key", "", "the certificate and its key: "},
		{"nothing.pem", "server.key", "", "nothing.pem: no such file"},
		{"server.pem", "server.key", "server.key", "the authorities of clients: a certificate in PEM was expected"},
	} {
		args := []string{"--listen=127.0.0.1:0", "--store=memory", "--tls-cert=" + a.path(c.cert), "--tls-key=" + a.path(c.key)}
		if c.ca != "" {
			args = append(args, "--tls-client-ca="+a.path(c.ca))
		}
		if log := fail(t, args...); !strings.Contains(log, c.want) {
			t.Errorf("%+v: the log is\n%s", c, log)
		}
	}
}

// Over HTTP/2, too, a client that sends nothing, or reads nothing, does not stay,
// and one that hangs up ends its request.
func TestBoundsHoldOverHTTP2(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("server")
	ended, begun := make(chan error, 1), make(chan bool, 1)
	handlers := http.NewServeMux()
	handlers.HandleFunc("/read", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})
	handlers.HandleFunc("/write", func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for block := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(block)
		}
		ended <- err
	})
	handlers.HandleFunc("/deadline", func(w http.ResponseWriter, r *http.Request) {
		err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(-time.Second))
		if _, read := io.ReadAll(r.Body); err == nil {
			err = read
		}
		ended <- err
	})
	handlers.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		begun <- true
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	serve := func(bound func(*http.Server)) (base string) {
		cmd, err := parse([]string{"--store=memory", "--tls-cert=" + a.path("server.pem"), "--tls-key=" + a.path("server.key")}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		d := newDaemon(&cmd.Serve, slog.New(slog.DiscardHandler))
		if err := d.watchedFiles()[0].start(); err != nil {
			t.Fatal(err)
		}
		if h := d.http.HTTP2; h == nil || h.WriteByteTimeout == 0 || h.SendPingTimeout == 0 {
			t.Error("a connection that takes nothing stays")
		}
		d.http.Handler = handlers
		bound(d.http)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = d.serveOn(listener) }()
		t.Cleanup(d.close)
		return "https://" + listener.Addr().String()
	}
	client := a.client("")
	// open sends a request whose body does not end, and does not read the answer.
	open := func(ctx context.Context, url string) (end func()) {
		body, writer := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if res, err := client.Do(req); err == nil {
				<-ctx.Done()
				res.Body.Close()
			}
		}()
		return func() { writer.Close() }
	}
	wait := func(path string) error {
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			t.Fatalf("%s does not end", path)
			return nil
		}
	}
	// Long enough for a handshake on a busy machine, which is under the same bounds.
	brief := serve(func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = time.Second, 2*time.Second })
	usual := serve(func(*http.Server) {})
	for _, url := range []string{brief + "/read", brief + "/write", usual + "/deadline"} {
		end := open(t.Context(), url)
		if err := wait(url); err == nil {
			t.Errorf("%s ends as if nothing were wrong", url)
		}
		end()
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := open(ctx, usual+"/hang")
	<-begun
	cancel()
	if err := wait("/hang"); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that hung up: %v", err)
	}
	end()
}
