package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"rollcall/internal/auth"
	"rollcall/internal/config"
	"rollcall/internal/engineio"
	"rollcall/internal/httpapi"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/internal/remote"
	"rollcall/internal/socketio"
	"rollcall/internal/stall"
	"rollcall/rooms"
)

// This file turns the configuration into options of the packages.

func socketOptions(cfg config.Config, inbound *memory.Budget, log *slog.Logger, metrics *observe.Metrics) socketio.Options {
	options := engineio.Options{
		MaxMessage:     int(cfg.MaxMessage),
		MaxBody:        int(cfg.MaxBody),
		MaxQueues:      maxQueues(cfg),
		Inbound:        inbound,
		MaxQueue:       int(cfg.MaxQueue),
		MaxConnections: cfg.MaxConnections,
		MaxPerAddress:  cfg.MaxConnectionsPerAddress,
		Address:        remote.Address(cfg.TrustedProxies),
		Network:        remote.Network,
		Parameters:     rooms.Parameters(),
		NoJSONP:        !cfg.CORSOrigins.Any(),
		OriginAllowed:  originAllowed(cfg),
		PingInterval:   cfg.PingInterval,
		PingTimeout:    cfg.PingTimeout,
		WriteTimeout:   cfg.WriteTimeout,
		Log:            log,
	}
	if cfg.RateLimited() {
		options.PacketsPerSecond, options.PacketsBurst = cfg.EventsPerSecond, cfg.EventsBurst
	}
	return socketio.Options{Options: options, Observer: metrics}
}

