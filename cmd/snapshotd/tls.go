package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// What a client must do over HTTP/2 so that its connection stays, beside the
// bounds of each request.
const (
	pingAfter   = 30 * time.Second // of silence
	pingTimeout = 15 * time.Second
	writeStalls = 30 * time.Second // when it takes no bytes
)

// A certificate is what the daemon shows, and whom it believes, at present.
type certificate struct {
	now atomic.Pointer[tls.Config]
}

// load takes a certificate with its chain, its key and the authorities of clients,
// if there is a third text. All are PEM.
func (c *certificate) load(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return fmt.Errorf("the certificate and its key: %w", err)
	}
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if len(contents) > 2 {
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(contents[2]) {
			return errors.New("the authorities of clients: a certificate in PEM was expected")
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.now.Store(cfg)
	return nil
}

// serve has a server speak TLS with whatever the certificate is at the time.
func (c *certificate) serve(s *http.Server) {
	s.TLSConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil },
	}
	s.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: writeStalls}
}
