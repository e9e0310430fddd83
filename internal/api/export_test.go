package api

import "snapshotd/internal/access"

// Scopes are what each route needs, by method and pattern.
func Scopes() map[string]access.Scope {
	known := map[string]access.Scope{}
	for _, rt := range append([]route{metricsRoute}, routes...) {
		known[rt.method+" "+rt.pattern] = rt.scope
	}
	return known
}

// Parameters are the query parameters of each route, by method and pattern.
func Parameters() map[string][]string {
	known := map[string][]string{}
	for _, rt := range append([]route{metricsRoute}, routes...) {
		known[rt.method+" "+rt.pattern] = rt.parameters()
	}
	return known
}
