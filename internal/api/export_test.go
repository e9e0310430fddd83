package api

// Parameters are the query parameters of each route, by method and pattern.
func Parameters() map[string][]string {
	known := map[string][]string{}
	for _, rt := range append([]route{metricsRoute}, routes...) {
		known[rt.method+" "+rt.pattern] = rt.parameters()
	}
	return known
}
