package remote

import (
	"crypto/tls"
	"net/http/httptest"
	"testing"
)

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		name, origin, remote, proto string
		tls                         bool
		want                        bool
	}{
		{"no page", "", "192.0.2.1:9", "", false, true},
		{"allowed", "https://ours.example", "192.0.2.1:9", "", false, true},
		{"foreign", "https://evil.example", "192.0.2.1:9", "", false, false},
		{"of our name at another port", "http://rollcall.example:81", "192.0.2.1:9", "", false, false},
		{"nonsense", "http://%zz", "192.0.2.1:9", "", false, false},
		{"null", "null", "192.0.2.1:9", "", false, false},
		{"our page", "http://rollcall.example", "192.0.2.1:9", "", false, true},
		{"our page behind a proxy nobody knows", "https://rollcall.example", "192.0.2.1:9", "", false, true},
		{"whose word does not count", "https://rollcall.example", "192.0.2.1:9", "http", false, true},
		{"our page behind a trusted proxy", "https://rollcall.example", "10.0.0.1:9", "https", false, true},
		{"a plain page, though we are https", "http://rollcall.example", "10.0.0.1:9", "https", false, false},
		{"the nearest proxy counts", "http://rollcall.example", "10.0.0.1:9", "http, HTTPS", false, false},
		{"a proxy that says nothing", "https://rollcall.example", "10.0.0.1:9", "", false, true},
		{"TLS of our own", "http://rollcall.example", "192.0.2.1:9", "", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://rollcall.example/", nil)
			r.RemoteAddr = c.remote
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.proto != "" {
				r.Header.Set("X-Forwarded-Proto", c.proto)
			}
			if r.TLS = nil; c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			allowed := func(origin string) bool { return origin == "https://ours.example" }
			if got := Origin(proxies{"10.0.0.0/8"}, allowed)(r); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
