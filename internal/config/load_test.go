package config

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// from is an environment made of a map.
func from(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

func TestDefaults(t *testing.T) {
	// A variable of the process must never reach the configuration except
	// through getenv.
	t.Setenv("PORT", "9999")
	got, err := Load(from(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Port: 8000, CORSOrigins: Origins{"*"}, LogFormat: LogAuto,
		MaxMessage: 64 << 10, MaxUser: 4 << 10, MaxBody: 1_000_000, MaxQueue: 4 << 20,
		EventsPerSecond: 20, EventsBurst: 40, MaxConnections: 50_000, IdleAfter: 5 * time.Minute, Compat: CompatDefault,
		Grace:        2 * time.Second,
		PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, RedisPrefix: "rollcall", RedisChannel: "socket.io",
		WriteTimeout:    15 * time.Second,
		ShutdownTimeout: 10 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestValues(t *testing.T) {
	got, err := Load(from(map[string]string{
		"PORT": " 9001 ", "HOST": "::1", "LOG_LEVEL": "WARN", "LOG_FORMAT": "JSON",
		"CORS_ORIGINS":    "https://App.example.com, http://localhost:3000,",
		"MAX_MESSAGE":     "1MiB",
		"MAX_BODY":        "2097152",
		"TRUSTED_PROXIES": "10.1.2.3/8,192.0.2.7 , 2001:db8::/32",
		"PING_INTERVAL":   "1m30s", "EVENTS_PER_SECOND": "0", "UNKNOWN": "x",
		"COMPAT": "Strict", "IDLE_AFTER": "0", "API_KEY": " k-1/2+3==0123456 ", "RAILS_URL": "https://u:p@app.example.com:8443/racer/",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := Load(from(nil))
	want.Port, want.Host, want.LogLevel, want.LogFormat = 9001, "::1", 4, LogJSON
	want.CORSOrigins = Origins{"https://app.example.com", "http://localhost:3000"}
	want.MaxMessage, want.MaxBody = 1<<20, 2<<20
	want.TrustedProxies = Proxies{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
	}
	want.PingInterval, want.EventsPerSecond = 90*time.Second, 0
	want.Compat, want.Grace, want.IdleAfter = CompatStrict, 0, 0
	want.APIKey, want.RailsURL = "k-1/2+3==0123456", "https://u:p@app.example.com:8443/racer/"
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// COMPAT=strict changes the default of GRACE only.
func TestGraceInStrictMode(t *testing.T) {
	got, err := Load(from(map[string]string{"COMPAT": "strict", "GRACE": "3s"}))
	if err != nil || got.Grace != 3*time.Second {
		t.Error(got.Grace, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"PORT": "abc"}, `PORT must be a number from 1 to 65535, not "abc"`},
		{map[string]string{"PORT": "0"}, `PORT must be a number from 1 to 65535, not "0"`},
		{map[string]string{"PORT": "65536"}, `PORT must be a number from 1 to 65535, not "65536"`},
		{map[string]string{"HOST": "0.0.0.0:80"}, `HOST must be an address or a host name without a port, not "0.0.0.0:80"`},
		{map[string]string{"HOST": "[::]"}, `HOST must be an address or a host name without a port, not "[::]"`},
		{map[string]string{"CORS_ORIGINS": "app.example.com"}, `CORS_ORIGINS must be * or a comma-separated list of origins such as https://app.example.com, not "app.example.com"`},
		{map[string]string{"CORS_ORIGINS": "https://a.example/"}, `CORS_ORIGINS must be * or a comma-separated list of origins such as https://app.example.com, not "https://a.example/"`},
		{map[string]string{"CORS_ORIGINS": "https://*.example"}, `CORS_ORIGINS must be * or a comma-separated list of origins such as https://app.example.com, not "https://*.example"`},
		{map[string]string{"CORS_ORIGINS": "*,https://a.example"}, `CORS_ORIGINS must be * or a comma-separated list of origins such as https://app.example.com, not "*,https://a.example"`},
		{map[string]string{"CORS_ORIGINS": ","}, `CORS_ORIGINS must be * or a comma-separated list of origins such as https://app.example.com, not ","`},
		{map[string]string{"LOG_LEVEL": "loud"}, `LOG_LEVEL must be debug, info, warn or error, not "loud"`},
		{map[string]string{"LOG_FORMAT": "xml"}, `LOG_FORMAT must be auto, text, logfmt or json, not "xml"`},
		{map[string]string{"MAX_QUEUE": "4MB"}, `MAX_QUEUE must be a size from 1KiB to 1GiB, such as 65536, 64KiB or 4MiB, not "4MB"`},
		{map[string]string{"MAX_QUEUE": "-1"}, `MAX_QUEUE must be a size from 1KiB to 1GiB, such as 65536, 64KiB or 4MiB, not "-1"`},
		{map[string]string{"MAX_QUEUE": "9223372036854775807GiB"}, `MAX_QUEUE must be a size from 1KiB to 1GiB, such as 65536, 64KiB or 4MiB, not "9223372036854775807GiB"`},
		{map[string]string{"EVENTS_BURST": "1.5"}, `EVENTS_BURST must be a number from 0 to 1000000, not "1.5"`},
		{map[string]string{"TRUSTED_PROXIES": "proxy.local"}, `TRUSTED_PROXIES must be a comma-separated list of addresses or CIDR ranges such as 10.0.0.0/8, not "proxy.local"`},
		{map[string]string{"TRUSTED_PROXIES": "::ffff:10.0.0.0/104"}, `TRUSTED_PROXIES must be a comma-separated list of addresses or CIDR ranges such as 10.0.0.0/8, not "::ffff:10.0.0.0/104"`},
		{map[string]string{"PING_INTERVAL": "25"}, `PING_INTERVAL must be a duration from 100ms to 1h, such as 25s or 1m30s, not "25"`},
		{map[string]string{"PING_TIMEOUT": "-1s"}, `PING_TIMEOUT must be a duration from 100ms to 1h, such as 25s or 1m30s, not "-1s"`},
		{map[string]string{"REDIS_TLS_INSECURE": "maybe"}, `REDIS_TLS_INSECURE must be true or false, not "maybe"`},
		{map[string]string{"REDIS_PREFIX": "{a}"}, `REDIS_PREFIX must be at most 64 letters, digits and . _ : / - signs, not "{a}"`},
		{map[string]string{"GRACE": "1h"}, `GRACE must be a duration from 0s to 10m, such as 25s or 1m30s, not "1h"`},
		{map[string]string{"COMPAT": "node"}, `COMPAT must be default or strict, not "node"`},
		{map[string]string{"IDLE_AFTER": "25h"}, `IDLE_AFTER must be a duration from 0s to 24h, such as 25s or 1m30s, not "25h"`},
		{map[string]string{"IDLE_AFTER": "-1s"}, `IDLE_AFTER must be a duration from 0s to 24h, such as 25s or 1m30s, not "-1s"`},
		{map[string]string{"API_KEY": "two words"}, `API_KEY must be at most 512 letters, digits and ASCII signs, without spaces`},
		{map[string]string{"API_KEY": "schlüssel"}, `API_KEY must be at most 512 letters, digits and ASCII signs, without spaces`},
		{map[string]string{"API_KEY": strings.Repeat("k", 513)}, `API_KEY must be at most 512 letters, digits and ASCII signs, without spaces`},
		{map[string]string{"MAX_BODY": "32KiB"}, `MAX_BODY must be at least MAX_MESSAGE (64KiB), not 32KiB`},
		{map[string]string{"MAX_USER": "65537"}, `MAX_USER must be at most MAX_MESSAGE (64KiB), not 65537`},
	} {
		c, err := Load(from(tc.env))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%v:\n got %v\nwant %s", tc.env, err, tc.want)
		}
		if !reflect.DeepEqual(c, Config{}) {
			t.Errorf("%v: a refused configuration was returned", tc.env)
		}
	}
}

func TestRailsURL(t *testing.T) {
	for _, good := range []string{"http://localhost:3000", "https://app.example.com/", "http://[::1]:3000/a/b", "HTTP://a"} {
		if c, err := Load(from(map[string]string{"RAILS_URL": good})); err != nil || c.RailsURL.Reveal() != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"app.example.com", "localhost:3000", "/api", "ftp://a", "http://", "http:app", "http://:3000", "http://a:99999", "http://a:x",
		"https://a?", "https://a?key=1", "https://a#b", "http://a b", "http://%zz", "https://u:hunter2@a:b",
	} {
		_, err := Load(from(map[string]string{"RAILS_URL": bad}))
		if err == nil || err.Error() != "RAILS_URL must be an http:// or https:// URL such as https://app.example.com, without ? and #" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Load(from(map[string]string{"PORT": "x", "MAX_USER": "y", "LOG_LEVEL": "z", "PING_TIMEOUT": "0s", "HOST": "a b"}))
	var m Mistakes
	if !errors.As(err, &m) || len(m) != 5 {
		t.Fatalf("got %v, want five mistakes", err)
	}
	for i, name := range []string{"PORT", "LOG_LEVEL", "MAX_USER", "PING_TIMEOUT", "HOST"} {
		if !strings.HasPrefix(m[i], name+" must ") {
			t.Errorf("mistake %d is %q, want one about %s", i, m[i], name)
		}
	}
}

// Secrets that can be guessed are refused and not shown.
func TestGuessableSecrets(t *testing.T) {
	const first, second = "0123456789abcdef", "0123456789abcdeg"
	for _, c := range []struct{ name, value, want string }{
		{"API_KEY", "hunter2", "API_KEY must be at least 16 letters"},
		{"API_KEY", "hunter2hunter2h", "API_KEY must be at least 16 letters"},
		{"METRICS_KEY", "hunter2", "METRICS_KEY must be at least 16 letters"},
		{"API_KEY", strings.Repeat("h", 16), "API_KEY must not be one repeated character"},
		{"METRICS_KEY", strings.Repeat("7", 64), "METRICS_KEY must not be one repeated character"},
		{"AUTH_SECRET", "hunter2", "AUTH_SECRET must be a secret of at least 16 characters"},
		{"AUTH_SECRET", ",", "AUTH_SECRET must be a secret of at least 16 characters"},
		{"AUTH_SECRET", first + ",hunter2", "AUTH_SECRET must be a secret of at least 16 characters"},
		{"AUTH_SECRET", first + "," + second + ",0123456789abcdeh", "AUTH_SECRET must be a secret of at least 16 characters"},
		{"AUTH_SECRET", strings.Repeat("x", 32), "AUTH_SECRET must not be one repeated character"},
		{"AUTH_SECRET", strings.Repeat("ä", 16), "AUTH_SECRET must not be one repeated character"},
		{"AUTH_SECRET", first + "," + strings.Repeat("x", 16), "AUTH_SECRET must not be one repeated character"},
	} {
		_, err := Load(from(map[string]string{c.name: c.value}))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || c.value != "," && strings.Contains(err.Error(), c.value) ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
	}
	for _, name := range []string{"API_KEY", "METRICS_KEY", "AUTH_SECRET"} {
		if _, err := Load(from(map[string]string{name: strings.Repeat("x", 15) + "y"})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for value, want := range map[string][]string{"": nil, first: {first}, " " + first + " , " + second: {first, second}} {
		c, err := Load(from(map[string]string{"AUTH_SECRET": value}))
		if err != nil || !slices.Equal(c.AuthSecrets(), want) {
			t.Errorf("%q: %q, %v", value, c.AuthSecrets(), err)
		}
	}
}

// Secrets are not printed.
func TestSecret(t *testing.T) {
	c, err := Load(from(map[string]string{
		"REDIS_URL": "redis://u:hunter2@db", "RAILS_URL": "http://u:hunter2@app", "API_KEY": "hunter2hunter2hunter2", "METRICS_KEY": "hunter2hunter2hunter2",
	}))
	if err != nil || c.RedisURL.Reveal() != "redis://u:hunter2@db" {
		t.Fatal(c.RedisURL.Reveal(), err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c, "url", c.RedisURL)
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), log.String()} {
		if strings.Contains(shown, "hunter2") {
			t.Error("shown:", shown)
		}
	}
}

func TestProxiesContain(t *testing.T) {
	c, err := Load(from(map[string]string{"TRUSTED_PROXIES": "10.0.0.0/8,::ffff:192.0.2.7,2001:db8::1"}))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"10.9.9.9": true, "::ffff:10.9.9.9": true, "192.0.2.7": true, "2001:db8::1": true,
		"11.0.0.1": false, "192.0.2.8": false, "2001:db8::2": false,
	} {
		if got := c.TrustedProxies.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v", addr, got)
		}
	}
}

func TestRateLimited(t *testing.T) {
	for _, tc := range []struct {
		perSecond, burst int
		want             bool
	}{{20, 40, true}, {0, 40, false}, {20, 0, false}} {
		if got := (Config{EventsPerSecond: tc.perSecond, EventsBurst: tc.burst}).RateLimited(); got != tc.want {
			t.Errorf("%+v: got %v", tc, got)
		}
	}
}

// Load never panics, and every accepted value is in its range.
func FuzzLoad(f *testing.F) {
	names := []string{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		names = append(names, field.Tag.Get("env"))
	}
	for i := range names {
		for _, s := range []string{"1", "64KiB", "25s", "*", "10.0.0.0/8", "https://a.example", "strict", "info", "::1", "99999999999999999999", "-0", " "} {
			f.Add(i, s)
		}
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		name := names[uint(i)%uint(len(names))]
		c, err := Load(from(map[string]string{name: text}))
		if err != nil {
			if !strings.HasPrefix(err.Error(), name+" must ") && !strings.Contains(err.Error(), "MAX_MESSAGE") {
				t.Fatalf("%s=%q: %v", name, text, err)
			}
			return
		}
		if c.Port < 1 || c.Port > 65535 || c.MaxBody < c.MaxMessage || c.MaxUser > c.MaxMessage ||
			c.PingInterval < 100*time.Millisecond || c.IdleAfter < 0 || c.Compat == "" || len(c.CORSOrigins) == 0 {
			t.Fatalf("%s=%q was accepted: %+v", name, text, c)
		}
	})
}

// A size is read back as it was written.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "65536", "64KiB", "4 MiB", "1GiB", "8589934592GiB", "1KiBKiB", "٣", "+1", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a, b Size
		if a.UnmarshalText([]byte(text)) != nil {
			return
		}
		if a < 0 {
			t.Fatalf("%q is the negative size %d", text, a)
		}
		if err := b.UnmarshalText([]byte(a.String())); err != nil || a != b {
			t.Fatalf("%q: %d was written as %q and read as %d (%v)", text, a, a, b, err)
		}
	})
}

var update = flag.Bool("update", false, "rewrite the table of settings in the documents")

const (
	reference  = "../../docs/reference/configuration.md"
	tableBegin = "<!-- configuration: made by `go generate ./internal/config`, checked by its tests -->\n"
	tableEnd   = "<!-- /configuration -->"
)

func TestConfigurationTable(t *testing.T) {
	want := table(t)
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("configuration.md has no table between %q and %q", tableBegin, tableEnd)
	}
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(reference, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("configuration.md differs from Config (go generate ./internal/config rewrites it)\n got:\n%s\nwant:\n%s", got, want)
}

// commented matches a field of Config with a variable: its comment, name and type.
var commented = regexp.MustCompile("\\n\t// (.+)\n\t(\\w+) \\w+(?:\\.\\w+)? `env:")

// table is Config as Markdown: name, default and meaning of each variable.
func table(t *testing.T) string {
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := "\n| variable | default | meaning |\n|---|---|---|\n"
	found, config := commented.FindAllStringSubmatch(string(source), -1), reflect.TypeFor[Config]()
	if len(found) != config.NumField() {
		t.Fatalf("%d of the %d fields of Config have a variable and a comment of one line", len(found), config.NumField())
	}
	for _, one := range found {
		field, _ := config.FieldByName(one[2])
		value := field.Tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "`"
		}
		rows += fmt.Sprintf("| `%s` | %s | %s |\n", field.Tag.Get("env"), value, strings.ReplaceAll(one[1], "|", `\|`))
	}
	return rows + "\n"
}
