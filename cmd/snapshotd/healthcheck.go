package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const healthcheckTimeout = 3 * time.Second

// healthcheck asks a daemon whether it is alive. It asks /healthz, not /readyz: a
// container that is still loading, or has no space left, is not mended by being
// killed. With --url any other address may be asked.
func (p *process) healthcheck(ctx context.Context, o *healthcheckOptions) int {
	target, err := o.target()
	if err == nil {
		err = ask(ctx, target)
	}
	if err != nil {
		p.complain("%v", err)
		return exitFailure
	}
	p.say("%s is alive", target)
	return exitOK
}

// target is what to ask: the URL, at /healthz if it has no path, or the same of
// the address the daemon listens on.
func (o *healthcheckOptions) target() (string, error) {
	if o.URL == "" {
		host, port, err := net.SplitHostPort(string(o.Listen))
		if err != nil {
			return "", err
		}
		switch host {
		case "", "0.0.0.0":
			host = "127.0.0.1"
		case "::":
			host = "::1"
		}
		return "http://" + net.JoinHostPort(host, port) + "/healthz", nil
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

func ask(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
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
