package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"rollcall/internal/config"
)

// ownFiles is how many files the process needs beside those of its clients:
// listener, Redis, log, profiler, and requests that hold no session.
const ownFiles = 100

// warnings are what the configuration allows and an operator should know. files
// is how many files the process may open, 0 if that is not known.
func warnings(cfg config.Config, files uint64) []string {
	var w []string
	if len(cfg.AuthSecrets()) == 0 {
		w = append(w, "clients are trusted to be who they say they are: AUTH_SECRET is not set")
		if cfg.AllowGuests {
			w = append(w, "ALLOW_GUESTS has no effect without AUTH_SECRET: everybody is let in, as whoever they say")
		}
		if cfg.PublicAPI {
			w = append(w, "PUBLIC_API has no effect without AUTH_SECRET: everybody may read over HTTP")
		}
	}
	if isReachable(cfg.DebugAddress) {
		w = append(w, "DEBUG_ADDRESS listens on all interfaces: whoever reaches it can read what is in memory, secrets too; 127.0.0.1:6060 is safe")
	}
	if slices.Contains(cfg.CORSOrigins, "null") {
		w = append(w, "CORS_ORIGINS allows null, which is the origin of any page that another site puts into a sandboxed frame")
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

// isReachable tells whether an address to listen on is that of every interface.
func isReachable(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.Unmap().IsUnspecified()
}

// logWarnings says them once, at start.
func logWarnings(cfg config.Config, log *slog.Logger) {
	for _, w := range warnings(cfg, openFilesLimit()) {
		log.Warn(w)
	}
}
