// Package remote tells where a request comes from, behind trusted proxies too: the
// address of its client, whether its page is allowed, and the host it was sent to.
package remote

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
