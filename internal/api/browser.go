package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// A page in a browser on this machine reaches what only listens here, and one
// whose name was made to resolve here (DNS rebinding) is of one origin with it. So
// the name that a request is for is looked at before anything else, and what the
// browser says of its origin before anything is changed.

// browser is what the answers to browsers depend on.
type browser struct {
	hosts   map[string]bool // besides IP addresses, in lower case
	origins *http.CrossOriginProtection
	cors    *cors.Cors // nil = pages of other origins read nothing
}

// newBrowser takes names as ParseHost and ParseOrigin answer them.
func newBrowser(hosts, origins []string) *browser {
	b := &browser{hosts: map[string]bool{"localhost": true}, origins: http.NewCrossOriginProtection()}
	for _, host := range hosts {
		b.hosts[host] = true
	}
	if len(origins) == 0 {
		return b
	}
	for _, origin := range origins {
		if err := b.origins.AddTrustedOrigin(origin); err != nil {
			panic(err) // it is not as ParseOrigin answers it
		}
	}
	b.cors = cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: methods,
		AllowedHeaders: []string{"Authorization", "Content-Encoding", "Content-Type", "If-None-Match", "Traceparent", "X-Request-Id"},
		ExposedHeaders: []string{"Allow", "ETag", "Link", "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id"},
		MaxAge:         600,
	})
	return b
}

// ParseHost reads a name that a request may be for. It has no port: the name
// alone is what an attacker can choose.
func ParseHost(text string) (host string, ok bool) {
	if text == "" || strings.ContainsAny(text, "/:@?#[]* \t,") {
		return "", false
	}
	return strings.ToLower(text), true
}

// ParseOrigin reads an origin as browsers spell it (RFC 6454, section 6.2).
func ParseOrigin(text string) (origin string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != text ||
		u.Hostname() == "" || strings.ContainsAny(text, "* \t,") || strings.ToLower(text) != text {
		return "", false
	}
	return text, true
}

// knows reports whether a Host header is for us: an IP address, which no name
// server can turn elsewhere, or a name that was given to us.
func (b *browser) knows(hostport string) bool {
	host := hostport
	if end := strings.IndexByte(host, ']'); end > 0 && host[0] == '[' {
		if !isPort(host[end+1:]) {
			return false
		}
		addr, err := netip.ParseAddr(host[1:end])
		return err == nil && addr.Is6()
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		if !isPort(host[colon:]) {
			return false
		}
		host = host[:colon]
	}
	// ParseAddr makes an error of a name, which costs more than looking.
	if host != "" && host[0] >= '0' && host[0] <= '9' {
		if addr, err := netip.ParseAddr(host); err == nil {
			return addr.Is4()
		}
	}
	return b.hosts[host] || b.hosts[strings.ToLower(host)]
}

// isPort reports whether s is nothing, or a colon and digits.
func isPort(s string) bool {
	return s == "" || s[0] == ':' && strings.Trim(s[1:], "0123456789") == ""
}

// Values of headers that every answer has; they are shared, for nobody changes
// them in place.
var (
	nosniff        = []string{"nosniff"}
	noContent      = []string{"default-src 'none'; frame-ancestors 'none'"} // whatever is shown loads nothing
	closing        = []string{"close"}
	privateNoCache = []string{"private, no-cache"}
)

// guard refuses what a page in a browser must not do. The connection of a chunked
// request is closed, as RFC 9112, section 6.1, has it for one with a length beside
// the chunks, which net/http does not show: what follows may be meant as its body.
func (s *Server) guard(next http.Handler) http.Handler {
	granted := next
	if s.browser.cors != nil {
		granted = s.browser.cors.Handler(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header()["Connection"] = closing
		}
		var refusal *problem
		switch {
		case !s.browser.knows(r.Host):
			refusal = problemf(http.StatusMisdirectedRequest, codeHostNotAllowed,
				"An IP address, localhost or a host of --allowed-hosts was expected as the Host.")
		case s.browser.origins.Check(r) != nil:
			refusal = problemf(http.StatusForbidden, codeCrossOrigin,
				"A page of another origin changes nothing here, unless --cors-origins has its origin.")
		default:
			granted.ServeHTTP(w, r)
			return
		}
		c := &call{server: s, w: w, r: r, pretty: wantsPretty(r)}
		c.fail(refusal)
	})
}
