// Package remote finds where a request comes from, behind trusted proxies too: the
// address of its client, whether its page is allowed, and the host it was sent to.
package remote

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Trusted is a set of proxies whose X-Forwarded-For is believed.
type Trusted interface {
	Contains(netip.Addr) bool
}

// Address returns a function that names a request's client by its address, in
// one spelling: IPv4 as IPv4, IPv6 in its short form without a zone. Behind
// trusted proxies that is the last address in X-Forwarded-For that is not one of
// them; any client can have written what stands before it.
func Address(trusted Trusted) func(*http.Request) string {
	return func(r *http.Request) string {
		client, ok := parseAddress(r.RemoteAddr)
		if !ok {
			return r.RemoteAddr // a Unix socket
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && trusted.Contains(client); i-- {
			hop, ok := parseAddress(strings.Trim(hops[i], " \t\""))
			if !ok {
				break
			}
			client = hop
		}
		return client.String()
	}
}

// parseAddress reads an address with or without a port, IPv6 with or without
// brackets: proxies write all of these.
func parseAddress(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(text)
		if splitErr != nil {
			host = text
			if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
				host = text[1 : len(text)-1]
			}
		}
		addr, err = netip.ParseAddr(host)
	}
	return addr.WithZone("").Unmap(), err == nil
}

// Network is what limits count an address from Address by: an IPv4 address itself,
// the /64 network of an IPv6 address, since one customer has at least that.
func Network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Is4() {
		return address
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

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
	return slices.DeleteFunc(slices.Clone(r.Header.Values(name)), func(value string) bool { return value == "" })
}

func all(values []string, good func(string) bool) bool {
	return !slices.ContainsFunc(values, func(value string) bool { return !good(value) })
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
