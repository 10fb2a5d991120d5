// Package config is the sole reader of the environment. Config documents every
// variable: docs/reference/configuration.md is made from its tags and comments, and a
// test holds the two equal. No other package may look at the environment.
package config

import (
	"errors"
	"iter"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:generate go test -run TestConfigurationTable -update

// Config has every setting. The fields' comments are the reference. min and max are
// inclusive and parsed in the field's type.
type Config struct {
	// The port to listen on.
	Port int `env:"PORT" envDefault:"8000" min:"1" max:"65535"`
	// The address or host name to listen on; empty: all interfaces.
	Host string `env:"HOST"`
	// The origins whose pages may connect, comma-separated, such as `https://app.example.com` or `capacitor://localhost`; `*`: all. With a list, pages of other origins are refused and JSONP is off.
	CORSOrigins Origins `env:"CORS_ORIGINS" envDefault:"*"`
	// The host names that requests may be sent to, comma-separated, such as `rollcall.example.com` or `*.example.com`, with a port to allow only that one. Requests to other hosts are refused, except health checks: this stops DNS rebinding. Empty: any.
	AllowedHosts Hosts `env:"ALLOWED_HOSTS"`
	// The lowest level that is logged: `debug`, `info`, `warn` or `error`.
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// How logs are written: `text` for people, `logfmt` (key=value) or `json` for programs; `auto`: `text` on a terminal, else `logfmt`.
	LogFormat LogFormat `env:"LOG_FORMAT" envDefault:"auto"`
	// The largest single message from a client, such as `65536`, `64KiB` or `4MiB`.
	MaxMessage Size `env:"MAX_MESSAGE" envDefault:"64KiB" min:"1KiB" max:"64MiB"`
	// The largest user object; at most `MAX_MESSAGE`.
	MaxUser Size `env:"MAX_USER" envDefault:"4KiB" min:"64" max:"64MiB"`
	// The largest body of one polling POST, which may carry several messages; at least `MAX_MESSAGE`.
	MaxBody Size `env:"MAX_BODY" envDefault:"1000000" min:"1KiB" max:"256MiB"`
	// How many bytes of bodies and long messages may be in receipt from all clients together; at the limit the next one waits for up to 1 s and is then refused (503). 0: an eighth of the memory limit (`GOMEMLIMIT`, else the container's, else 512 MiB), at least three times `MAX_BODY`; see [Memory](limits.md#memory).
	MaxInbound Size `env:"MAX_INBOUND" envDefault:"0" min:"0" max:"1024GiB"`
	// The longest outbound queue of one socket; over it the socket is disconnected as too slow.
	MaxQueue Size `env:"MAX_QUEUE" envDefault:"4MiB" min:"1KiB" max:"1GiB"`
	// The outbound queues of all sockets together, where data shared by many queues counts once; over it the sockets with the longest queues are disconnected. 0: a quarter of the memory limit, at least `MAX_QUEUE`; see [Memory](limits.md#memory).
	MaxQueues Size `env:"MAX_QUEUES" envDefault:"0" min:"0" max:"1024GiB"`
	// The rate limit of a socket, in events a second; 0: no limit.
	EventsPerSecond int `env:"EVENTS_PER_SECOND" envDefault:"20" min:"0" max:"1000000"`
	// How many events a socket may send at once; 0: no rate limit.
	EventsBurst int `env:"EVENTS_BURST" envDefault:"40" min:"0" max:"1000000"`
	// The most connections; at the limit a new client replaces the polling session that has not polled for the longest time. 0: no limit.
	MaxConnections int `env:"MAX_CONNECTIONS" envDefault:"50000" min:"0" max:"10000000"`
	// The most TCP connections without a session: idle ones, incomplete requests, other requests; over it the one that has been idle for the longest time is closed. 0: a quarter of the limit of open files, at most 5,000.
	MaxIdleConnections int `env:"MAX_IDLE_CONNECTIONS" envDefault:"0" min:"0" max:"1000000"`
	// The most connections of one address; an IPv6 /64 network counts as one address. 0: no limit.
	MaxConnectionsPerAddress int `env:"MAX_CONNECTIONS_PER_ADDRESS" envDefault:"0" min:"0" max:"1000000"`
	// Proxies whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are trusted: addresses or CIDR ranges, comma-separated.
	TrustedProxies Proxies `env:"TRUSTED_PROXIES"`
	// How often a client is pinged.
	PingInterval time.Duration `env:"PING_INTERVAL" envDefault:"25s" min:"100ms" max:"1h"`
	// How long a client may take to answer a ping before it is disconnected.
	PingTimeout time.Duration `env:"PING_TIMEOUT" envDefault:"20s" min:"100ms" max:"1h"`
	// The grace period: how long a user stays listed, online and in chat rooms, after the last connection ended, so that others do not see a page reload; with `COMPAT=strict` the default is `0s`.
	Grace time.Duration `env:"GRACE" envDefault:"2s" min:"0s" max:"10m"`
	// How long a user without activity in any tab stays `active` before `away`; 0: for ever.
	IdleAfter time.Duration `env:"IDLE_AFTER" envDefault:"5m" min:"0s" max:"24h"`
	// `strict`: every event to everybody, one list element per connection and nothing batched, as the Node service code_racer did; `default`: compatible for clients, with less traffic.
	Compat Compat `env:"COMPAT" envDefault:"default"`
	// The URL of the Rails app, such as `https://app.example.com`, from whose `/api/tracks` races get their tracks; empty: no tracks.
	RailsURL Secret `env:"RAILS_URL"`
	// The app's key for the HTTP API, of at least 16 characters, sent as `Authorization: Bearer …`: requests that change something need it, and requests with it are never delayed. Empty: nothing can be changed.
	APIKey Secret `env:"API_KEY"`
	// The key for `/metrics`, of at least 16 characters, sent as `Authorization: Bearer …`; empty: anybody may read them.
	MetricsKey Secret `env:"METRICS_KEY"`
	// The secret that clients' tokens are signed with, of at least 16 characters; two, comma-separated, during a rotation; empty: clients are trusted to be who they say.
	AuthSecret Secret `env:"AUTH_SECRET"`
	// With `AUTH_SECRET`: accept clients without a valid token, as guests without an id; they may also read over HTTP.
	AllowGuests bool `env:"ALLOW_GUESTS" envDefault:"false"`
	// With `AUTH_SECRET`: let anybody read over HTTP, without a key or token.
	PublicAPI bool `env:"PUBLIC_API" envDefault:"false"`
	// The URL of the Redis that all instances share: `redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`; empty: a single instance without Redis.
	RedisURL Secret `env:"REDIS_URL"`
	// The prefix of all keys in Redis, one for each deployment; deployments with different prefixes share nothing, unless they have the same `REDIS_CHANNEL`.
	RedisPrefix string `env:"REDIS_PREFIX" envDefault:"rollcall"`
	// Accept any certificate from Redis, such as the self-signed ones of Heroku.
	RedisTLSInsecure bool `env:"REDIS_TLS_INSECURE" envDefault:"false"`
	// The key of the official Socket.IO Redis adapters and emitters to exchange messages with; empty: `socket.io`, or with another `REDIS_PREFIX` than `rollcall` that prefix and `:socket.io`.
	RedisChannel string `env:"REDIS_CHANNEL"`
	// The name of this instance among the others, in logs and in Redis; empty: the host name.
	Instance string `env:"INSTANCE"`
	// The address of Go's profiler, such as `127.0.0.1:6060`. It shows the memory of the process: never make it reachable from the internet. Empty: no profiler.
	DebugAddress string `env:"DEBUG_ADDRESS"`
	// How long a client may read nothing of what is sent to it before it is disconnected; a slow reader is not.
	WriteTimeout time.Duration `env:"WRITE_TIMEOUT" envDefault:"15s" min:"100ms" max:"10m"`
	// The longest shutdown; what is left then is cut off.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"10s" min:"100ms" max:"10m"`
}

// RateLimited reports whether the events of a socket are limited.
func (c Config) RateLimited() bool { return c.EventsPerSecond > 0 && c.EventsBurst > 0 }

// AuthSecrets are the secrets of AUTH_SECRET; none: clients are trusted.
func (c Config) AuthSecrets() []string {
	var out []string
	for one := range strings.SplitSeq(c.AuthSecret.Reveal(), ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

// errFormat is the error of the types below. wanted describes what they accept.
var errFormat = errors.New("not understood")

// Size is a number of bytes, written 65536, 64KiB, 4MiB or 1GiB.
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for _, u := range units {
		if before, found := strings.CutSuffix(digits, u.suffix); found {
			digits, unit = strings.TrimSpace(before), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return errFormat
	}
	*s = Size(int64(n) * unit)
	return nil
}

// String writes the size as UnmarshalText reads it.
func (s Size) String() string {
	for _, u := range units {
		if s > 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// LogFormat is auto, text, logfmt or json.
type LogFormat string

// The formats; observe.NewLogger says what they look like.
const (
	LogAuto   LogFormat = "auto"
	LogText   LogFormat = "text"
	LogLogfmt LogFormat = "logfmt"
	LogJSON   LogFormat = "json"
)

func (f *LogFormat) UnmarshalText(text []byte) error {
	return oneOf(f, text, LogAuto, LogText, LogLogfmt, LogJSON)
}

// oneOf reads one of the known texts, in any case.
func oneOf[T ~string](to *T, text []byte, known ...T) error {
	*to = T(strings.ToLower(string(text)))
	if !slices.Contains(known, *to) {
		return errFormat
	}
	return nil
}

// Compat is how closely the server behaves like the Node service code_racer.
type Compat string

// The modes of Compat.
const (
	CompatDefault Compat = "default"
	CompatStrict  Compat = "strict"
)

func (c *Compat) UnmarshalText(text []byte) error {
	return oneOf(c, text, CompatDefault, CompatStrict)
}

// Secret is a value that must not be shown: it prints as stars.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString is for %#v.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// Proxies are the networks whose forwarding headers are trusted.
type Proxies []netip.Prefix

// Contains reports whether addr is one of the proxies.
func (p Proxies) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// UnmarshalText reads a comma-separated list of addresses and CIDR ranges.
func (p *Proxies) UnmarshalText(text []byte) error {
	var list Proxies
	for item := range items(text) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, err := netip.ParseAddr(item)
			if err != nil || addr.Zone() != "" {
				return errFormat
			}
			addr = addr.Unmap()
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		} else if prefix.Addr().Is4In6() {
			// Contains compares IPv4 addresses only in their short form.
			return errFormat
		}
		list = append(list, prefix.Masked())
	}
	*p = list
	return nil
}

// items are the non-empty elements of a comma-separated list.
func items(text []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for item := range strings.SplitSeq(string(text), ",") {
			if item = strings.TrimSpace(item); item != "" && !yield(item) {
				return
			}
		}
	}
}
