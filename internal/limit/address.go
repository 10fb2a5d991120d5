// Package limit knows from whom a request comes, behind proxies too: whose
// address it counts under, and whether its page may ask.
package limit

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Trusted is a set of proxies whose X-Forwarded-For is believed.
type Trusted interface {
	Contains(netip.Addr) bool
}

// Address returns a function that names a request's client. Behind trusted
// proxies that is the last address in X-Forwarded-For that is not one of them;
// what stands before it anybody can have written.
func Address(trusted Trusted) func(*http.Request) string {
	return func(r *http.Request) string {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			if addr, err := netip.ParseAddr(host); err != nil || !trusted.Contains(addr.Unmap()) {
				break
			}
			if _, err := netip.ParseAddr(strings.TrimSpace(hops[i])); err != nil {
				break
			}
			host = strings.TrimSpace(hops[i])
		}
		return host
	}
}
