package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

const healthcheckTimeout = 3 * time.Second

// healthcheck asks a daemon whether it is alive. It asks /healthz, not /readyz: a
// container that is still loading, or has no space left, is not mended by being
// killed. With --url any other address may be asked.
func (p *process) healthcheck(ctx context.Context, o *healthcheckOptions) int {
	target, err := o.target()
	var trusted *tls.Config
	if err == nil && o.URL == "" && o.TLSCert != "" {
		trusted, err = onlyCertificate(string(o.TLSCert))
	}
	if err == nil {
		err = ask(ctx, target, trusted)
	}
	if err != nil {
		p.complain("%v", err)
		return exitFailure
	}
	p.say("%s is alive", target)
	return exitOK
}

// target is what to ask: the URL, at /healthz if it has no path, or the same of
// an address the daemon listens on.
func (o *healthcheckOptions) target() (string, error) {
	if o.URL == "" {
		scheme, at := "http://", o.MetricsListen
		if at == "" {
			at = o.Listen
			if o.TLSCert != "" {
				scheme = "https://"
			}
		}
		host, port, err := net.SplitHostPort(string(at))
		if err != nil {
			return "", err
		}
		switch host {
		case "", "0.0.0.0":
			host = "127.0.0.1"
		case "::":
			host = "::1"
		}
		return scheme + net.JoinHostPort(host, port) + "/healthz", nil
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return "", err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/healthz"
	}
	return u.String(), nil
}

// onlyCertificate has a client believe in the certificate of a file, whatever names
// it has and however old it is: it is the daemon's own that is looked for.
func onlyCertificate(path string) (*tls.Config, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the file that the user names
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: a certificate in PEM was expected", path)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec G402 -- VerifyConnection is stricter
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the certificate is not that of --tls-cert")
			}
			return nil
		},
	}, nil
}

// ask gets a URL; trusted says which certificates are believed in, nil = those that
// the system does.
func ask(ctx context.Context, target string, trusted *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusted}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer within %s", target, healthcheckTimeout)
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
		return fmt.Errorf("%s answered %s: %s", target, res.Status, body)
	}
	return nil
}
