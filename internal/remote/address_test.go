package remote

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

type proxies []string

func (p proxies) Contains(a netip.Addr) bool {
	for _, prefix := range p {
		if netip.MustParsePrefix(prefix).Contains(a) {
			return true
		}
	}
	return false
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		name, remote string
		forwarded    []string
		trusted      proxies
		want         string
	}{
		{"direct", "192.0.2.1:9", nil, nil, "192.0.2.1"},
		{"untrusted header", "192.0.2.1:9", []string{"198.51.100.7"}, nil, "192.0.2.1"},
		{"one proxy", "10.0.0.1:9", []string{"198.51.100.7"}, proxies{"10.0.0.0/8"}, "198.51.100.7"},
		{"a forged hop", "10.0.0.1:9", []string{"203.0.113.9, 198.51.100.7"}, proxies{"10.0.0.0/8"}, "198.51.100.7"},
		{"two proxies", "10.0.0.1:9", []string{"198.51.100.7, 10.0.0.2"}, proxies{"10.0.0.0/8"}, "198.51.100.7"},
		{"two headers", "10.0.0.1:9", []string{"198.51.100.7", "10.0.0.2"}, proxies{"10.0.0.0/8"}, "198.51.100.7"},
		{"all proxies", "10.0.0.1:9", []string{"10.0.0.3"}, proxies{"10.0.0.0/8"}, "10.0.0.3"},
		{"nonsense", "10.0.0.1:9", []string{"198.51.100.7, what"}, proxies{"10.0.0.0/8"}, "10.0.0.1"},
		{"no header", "10.0.0.1:9", nil, proxies{"10.0.0.0/8"}, "10.0.0.1"},
		{"IPv6", "[2001:db8::1]:9", []string{"2001:db8::7"}, proxies{"2001:db8::1/128"}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:9", []string{"198.51.100.7"}, proxies{"10.0.0.0/8"}, "198.51.100.7"},
		{"a Unix socket", "@", []string{"198.51.100.7"}, proxies{"0.0.0.0/0"}, "@"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := Address(c.trusted)(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
