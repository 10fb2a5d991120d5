package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/connlimit"
	"rollcall/internal/httpapi"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/internal/remote"
	"rollcall/internal/socketio"
	"rollcall/internal/stall"
	"rollcall/internal/tracks"
	"rollcall/public"
	"rollcall/rooms"
)

// server holds the parts of the program.
type server struct {
	cfg          config.Config
	log          *slog.Logger
	metrics      *observe.Metrics
	connLimit    *connlimit.Limiter
	sockets      *socketio.Server
	store        store
	service      *rooms.Rooms
	trackList    *tracks.Tracks
	authenticate func(token string) (rooms.Identity, error) // nil: clients are trusted
}

// newServer makes the parts. Only the store runs already; it is the last part that
// can fail, and serve closes it.
func newServer(ctx context.Context, cfg config.Config, log *slog.Logger, metrics *observe.Metrics) (*server, error) {
	trackList, err := tracks.New(cfg.RailsURL.Reveal(), log)
	if err != nil {
		return nil, fmt.Errorf("RAILS_URL: %w", err)
	}
	s := &server{cfg: cfg, log: log, metrics: metrics, trackList: trackList}
	inbound := memory.NewBudget(maxInbound(cfg))
	metrics.WatchInbound(inbound.Used, inbound.Limit())
	s.connLimit = connlimit.New(maxIdle(cfg, openFilesLimit()), func() { metrics.Refusal("idle_connection") })
	options := socketOptions(cfg, inbound, log, metrics)
	options.Polls = s.connLimit.CarriesSession
	s.sockets = socketio.New(options)
	metrics.WatchQueues(s.sockets.Queued, maxQueues(cfg))
	if s.store, err = openStore(ctx, cfg, log, metrics); err != nil {
		return nil, err
	}
	s.authenticate = authenticator(cfg.AuthSecrets(), s.store, log)
	s.service = rooms.New(rooms.Options{
		Instance:  s.store.Instance(),
		MaxUser:   int(cfg.MaxUser),
		Grace:     cfg.Grace,
		IdleAfter: cfg.IdleAfter,
		Strict:    cfg.Compat == config.CompatStrict,
		Bus:       s.store.Bus(),
		Records:   s.store,
		Tracks:    s.trackList.IDs,

		Authenticate: s.authenticate,
		AllowGuests:  cfg.AllowGuests,
		Observer:     metrics,
	}, s.store, s.sockets)
	metrics.WatchGrace(s.service.Unheld)
	s.sockets.Serve(s.service)
	return s, nil
}

// serve serves until ctx ends or the listener fails, then shuts everything down.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	running, stopRunning := context.WithCancel(context.Background())
	defer stopRunning()
	var background sync.WaitGroup
	background.Go(func() { _ = s.service.Run(running) })
	background.Go(func() { s.trackList.Run(running) })

	signOuts := &httpapi.Scheduler{}
	httpServer := s.newHTTPServer(ctx, signOuts)
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(stall.Listen(listener, s.cfg.WriteTimeout)) }()
	page := "http://" + net.JoinHostPort(cmp.Or(s.cfg.Host, "localhost"), strconv.Itoa(s.cfg.Port))
	s.log.Info("rollcall is listening", "address", listener.Addr().String(), "page", page)
	if !public.IsBuilt() {
		s.log.Info("the page, the element and the official browser client are not part of this build: make build")
	}
	limit := memory.Detect()
	s.log.Info("memory limit", "bytes", limit.Bytes, "source", string(limit.Source), "collector", limit.Collector(),
		"max_queues", maxQueues(s.cfg), "max_inbound", maxInbound(s.cfg))
	for _, w := range warnings(s.cfg, openFilesLimit()) {
		s.log.Warn(w)
	}

	var err error
	select {
	case err = <-served: // the listener failed
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	shutdown{
		timeout: s.cfg.ShutdownTimeout, log: s.log,
		signOuts: signOuts, service: s.service, sockets: s.sockets, server: httpServer,
		stopBackground: stopRunning, background: &background, store: s.store,
	}.run()
	s.log.Info("bye")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// newHTTPServer makes the HTTP server. When ctx has ended, /readyz says so.
func (s *server) newHTTPServer(ctx context.Context, signOuts *httpapi.Scheduler) *http.Server {
	ready := func() error {
		if ctx.Err() != nil {
			return errors.New("shutting down")
		}
		return s.store.Ready()
	}
	api, health := s.handlers(ready, signOuts)
	host := remote.Host(s.cfg.TrustedProxies)
	hostAllowed := func(r *http.Request) bool { return s.cfg.AllowedHosts.Allow(host(r)) }
	httpServer := &http.Server{
		Handler:           httpapi.AllowedHosts(hostAllowed, s.metrics.Refusal, routes(s.sockets, api, health)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second, // the handler of a poll extends it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.connLimit.Watch(httpServer)
	return httpServer
}

// routes serves every path of the server.
func routes(sockets, api, health http.Handler) http.Handler {
	files := public.Handler()
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, health)
	}
	mux.Handle("/", files)
	// The mux would redirect some of these paths.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case public.IsClient(r.URL.Path):
			files.ServeHTTP(w, r)
		case isEndpoint(r.URL.Path):
			sockets.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/api/"): // where ids may be "." and ".."
			api.ServeHTTP(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// isEndpoint reports whether a path is Socket.IO's, as in Node: without the final
// slash too (clients with addTrailingSlash: false), and every path below it (old
// native clients request /socket.io/1/ and /socket.io/1/websocket/).
func isEndpoint(path string) bool {
	return path == "/socket.io" || strings.HasPrefix(path, "/socket.io/")
}
