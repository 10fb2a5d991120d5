// Package config is the sole reader of the environment. Config documents every
// variable: docs/reference/configuration.md is made from its tags and comments, and a
// test holds the two equal. No other package may look at the environment.
package config

import (
	"log/slog"
	"strings"
	"time"
)

//go:generate go test -run TestConfigurationTable -update

// Config is everything an operator can set. Each comment is the variable's
// meaning in the reference. min and max are inclusive and read in the field's type.
type Config struct {
	// The port to listen on.
	Port int `env:"PORT" envDefault:"8000" min:"1" max:"65535"`
	// The address or host name to listen on; empty: all interfaces.
	Host string `env:"HOST"`
	// The origins whose pages may connect, comma-separated, such as `https://app.example.com` or `capacitor://localhost`; `*`: all. Otherwise pages of other origins are refused, and JSONP is off.
	CORSOrigins Origins `env:"CORS_ORIGINS" envDefault:"*"`
	// The host names under which the server may be asked for, comma-separated, such as `rollcall.example.com` or `*.example.com`, with a port if only that one is meant; others are refused, but for health checks, so that no foreign page gets in by DNS rebinding. Empty: any.
	AllowedHosts Hosts `env:"ALLOWED_HOSTS"`
	// The least severe level that is logged: `debug`, `info`, `warn` or `error`.
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// How logs are written: `text` for people, `logfmt` (key=value) or `json` for programs; `auto`: `text` on a terminal, else `logfmt`.
	LogFormat LogFormat `env:"LOG_FORMAT" envDefault:"auto"`
	// The largest single message from a client, such as `65536`, `64KiB` or `4MiB`.
	MaxMessage Size `env:"MAX_MESSAGE" envDefault:"64KiB" min:"1KiB" max:"64MiB"`
	// The largest user object; at most `MAX_MESSAGE`.
	MaxUser Size `env:"MAX_USER" envDefault:"4KiB" min:"64" max:"64MiB"`
	// The largest body of one polling POST, which may carry several messages; at least `MAX_MESSAGE`.
	MaxBody Size `env:"MAX_BODY" envDefault:"1000000" min:"1KiB" max:"256MiB"`
	// How much of bodies and long messages all clients together may be sending at the same time; at the bound the next one waits for up to 1 s and is then refused (503). 0: an eighth of the memory limit, which is `GOMEMLIMIT`, else that of the container, else 512 MiB, but at least three times `MAX_BODY`; see [Memory](limits.md#memory).
	MaxInbound Size `env:"MAX_INBOUND" envDefault:"0" min:"0" max:"1024GiB"`
	// How much may wait to be sent to one socket before it is disconnected as too slow.
	MaxQueue Size `env:"MAX_QUEUE" envDefault:"4MiB" min:"1KiB" max:"1GiB"`
	// How much may wait to be sent to all sockets together, in which what many wait for counts once; over it those with the longest queues are disconnected. 0: a quarter of the memory limit, but at least `MAX_QUEUE`; see [Memory](limits.md#memory).
	MaxQueues Size `env:"MAX_QUEUES" envDefault:"0" min:"0" max:"1024GiB"`
	// How many events a second a socket may send in the long run; 0: no limit.
	EventsPerSecond int `env:"EVENTS_PER_SECOND" envDefault:"20" min:"0" max:"1000000"`
	// How many events a socket may send at once after a pause; 0: no limit at all.
	EventsBurst int `env:"EVENTS_BURST" envDefault:"40" min:"0" max:"1000000"`
	// How many connections there may be; at the limit a new client takes the place of a polling session that has not polled for longest. 0: no limit.
	MaxConnections int `env:"MAX_CONNECTIONS" envDefault:"50000" min:"0" max:"10000000"`
	// How many TCP connections without a session there may be: idle ones, requests that are not complete, requests for something else; over it the one that has been idle for longest is closed. 0: a quarter of the limit of open files, at most 5,000.
	MaxIdleConnections int `env:"MAX_IDLE_CONNECTIONS" envDefault:"0" min:"0" max:"1000000"`
	// How many connections one address may hold; of IPv6 the /64 network counts as one address. 0: no limit.
	MaxConnectionsPerAddress int `env:"MAX_CONNECTIONS_PER_ADDRESS" envDefault:"0" min:"0" max:"1000000"`
	// Proxies whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are believed: addresses or CIDR ranges, comma-separated.
	TrustedProxies Proxies `env:"TRUSTED_PROXIES"`
	// How often a client's connection is checked with a ping.
	PingInterval time.Duration `env:"PING_INTERVAL" envDefault:"25s" min:"100ms" max:"1h"`
	// How long a client may take to answer a ping before it counts as gone.
	PingTimeout time.Duration `env:"PING_TIMEOUT" envDefault:"20s" min:"100ms" max:"1h"`
	// How long a user who closed or lost the last connection stays listed, online and in chat rooms, so that a page reload is not seen; with `COMPAT=strict` the default is `0s`.
	Grace time.Duration `env:"GRACE" envDefault:"2s" min:"0s" max:"10m"`
	// How long a user who does nothing in any tab counts as active, before `away`; 0: for ever.
	IdleAfter time.Duration `env:"IDLE_AFTER" envDefault:"5m" min:"0s" max:"24h"`
	// `strict`: every event to everybody, one list element per connection and nothing batched, as the Node service code_racer did; `default`: the same to a client's eye, better underneath.
	Compat Compat `env:"COMPAT" envDefault:"default"`
	// The Rails app, such as `https://app.example.com`: races take their tracks from `/api/tracks` there; empty: there are no tracks.
	RailsURL Secret `env:"RAILS_URL"`
	// The app's key for the HTTP API, of at least 16 characters, sent as `Authorization: Bearer …`: requests that change something need it, and with it the app never waits behind others. Empty: nothing can be changed.
	APIKey Secret `env:"API_KEY"`
	// The key for `/metrics`, of at least 16 characters, sent as `Authorization: Bearer …`; empty: anybody may read them.
	MetricsKey Secret `env:"METRICS_KEY"`
	// The secret that clients' tokens are signed with, of at least 16 characters; two, comma-separated, while one is being replaced; empty: clients are trusted to be who they say.
	AuthSecret Secret `env:"AUTH_SECRET"`
	// With `AUTH_SECRET`: accept clients without a valid token, as guests without an id; they may also read over HTTP.
	AllowGuests bool `env:"ALLOW_GUESTS" envDefault:"false"`
	// With `AUTH_SECRET`: let anybody read over HTTP, without a key or token.
	PublicAPI bool `env:"PUBLIC_API" envDefault:"false"`
	// Where Redis is, to share one view among all instances: `redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`; empty: this instance is alone.
	RedisURL Secret `env:"REDIS_URL"`
	// The prefix of all keys in Redis; one deployment is one prefix, and deployments with different prefixes share nothing, unless you give them the same `REDIS_CHANNEL`.
	RedisPrefix string `env:"REDIS_PREFIX" envDefault:"rollcall"`
	// Accept any certificate from Redis, such as the self-signed ones of Heroku.
	RedisTLSInsecure bool `env:"REDIS_TLS_INSECURE" envDefault:"false"`
	// The key of the official Socket.IO Redis adapter and emitter that share messages with us; empty: `socket.io`, or with another `REDIS_PREFIX` than `rollcall` that prefix and `:socket.io`.
	RedisChannel string `env:"REDIS_CHANNEL"`
	// The name of this instance among the others, in logs and in Redis; empty: the host name.
	Instance string `env:"INSTANCE"`
	// The address for Go's profiler, such as `127.0.0.1:6060`, which shows what is in memory: never one that the internet reaches; empty: none.
	DebugAddress string `env:"DEBUG_ADDRESS"`
	// For how long a client may take nothing of what is written to it, before it is cut off; one that takes a little goes on.
	WriteTimeout time.Duration `env:"WRITE_TIMEOUT" envDefault:"15s" min:"100ms" max:"10m"`
	// How long a shutdown may take before what is left is cut off.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"10s" min:"100ms" max:"10m"`
}

// RateLimited tells whether the events of a socket are limited at all.
func (c Config) RateLimited() bool { return c.EventsPerSecond > 0 && c.EventsBurst > 0 }

// AuthSecrets is AUTH_SECRET's list; empty: clients are trusted.
func (c Config) AuthSecrets() []string {
	var out []string
	for one := range strings.SplitSeq(c.AuthSecret.Reveal(), ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}
