package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/engineio"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/internal/remote"
	"rollcall/internal/socketio"
	"rollcall/internal/stall"
	"rollcall/rooms"
)

// This file turns the configuration into options of the packages.

// pageURL is the page's address on this machine.
func pageURL(cfg config.Config) string {
	host := cfg.Host
	if host == "" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port))
}

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

// debugWriteTimeout ends connections whose client reads nothing of a profile.
const debugWriteTimeout = 15 * time.Second

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
	go server.Serve(stall.Listen(listener, debugWriteTimeout)) // ends with Close
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

// hostAllowed returns a function that reports whether the host of a request is
// allowed by ALLOWED_HOSTS.
func hostAllowed(cfg config.Config) func(*http.Request) bool {
	host := remote.Host(cfg.TrustedProxies)
	return func(r *http.Request) bool { return cfg.AllowedHosts.Allow(host(r)) }
}

// maxQueues bounds the bytes that are queued for all clients together.
func maxQueues(cfg config.Config) int64 {
	if cfg.MaxQueues > 0 {
		return int64(cfg.MaxQueues)
	}
	return max(memory.Detect().Bytes/4, int64(cfg.MaxQueue))
}

// maxIdle bounds the TCP connections without a session. files is the limit of open
// files, 0 if it is not known.
func maxIdle(cfg config.Config, files uint64) int {
	const most = 5000
	switch {
	case cfg.MaxIdleConnections > 0:
		return cfg.MaxIdleConnections
	case files > 0:
		return int(min(files/4, most))
	}
	return most
}

// maxInbound bounds the bytes that are being received from all clients together.
func maxInbound(cfg config.Config) int64 {
	if cfg.MaxInbound > 0 {
		return int64(cfg.MaxInbound)
	}
	return max(memory.Detect().Bytes/8, 3*int64(cfg.MaxBody))
}

// logMemory logs the memory limit and the bounds that follow from it, in bytes.
func logMemory(cfg config.Config, log *slog.Logger) {
	limit := memory.Detect()
	log.Info("memory limit", "bytes", limit.Bytes, "source", string(limit.Source), "collector", limit.Collector(),
		"max_queues", maxQueues(cfg), "max_inbound", maxInbound(cfg))
}
