package limit

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Origin returns a function that tells whether the page that a request comes
// from may ask: one of this server's own, or one that allowed lets in. A nil
// allowed lets every page in.
//
// A page names itself in Origin. Without it the request may still be a page's:
// <script> and <img> send none. Then browsers say in Sec-Fetch-Site how far away
// the page is, and in Referer which one it is. A request without any of these
// comes from no page.
//
// Our own page has our host, and our scheme as far as we know it: a trusted
// proxy says so in X-Forwarded-Proto; behind others it may be either.
func Origin(trusted Trusted, allowed func(origin string) bool) func(*http.Request) bool {
	if allowed == nil {
		return func(*http.Request) bool { return true }
	}
	mayAsk := func(r *http.Request, origin string) bool { return allowed(origin) || isOwn(r, origin, trusted) }
	return func(r *http.Request) bool {
		if origins := present(r, "Origin"); len(origins) > 0 {
			return all(origins, func(origin string) bool { return mayAsk(r, origin) })
		}
		return all(present(r, "Sec-Fetch-Site"), isNear) &&
			all(present(r, "Referer"), func(referer string) bool {
				origin, ok := originOf(referer)
				return ok && mayAsk(r, origin)
			})
	}
}

// present are a header's values that are not empty.
func present(r *http.Request, name string) []string {
	var out []string
	for _, value := range r.Header.Values(name) {
		if value != "" {
			out = append(out, value)
		}
	}
	return out
}

func all(values []string, good func(string) bool) bool {
	for _, value := range values {
		if !good(value) {
			return false
		}
	}
	return true
}

// isNear tells whether a page in this relation may be one of the app's: "none"
// is what somebody has typed.
func isNear(site string) bool { return site == "same-origin" || site == "same-site" || site == "none" }

// originOf is the origin of a page, if its address has one.
func originOf(page string) (string, bool) {
	u, err := url.Parse(page)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", false
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), true
}

// isOwn tells whether an origin is this server's.
func isOwn(r *http.Request, origin string, trusted Trusted) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Host != r.Host && u.Host != Host(trusted)(r) {
		return false
	}
	scheme := schemeOf(r, trusted)
	return scheme == "" || scheme == u.Scheme
}

// Host returns a function that tells which host a request was sent to: a trusted
// proxy says so in X-Forwarded-Host, if it does not leave Host as it is.
func Host(trusted Trusted) func(*http.Request) string {
	return func(r *http.Request) string {
		if host := fromProxy(r, trusted, "X-Forwarded-Host"); host != "" {
			return host
		}
		return r.Host
	}
}

// schemeOf is what the client asked with, "" if that is not known.
func schemeOf(r *http.Request, trusted Trusted) string {
	if r.TLS != nil {
		return "https"
	}
	return strings.ToLower(fromProxy(r, trusted, "X-Forwarded-Proto"))
}

// fromProxy is what a trusted proxy says in a header, "" without one. The
// nearest proxy's word is the last.
func fromProxy(r *http.Request, trusted Trusted, name string) string {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !trusted.Contains(peer.Addr().Unmap()) {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values(name), ","), ",")
	return strings.TrimSpace(hops[len(hops)-1])
}
