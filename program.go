package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/connlimit"
	"rollcall/internal/httpapi"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/internal/stall"
	"rollcall/internal/tracks"
	"rollcall/internal/wire"
	"rollcall/public"
	"rollcall/rooms"
)

// program holds the parts of the server.
type program struct {
	cfg          config.Config
	log          *slog.Logger
	metrics      *observe.Metrics
	connLimit    *connlimit.Limiter
	sockets      *wire.Server
	store        store
	service      *rooms.Rooms
	trackList    *tracks.Tracks
	authenticate func(token string) (rooms.Identity, error) // nil: clients are trusted
}

// newProgram makes the parts. Only the store runs already; it is the last part that
// can fail, and serve closes it.
func newProgram(ctx context.Context, cfg config.Config, log *slog.Logger, metrics *observe.Metrics) (*program, error) {
	verifier, err := newVerifier(cfg)
	if err != nil {
		return nil, err
	}
	p := &program{cfg: cfg, log: log, metrics: metrics}
	if p.trackList, err = tracks.New(tracks.Options{URL: cfg.RailsURL.Reveal(), Log: log}); err != nil {
		return nil, fmt.Errorf("RAILS_URL: %w", err)
	}
	inbound := memory.NewBudget(maxInbound(cfg))
	metrics.WatchInbound(inbound.Used, inbound.Limit())
	p.connLimit = connlimit.New(maxIdle(cfg, openFilesLimit()), func() { metrics.Refusal("idle_connection") })
	options := wireOptions(cfg, inbound, log, metrics)
	options.Polls = p.connLimit.CarriesSession
	p.sockets = wire.New(options)
	metrics.WatchQueues(p.sockets.Queued, maxQueues(cfg))
	if p.store, err = openStore(ctx, cfg, log, metrics); err != nil {
		return nil, err
	}
	p.authenticate = authenticator(verifier, p.store, log)
	p.service = rooms.New(rooms.Options{
		Instance:  p.store.Instance(),
		MaxUser:   int(cfg.MaxUser),
		Grace:     cfg.Grace,
		IdleAfter: cfg.IdleAfter,
		Strict:    cfg.Compat == config.CompatStrict,
		Bus:       p.store.Bus(),
		Records:   p.store,
		Tracks:    p.trackList.IDs,

		Authenticate: p.authenticate,
		AllowGuests:  cfg.AllowGuests,
		Observer:     metrics,
	}, p.store, p.sockets)
	metrics.WatchGrace(p.service.Unheld)
	p.sockets.Serve(p.service)
	return p, nil
}

// serve serves until ctx ends or the listener fails, then shuts everything down.
func (p *program) serve(ctx context.Context, listener net.Listener) error {
	running, stopRunning := context.WithCancel(context.Background())
	defer stopRunning()
	var background sync.WaitGroup
	background.Go(func() { _ = p.service.Run(running) })
	background.Go(func() { p.trackList.Run(running) })

	signOuts := &httpapi.Scheduler{}
	server := p.newServer(ctx, signOuts)
	served := make(chan error, 1)
	go func() { served <- server.Serve(stall.Listen(listener, p.cfg.WriteTimeout)) }()
	p.log.Info("rollcall is listening", "address", listener.Addr().String(), "page", pageURL(p.cfg))
	if !public.IsBuilt() {
		p.log.Info("the page, the element and the official browser client are not part of this build: make build")
	}
	logMemory(p.cfg, p.log)
	logWarnings(p.cfg, p.log)

	var err error
	select {
	case err = <-served: // the listener failed
	case <-ctx.Done():
	}
	p.log.Info("shutting down")
	shutdown{
		timeout: p.cfg.ShutdownTimeout, log: p.log,
		signOuts: signOuts, service: p.service, sockets: p.sockets, server: server,
		stopBackground: stopRunning, background: &background, store: p.store,
	}.run()
	p.log.Info("bye")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// newServer makes the HTTP server. When ctx has ended, /readyz says so.
func (p *program) newServer(ctx context.Context, signOuts *httpapi.Scheduler) *http.Server {
	ready := func() error {
		if ctx.Err() != nil {
			return errors.New("shutting down")
		}
		return p.store.Ready()
	}
	api, health := p.handlers(ready, signOuts)
	server := &http.Server{
		Handler:           httpapi.AllowedHosts(hostAllowed(p.cfg), p.metrics.Refusal, routes(p.sockets, api, health)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second, // the handler of a poll extends it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	p.connLimit.Watch(server)
	return server
}
