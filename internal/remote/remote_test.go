package remote

import (
	"crypto/tls"
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
		{"a zone", "[2001:db8::1%lo]:9", nil, nil, "2001:db8::1"},
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

// Origin and the scheme of the request decide which pages are allowed.
func TestOrigin(t *testing.T) {
	const direct, proxy = "192.0.2.1:9", "10.0.0.1:9"
	for _, c := range []struct {
		name, remote string
		tls          bool
		headers      []string // names and values
		want         bool
	}{
		{"no page", direct, false, nil, true},
		{"allowed", direct, false, []string{"Origin", "https://ours.example"}, true},
		{"foreign", direct, false, []string{"Origin", "https://evil.example"}, false},
		{"of our name at another port", direct, false, []string{"Origin", "http://rollcall.example:81"}, false},
		{"nonsense", direct, false, []string{"Origin", "http://%zz"}, false},
		{"null", direct, false, []string{"Origin", "null"}, false},
		{"our page", direct, false, []string{"Origin", "http://rollcall.example"}, true},
		{"our page behind an unknown proxy", direct, false, []string{"Origin", "https://rollcall.example"}, true},
		{"whose header does not count", direct, false, []string{"Origin", "https://rollcall.example", "X-Forwarded-Proto", "http"}, true},
		{"our page behind a trusted proxy", proxy, false, []string{"Origin", "https://rollcall.example", "X-Forwarded-Proto", "https"}, true},
		{"a plain page, though we are https", proxy, false, []string{"Origin", "http://rollcall.example", "X-Forwarded-Proto", "https"}, false},
		{"the nearest proxy counts", proxy, false, []string{"Origin", "http://rollcall.example", "X-Forwarded-Proto", "http, HTTPS"}, false},
		{"a proxy without the header", proxy, false, []string{"Origin", "https://rollcall.example"}, true},
		{"TLS of our own", direct, true, []string{"Origin", "http://rollcall.example"}, false},
		// Requests without Origin may still come from a page: <script>, <img>, a link.
		{"a native client", direct, false, nil, true},
		{"an allowed origin suffices", direct, false, []string{"Origin", "https://ours.example", "Sec-Fetch-Site", "cross-site", "Referer", "https://evil.example/"}, true},
		{"an origin that is not allowed", direct, false, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"}, false},
		{"two origins", direct, false, []string{"Origin", "https://ours.example", "Origin", "https://evil.example"}, false},
		{"an empty origin is none", direct, false, []string{"Origin", "", "Sec-Fetch-Site", "cross-site"}, false},
		{"a script of another site", direct, false, []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"with an unknown value", direct, false, []string{"Sec-Fetch-Site", "Same-Origin"}, false},
		{"with two values", direct, false, []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, false},
		{"our page", direct, false, []string{"Sec-Fetch-Site", "same-origin", "Referer", "http://rollcall.example/page"}, true},
		{"our page behind TLS of an unknown proxy", direct, false, []string{"Sec-Fetch-Site", "same-origin", "Referer", "https://rollcall.example/"}, true},
		{"a page of our site", direct, false, []string{"Sec-Fetch-Site", "same-site"}, true},
		{"a page of our site that may ask", direct, false, []string{"Sec-Fetch-Site", "same-site", "Referer", "https://ours.example/a?b"}, true},
		{"a page of our site that may not", direct, false, []string{"Sec-Fetch-Site", "same-site", "Referer", "https://other.example/"}, false},
		{"typed", direct, false, []string{"Sec-Fetch-Site", "none"}, true},
		{"an old browser's script", direct, false, []string{"Referer", "https://evil.example/"}, false},
		{"an old browser's script of ours", direct, false, []string{"Referer", "https://ours.example/page"}, true},
		{"ours at another port", direct, false, []string{"Referer", "https://ours.example:81/"}, false},
		{"ours as another's user", direct, false, []string{"Referer", "https://ours.example@evil.example/"}, false},
		{"ours as another's path", direct, false, []string{"Referer", "https://evil.example/https://ours.example"}, false},
		{"two pages", direct, false, []string{"Referer", "https://ours.example/", "Referer", "https://evil.example/"}, false},
		{"in other letters", direct, false, []string{"Referer", "HTTPS://Ours.Example/"}, true},
		{"no address of a page", direct, false, []string{"Referer", "about:blank"}, false},
		{"an app's link", direct, false, []string{"Referer", "android-app://com.example/"}, false},
		{"nonsense", direct, false, []string{"Referer", "http://%zz/"}, false},
		{"no page", direct, false, []string{"Referer", ""}, true},
	} {
		r := httptest.NewRequest("GET", "http://rollcall.example/socket.io/", nil)
		r.RemoteAddr = c.remote
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Add(c.headers[i], c.headers[i+1])
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		allowed := func(origin string) bool { return origin == "https://ours.example" }
		if got := Origin(proxies{"10.0.0.0/8"}, allowed)(r); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if !Origin(proxies{}, nil)(r) {
			t.Errorf("%s: refused, though every page may ask", c.name)
		}
	}
}

// X-Forwarded-Host counts only from a trusted proxy.
func TestHost(t *testing.T) {
	for _, c := range []struct{ name, remote, forwarded, want string }{
		{"direct", "192.0.2.1:9", "", "rollcall.internal"},
		{"sent by any client", "192.0.2.1:9", "evil.example", "rollcall.internal"},
		{"sent by a proxy", "10.0.0.1:9", "rollcall.example", "rollcall.example"},
		{"the nearest proxy's value", "10.0.0.1:9", "evil.example, rollcall.example", "rollcall.example"},
		{"a proxy without the header", "10.0.0.1:9", "", "rollcall.internal"},
	} {
		r := httptest.NewRequest("GET", "http://rollcall.internal/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-Host", c.forwarded)
		}
		if got := Host(proxies{"10.0.0.0/8"})(r); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		r.Header.Set("Origin", "https://"+c.want)
		if !Origin(proxies{"10.0.0.0/8"}, func(string) bool { return false })(r) {
			t.Errorf("%s: our own page is refused", c.name)
		}
	}
}

// Every spelling of an address counts as the same client.
func TestSpellingsOfAddresses(t *testing.T) {
	for _, c := range []struct{ forwarded, address, network string }{
		{"198.51.100.7", "198.51.100.7", "198.51.100.7"},
		{"198.51.100.7:50123", "198.51.100.7", "198.51.100.7"},
		{"::ffff:198.51.100.7", "198.51.100.7", "198.51.100.7"},
		{"[::ffff:198.51.100.7]:1", "198.51.100.7", "198.51.100.7"},
		{"::FFFF:c633:6407", "198.51.100.7", "198.51.100.7"},
		{`"[2001:db8::7]:443"`, "2001:db8::7", "2001:db8::/64"},
		{"2001:db8::7", "2001:db8::7", "2001:db8::/64"},
		{"[2001:DB8:0:0:0:0:0:7]", "2001:db8::7", "2001:db8::/64"},
		{"2001:db8::7%eth0", "2001:db8::7", "2001:db8::/64"},
		{"2001:db8:0:0:ffff::1", "2001:db8::ffff:0:0:1", "2001:db8::/64"},
		{"2001:db8:0:1::7", "2001:db8:0:1::7", "2001:db8:0:1::/64"},
		{"fe80::1%1", "fe80::1", "fe80::/64"},
		{"unknown", "10.0.0.1", "10.0.0.1"},
		{"_hidden", "10.0.0.1", "10.0.0.1"},
		{"", "10.0.0.1", "10.0.0.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:9"
		r.Header.Set("X-Forwarded-For", c.forwarded)
		address := Address(proxies{"10.0.0.0/8"})(r)
		if address != c.address || Network(address) != c.network {
			t.Errorf("%s: %s of %s", c.forwarded, address, Network(address))
		}
	}
}
