package bench

import (
	"bytes"
	"context"
	"net/http"
)

// A transport is what an ordinary Go program would send requests with. It takes
// more of the machine than a conn does.
type transport struct {
	address string
	token   string // "" = none is sent
	client  *http.Client
	body    bytes.Buffer // reused
}

func newTransport(address, token string) *transport {
	return &transport{address: address, token: token, client: &http.Client{Transport: &http.Transport{
		DisableCompression: true, // documents are compared as stored
		MaxConnsPerHost:    1,
	}}}
}

func (t *transport) close() { t.client.CloseIdleConnections() }

// do implements exchanger.
func (t *transport) do(ctx context.Context, method, path string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	t.body.Reset()
	if _, err := t.body.ReadFrom(res.Body); err != nil {
		return nil, err
	}
	return t.body.Bytes(), expect(method, path, res.StatusCode, want, t.body.Bytes())
}
