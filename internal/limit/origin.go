package limit

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Origin returns a function that tells whether the page that a request comes
// from may ask: one of this server's own, or one that allowed lets in. A request
// without an Origin comes from no page.
//
// Our own page has our host, and our scheme as far as we know it: a trusted
// proxy says so in X-Forwarded-Proto; behind others it may be either.
func Origin(trusted Trusted, allowed func(origin string) bool) func(*http.Request) bool {
	return func(r *http.Request) bool {
		origin := r.Header.Get("Origin")
		if origin == "" || allowed(origin) {
			return true
		}
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return false
		}
		scheme := schemeOf(r, trusted)
		return scheme == "" || scheme == u.Scheme
	}
}

// schemeOf is what the client asked with, "" if that is not known.
func schemeOf(r *http.Request, trusted Trusted) string {
	if r.TLS != nil {
		return "https"
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !trusted.Contains(peer.Addr().Unmap()) {
		return ""
	}
	// The nearest proxy's word is the last.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
	return strings.ToLower(strings.TrimSpace(hops[len(hops)-1]))
}
