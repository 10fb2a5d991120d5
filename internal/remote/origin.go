package remote

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Origin returns a function that reports whether the page that a request comes
// from is allowed: the server's own page, and one whose origin allowed accepts. A
// nil allowed accepts every page.
//
// Browsers name the page's origin in Origin, but not for <script> and <img>. There
// Sec-Fetch-Site says how the page's site relates to the server's, and Referer
// which page it is. A request without any of these comes from no page.
//
// The server's own page has its host, and its scheme as far as that is known: from
// TLS or a trusted proxy's X-Forwarded-Proto; otherwise either scheme will do.
func Origin(trusted Trusted, allowed func(origin string) bool) func(*http.Request) bool {
	if allowed == nil {
		return func(*http.Request) bool { return true }
	}
	isAllowed := func(r *http.Request, origin string) bool { return allowed(origin) || isOwn(r, origin, trusted) }
	return func(r *http.Request) bool {
		if origins := present(r, "Origin"); len(origins) > 0 {
			return all(origins, func(origin string) bool { return isAllowed(r, origin) })
		}
		return all(present(r, "Sec-Fetch-Site"), isNear) &&
			all(present(r, "Referer"), func(referer string) bool {
				origin, ok := originOf(referer)
				return ok && isAllowed(r, origin)
			})
	}
}

// present returns the values of a header that are not empty.
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

// isNear reports whether Sec-Fetch-Site names a page of the same site, or none: the
// user typed the address.
func isNear(site string) bool { return site == "same-origin" || site == "same-site" || site == "none" }

// originOf is the origin of a page's URL, if it has one.
func originOf(page string) (string, bool) {
	u, err := url.Parse(page)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", false
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), true
}

// isOwn reports whether an origin is this server's.
func isOwn(r *http.Request, origin string, trusted Trusted) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Host != r.Host && u.Host != Host(trusted)(r) {
		return false
	}
	scheme := schemeOf(r, trusted)
	return scheme == "" || scheme == u.Scheme
}

// Host returns a function that gives the host that a request was sent to: a trusted
// proxy's X-Forwarded-Host if there is one, else Host.
func Host(trusted Trusted) func(*http.Request) string {
	return func(r *http.Request) string {
		if host := fromProxy(r, trusted, "X-Forwarded-Host"); host != "" {
			return host
		}
		return r.Host
	}
}

// schemeOf is the scheme of the client's request, "" if that is not known.
func schemeOf(r *http.Request, trusted Trusted) string {
	if r.TLS != nil {
		return "https"
	}
	return strings.ToLower(fromProxy(r, trusted, "X-Forwarded-Proto"))
}

// fromProxy is a trusted proxy's value of a header, "" without one. The nearest
// proxy appends its value at the end.
func fromProxy(r *http.Request, trusted Trusted, name string) string {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !trusted.Contains(peer.Addr().Unmap()) {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values(name), ","), ",")
	return strings.TrimSpace(hops[len(hops)-1])
}
