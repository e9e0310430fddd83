package main

import (
	"net"

	"snapshotd/internal/api"
)

// allowedHosts are the names that requests may be for: those of the option, and the
// one listened on.
func (o *serveOptions) allowedHosts() []string {
	names := o.AllowedHosts.list()
	if host, _, err := net.SplitHostPort(string(o.Listen)); err == nil {
		if name, ok := api.ParseHost(host); ok {
			names = append(names, name)
		}
	}
	return names
}
