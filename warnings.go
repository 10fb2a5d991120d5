package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"rollcall/internal/config"
)

// ownFiles is how many open files the process needs beside its clients' connections:
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
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.Unmap().IsUnspecified()
}

// logWarnings logs the warnings, once, at start.
func logWarnings(cfg config.Config, log *slog.Logger) {
	for _, w := range warnings(cfg, openFilesLimit()) {
		log.Warn(w)
	}
}
