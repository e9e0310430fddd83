package main

import (
	"fmt"
	"net"
	"os/signal"
	"syscall"

	"snapshotd/internal/access"
)

// Names of watched files, in the log and the metrics.
const (
	tokensFile      = "tokens"
	certificateFile = "certificate"
)

var watchedFiles = []string{tokensFile, certificateFile}

// watchedFiles are those that the options name.
func (d *daemon) watchedFiles() []*watched {
	var files []*watched
	o := d.options
	if d.tokens != nil {
		files = append(files, &watched{
			name: tokensFile, paths: []string{string(o.TokensFile)},
			load: func(contents [][]byte) error {
				if err := d.tokens.Load(contents[0]); err != nil {
					return fmt.Errorf("%s: %w", o.TokensFile, err)
				}
				d.log.Info("tokens are asked for", "tokens", d.tokens.Len())
				return nil
			},
		})
	}
	if d.certificate != nil {
		paths := []string{string(o.TLSCert), string(o.TLSKey)}
		if o.TLSClientCA != "" {
			paths = append(paths, string(o.TLSClientCA))
		}
		files = append(files, &watched{name: certificateFile, paths: paths, load: d.certificate.load})
	}
	return files
}

// watch loads the watched files, and keeps them up to date until the function it
// answers is called. Only a daemon that has some takes SIGHUP for a request.
func (d *daemon) watch() (stop func(), err error) {
	r := &reloader{files: d.watchedFiles(), log: d.log, told: d.metrics.Reloaded}
	for _, f := range r.files {
		if err := f.start(); err != nil {
			return nil, err
		}
	}
	if len(r.files) == 0 {
		return func() {}, nil
	}
	if d.hangUp == nil {
		return r.start(nil), nil
	}
	signal.Notify(d.hangUp, syscall.SIGHUP)
	end := r.start(d.hangUp)
	return func() {
		signal.Stop(d.hangUp)
		end()
	}, nil
}

// warnOfListening says what those who can reach the address can do.
func (d *daemon) warnOfListening(address net.Addr) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return
	}
	if d.tokens == nil {
		d.log.Warn("whoever can reach this address can read and delete everything: no tokens are asked for", "address", tcp.String())
	} else if d.certificate == nil {
		d.log.Warn("tokens and documents cross the network as they are: there is no --tls-cert", "address", tcp.String())
	}
}

func newTokens(o *serveOptions) *access.Tokens {
	if o.TokensFile == "" {
		return nil
	}
	return access.NewTokens(access.Rate(o.RatePerToken))
}