// serveDebug serves Go's profiler until stop is called. Without an address it does
// nothing.
func serveDebug(address string, log *slog.Logger) (stop func() error, err error) {
	if address == "" {
		return func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("DEBUG_ADDRESS: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	// It ends with Close, and a connection whose client reads nothing of a profile before.
	go server.Serve(stall.Listen(listener, 15*time.Second))
	log.Info("the profiler is served", "address", listener.Addr().String())
	return server.Close, nil
}

// originAllowed returns a function that reports whether the page of a request is
// allowed by CORS_ORIGINS.
func originAllowed(cfg config.Config) func(*http.Request) bool {
	if cfg.CORSOrigins.Any() {
		return remote.Origin(cfg.TrustedProxies, nil)
	}
	return remote.Origin(cfg.TrustedProxies, func(origin string) bool { return slices.Contains(cfg.CORSOrigins, origin) })
}

// maxQueues bounds the bytes that are queued for all clients together.
func maxQueues(cfg config.Config) int64 {
	return cmp.Or(int64(cfg.MaxQueues), max(memory.Detect().Bytes/4, int64(cfg.MaxQueue)))
}

// maxInbound bounds the bytes that are being received from all clients together.
func maxInbound(cfg config.Config) int64 {
	return cmp.Or(int64(cfg.MaxInbound), max(memory.Detect().Bytes/8, 3*int64(cfg.MaxBody)))
}

// maxIdle bounds the TCP connections without a session. files is the limit of open
// files, 0 if it is not known.
func maxIdle(cfg config.Config, files uint64) int {
	const most = 5000
	return cmp.Or(cfg.MaxIdleConnections, int(min(files/4, most)), most)
}

// openFilesLimit is how many files this process may have open, 0 if that is not
// known. Go has raised it to the hard limit at start.
func openFilesLimit() uint64 {
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) // on an error it stays 0
	return uint64(limit.Cur)
}

// ownFiles is how many open files the process needs besides its clients' connections:
// listener, Redis, log, profiler, and requests without a session.
const ownFiles = 100

// warnings are the risks of a configuration that the operator should know. files is
// the limit of open files, 0 if it is not known.
func warnings(cfg config.Config, files uint64) []string {
	var w []string
	if len(cfg.AuthSecrets()) == 0 {
		w = append(w, "clients are trusted to be who they say they are: AUTH_SECRET is not set")
		if cfg.AllowGuests {
			w = append(w, "ALLOW_GUESTS has no effect without AUTH_SECRET: every client is accepted, as the user that it names")
		}
		if cfg.PublicAPI {
			w = append(w, "PUBLIC_API has no effect without AUTH_SECRET: anybody may read over HTTP")
		}
	}
	if isReachable(cfg.DebugAddress) {
		w = append(w, "DEBUG_ADDRESS listens on all interfaces: anybody who reaches it can read the memory of the process, secrets included; 127.0.0.1:6060 is safe")
	}
	if slices.Contains(cfg.CORSOrigins, "null") {
		w = append(w, "CORS_ORIGINS allows null, the origin of any page that another site puts into a sandboxed frame")
	}
	switch need := uint64(cfg.MaxConnections) + ownFiles; {
	case files == 0:
	case cfg.MaxConnections == 0:
		w = append(w, fmt.Sprintf("MAX_CONNECTIONS is 0, and the limit of open files is %d: with more connections new ones fail", files))
	case files < need:
		w = append(w, fmt.Sprintf("the limit of open files is %d, below MAX_CONNECTIONS (%d) and %d for the server itself: raise it (ulimit -n), or lower MAX_CONNECTIONS",
			files, cfg.MaxConnections, ownFiles))
	}
	return w
}

// isReachable reports whether an address to listen on means every interface.
func isReachable(address string) bool {
	host, _, err := net.SplitHostPort(address)
	addr, _ := netip.ParseAddr(host) // a name is not unspecified
	return err == nil && (host == "" || addr.Unmap().IsUnspecified())
}

var errRevoked = errors.New("the user's tokens issued until then are revoked")

// authenticator returns a function that checks tokens, nil without a secret: clients are
// trusted then.
func authenticator(secrets []string, revoked revoker, log *slog.Logger) func(token string) (rooms.Identity, error) {
	if len(secrets) == 0 {
		return nil
	}
	verifier := auth.New(secrets)
	return func(token string) (rooms.Identity, error) {
		identity, err := verifier.Verify(token, time.Now())
		if err == nil && identity.JWT {
			// A token without a time of issue counts as issued before.
			if at := revoked.RevokedAt(rooms.UserID(identity.User)); !at.IsZero() && !identity.IssuedAt.After(at) {
				err = errRevoked
			}
		}
		if err != nil {
			log.Info("a token was refused", "error", err)
			return rooms.Identity{}, err
		}
		return rooms.Identity{User: identity.User, Status: rooms.Status(identity.Status), Expires: identity.Expires}, nil
	}
}

// A revoker keeps, for each user, the time until which issued tokens are refused.
type revoker interface {
	Revoke(user string, at time.Time)
	RevokedAt(user string) time.Time
}

// handlers are those of the HTTP API and of health checks.
func (s *server) handlers(ready func() error, signOuts *httpapi.Scheduler) (api, health http.Handler) {
	address := remote.Address(s.cfg.TrustedProxies)
	attempts := httpapi.NewAttempts(address, s.log, s.metrics.Refusal)
	options := httpapi.Options{
		Rooms:     s.service,
		Key:       s.cfg.APIKey.Reveal(),
		Guests:    s.cfg.AllowGuests,
		Public:    s.cfg.PublicAPI,
		Revoke:    func(id string) { s.store.Revoke(id, time.Now()) },
		Scheduler: signOuts,
		Attempts:  attempts,
		Address:   address,
		Log:       s.log,
		MaxBody:   int64(s.cfg.MaxMessage),
		// A budget of its own, so that the app does not wait for clients' bodies.
		Inbound:       memory.NewBudget(max(memory.Detect().Bytes/32, 4*int64(s.cfg.MaxMessage))),
		OriginAllowed: originAllowed(s.cfg),
		Refused:       s.metrics.Refusal,
	}
	if s.authenticate != nil {
		options.Authenticate = func(token string) error { _, err := s.authenticate(token); return err }
	}
	return httpapi.API(options), httpapi.Health(httpapi.HealthOptions{
		Ready: ready, Metrics: s.metrics.Handler(), Attempts: attempts,
		MetricsKey: s.cfg.MetricsKey.Reveal(), APIKey: s.cfg.APIKey.Reveal(),
	})
}
