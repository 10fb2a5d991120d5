package main

import (
	"strings"
	"testing"

	"rollcall/internal/config"
)

// Every risk has a warning at start, and nothing else has.
func TestWarnings(t *testing.T) {
	const enough = 1 << 20
	secret := map[string]string{"AUTH_SECRET": "0123456789abcdef"}
	for _, c := range []struct {
		name  string
		set   map[string]string
		files uint64
		want  string // of the one warning; "": there is none
	}{
		{"nothing", nil, enough, ""},
		{"a profiler on all interfaces", map[string]string{"DEBUG_ADDRESS": ":6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"written as IPv4", map[string]string{"DEBUG_ADDRESS": "0.0.0.0:6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"written as IPv6", map[string]string{"DEBUG_ADDRESS": "[::]:6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"written as both", map[string]string{"DEBUG_ADDRESS": "[::ffff:0.0.0.0]:6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"a profiler for this machine", map[string]string{"DEBUG_ADDRESS": "127.0.0.1:6060"}, enough, ""},
		{"guests of somebody", map[string]string{"ALLOW_GUESTS": "true"}, enough, ""},
		{"any sandboxed page", map[string]string{"CORS_ORIGINS": "https://app.example.com,null"}, enough, "CORS_ORIGINS allows null"},
		{"few files", nil, 1024, "the limit of open files is 1024, below MAX_CONNECTIONS (50000)"},
		{"just too few", map[string]string{"MAX_CONNECTIONS": "925"}, 1024, "the limit of open files is 1024"},
		{"just enough", map[string]string{"MAX_CONNECTIONS": "924"}, 1024, ""},
		{"no limit of our own", map[string]string{"MAX_CONNECTIONS": "0"}, 1024, "MAX_CONNECTIONS is 0, and the limit of open files is 1024"},
		{"nobody knows", nil, 0, ""},
	} {
		cfg, err := config.Load(func(name string) string { return c.set[name] + secret[name] })
		if err != nil {
			t.Fatal(err)
		}
		got := warnings(cfg, c.files)
		if len(got) > 1 || (c.want == "") != (len(got) == 0) || !strings.HasPrefix(strings.Join(got, ""), c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	cfg, _ := config.Load(func(name string) string { return map[string]string{"ALLOW_GUESTS": "true", "PUBLIC_API": "true"}[name] })
	if got := strings.Join(warnings(cfg, enough), "\n"); !strings.Contains(got, "ALLOW_GUESTS has no effect") || !strings.Contains(got, "PUBLIC_API has no effect") || !strings.Contains(got, "AUTH_SECRET is not set") {
		t.Errorf("without a secret: %q", got)
	}
	if openFilesLimit() == 0 {
		t.Error("the limit of open files is not known here")
	}
}
