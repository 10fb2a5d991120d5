package config

import (
	"strings"
	"testing"
)

// Every spelling of an origin becomes what browsers send.
func TestOriginsAreWrittenAsBrowsersSendThem(t *testing.T) {
	for value, want := range map[string]string{
		"https://x:443":               "https://x",
		"https://x:0443":              "https://x",
		"http://x:80":                 "http://x",
		"http://x:443":                "http://x:443",
		"https://x:80":                "https://x:80",
		"HTTPS://App.Example.COM":     "https://app.example.com",
		"https://müller.de":           "https://xn--mller-kva.de",
		"https://MÜLLER.de:8443":      "https://xn--mller-kva.de:8443",
		"https://xn--mller-kva.de":    "https://xn--mller-kva.de",
		"https://straße.de":           "https://xn--strae-oqa.de",
		"https://例え.テスト":              "https://xn--r8jz45g.xn--zckzah",
		"https://faß.example。com":     "https://xn--fa-hia.example.com",
		"http://my_app.local":         "http://my_app.local",
		"http://127.0.0.1:3000":       "http://127.0.0.1:3000",
		"http://[::1]:3000":           "http://[::1]:3000",
		"http://[2001:DB8:0:0:0::1]":  "http://[2001:db8::1]",
		"http://[::ffff:127.0.0.1]":   "http://[::ffff:7f00:1]",
		"https://app.example.com.":    "https://app.example.com.",
		"capacitor://localhost":       "capacitor://localhost",
		"Ionic://localhost":           "ionic://localhost",
		"tauri://localhost":           "tauri://localhost",
		"http://tauri.localhost":      "http://tauri.localhost",
		"chrome-extension://abcdefgh": "chrome-extension://abcdefgh",
		"moz-extension://0f1e-2d3c":   "moz-extension://0f1e-2d3c",
		"app://.":                     "app://.",
		"null":                        "null",
		"file://":                     "file://",
	} {
		c, err := Load(from(map[string]string{"CORS_ORIGINS": value}))
		if err != nil || len(c.CORSOrigins) != 1 || c.CORSOrigins[0] != want {
			t.Errorf("%s: %q, %v, want %s", value, c.CORSOrigins, err, want)
		}
	}
}

// Origins that no browser sends are refused, with the reason.
func TestOriginsThatNeverMatch(t *testing.T) {
	for value, why := range map[string]string{
		"wss://app.example.com":          "write https://",
		"ws://app.example.com":           "write http://",
		"data://x":                       "null",
		"blob://x":                       "the page that made them",
		"ftp://files.example.com":        "no such pages",
		"file:///home/me/page.html":      "file:// or null",
		"https://u:p@app.example.com":    "nothing else",
		"https://app.example.com:99999":  "1 to 65535",
		"https://app.example.com:0":      "1 to 65535",
		"https://app.example.com:x":      "cannot be right",
		"https://[::1":                   "cannot be right",
		"https://[fe80::1%eth0]":         "nothing else",
		"https://[127.0.0.1]":            "cannot be right",
		"http://127.1":                   "four decimal numbers",
		"http://0x7f000001":              "four decimal numbers",
		"http://1.2.3.4.5":               "four decimal numbers",
		"https://a\u00adb\u202e.example": "no host can have this name",
		"https://xn--a.example":          "no host can have this name",
		"https://a%41.example":           "nothing else",
		"app.example.com":                "",
		"https:app.example.com":          "",
		"https://a.example/":             "",
		"https://a.example?x":            "",
		"https://a.example#x":            "",
		"https://*.example":              "",
		"https://":                       "",
		"capacitor://":                   "",
		"1app://x":                       "",
		"null,*":                         "",
	} {
		_, err := Load(from(map[string]string{"CORS_ORIGINS": value}))
		if err == nil || !strings.HasPrefix(err.Error(), "CORS_ORIGINS must be") || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", value, err, why)
		}
	}
}

func TestAllowedHosts(t *testing.T) {
	for _, c := range []struct {
		allowed, host string
		want          bool
	}{
		{"", "anything", true},
		{"app.example.com", "app.example.com", true},
		{"app.example.com", "APP.example.com:8443", true},
		{"App.Example.com", "app.example.com.", true},
		{"app.example.com", "evil.example", false},
		{"app.example.com", "app.example.com.evil.example", false},
		{"app.example.com", "xapp.example.com", false},
		{"app.example.com", "sub.app.example.com", false},
		{"app.example.com", "", false},
		{"app.example.com", "app.example.com@evil.example", false},
		{"app.example.com:8443", "app.example.com:8443", true},
		{"app.example.com:8443", "app.example.com:8444", false},
		{"app.example.com:8443", "app.example.com", false},
		{"*.example.com", "app.example.com", true},
		{"*.example.com", "a.b.example.com:1", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "evilexample.com", false},
		{"*.example.com:80", "app.example.com:80", true},
		{"*.example.com:80", "app.example.com", false},
		{"*.example.com,example.com", "example.com", true},
		{"müller.de", "xn--mller-kva.de", true},
		{"127.0.0.1, [::1]", "127.0.0.1:8000", true},
		{"127.0.0.1, [::1]", "[::1]:8000", true},
		{"127.0.0.1, [::1]", "[0:0::1]", true},
		{"localhost", "127.0.0.1", false},
	} {
		got, err := Load(from(map[string]string{"ALLOWED_HOSTS": c.allowed}))
		if err != nil {
			t.Errorf("%s: %v", c.allowed, err)
		} else if got.AllowedHosts.Allow(c.host) != c.want {
			t.Errorf("%s: %s is allowed: %v", c.allowed, c.host, !c.want)
		}
	}
	for _, wrong := range []string{",", " , ", "https://app.example.com", "app.example.com/", "*", "*.", "a.*.example", "*.10.0.0.1", "a:x", "a b", "10.0.0.0/8"} {
		if _, err := Load(from(map[string]string{"ALLOWED_HOSTS": wrong})); err == nil || !strings.HasPrefix(err.Error(), "ALLOWED_HOSTS must be") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// Deployments with different prefixes share nothing by default.
func TestRedisChannel(t *testing.T) {
	for _, c := range []struct{ prefix, channel, want string }{
		{"", "", "socket.io"},
		{"rollcall", "", "socket.io"},
		{"staging", "", "staging:socket.io"},
		{"Rollcall", "", "Rollcall:socket.io"},
		{"socket.io", "", "socket.io:socket.io"},
		{"staging", "socket.io", "socket.io"},
		{"", "other", "other"},
	} {
		got, err := Load(from(map[string]string{"REDIS_PREFIX": c.prefix, "REDIS_CHANNEL": c.channel}))
		if err != nil || got.RedisChannel != c.want {
			t.Errorf("%+v: %q, %v", c, got.RedisChannel, err)
		}
	}
}
