// Rollcall is a presence server that speaks Socket.IO: a web app's clients tell
// it who they are, and everybody sees who is online.
//
// This file is wiring: configuration, adapter, rooms, wire, HTTP, and the order
// in which they end. What each of them is, its package says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/httpapi"
	"rollcall/internal/limit"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/internal/stall"
	"rollcall/internal/tracks"
	"rollcall/internal/wire"
	"rollcall/public"
	"rollcall/rooms"
)

// handOver bounds how long the other instances are told of our leaving, should
// Redis not answer. They find out by themselves within 5 s.
const handOver = 2 * time.Second

// finish is how long requests that go on may take to end. Sessions have ended
// then; what is left has had its time.
const finish = 2 * time.Second

// stay is how long the others go on listing the users of an instance that ended,
// who are on their way to them.
const stay = 5 * time.Second

// comeBack is over what time the clients of an instance that ends are spread,
// so that they do not all come to another one at once.
const comeBack = 3 * time.Second

// logTimeout is how long the end waits for somebody to take the last lines of the
// log.
const logTimeout = 500 * time.Millisecond

func main() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		second := <-signals // ends the process at once, however soon it comes
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), second.(syscall.Signal))
	}()
	// A log that nobody reads any more is an error of a write, not our end.
	signal.Ignore(syscall.SIGPIPE)
	stderr := observe.NewLogWriter(os.Stderr, func(lines uint64) []byte { return fmt.Appendf(nil, "rollcall: %d lines were dropped\n", lines) })
	stdlog.SetOutput(stderr) // whatever a library says
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintln(stderr, "rollcall:", err)
	}
	flushLog(stderr)
	if err != nil {
		os.Exit(1)
	}
}

// flushLog ends a log. What nobody takes by then is lost.
func flushLog(log *observe.LogWriter) {
	ctx, cancel := context.WithTimeout(context.Background(), logTimeout)
	defer cancel()
	_ = log.Close(ctx)
}

// run is the program. It returns when ctx has ended and everything is shut
// down, or with the reason why it cannot serve.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	cfg, err := config.Load(getenv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "-health":
		return httpapi.Probe(ctx, cfg.Host, cfg.Port)
	case len(args) > 0:
		return fmt.Errorf("unknown argument %q: there is only -health; everything else is set in the environment", args[0])
	}
	log, logWriter := observe.OpenLog(stdout, cfg.LogFormat, cfg.LogLevel)
	defer flushLog(logWriter)

	memory.Detect().Apply()
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close() // the server does too, if it comes to that
	metrics := observe.NewMetrics(rooms.Events(), rooms.EventKind, rooms.EventsSent())
	verifier, err := newVerifier(cfg)
	if err != nil {
		return err
	}
	course, err := tracks.New(tracks.Options{URL: cfg.RailsURL.Reveal(), Log: log})
	if err != nil {
		return fmt.Errorf("RAILS_URL: %w", err)
	}
	stopDebug, err := serveDebug(cfg.DebugAddress, log)
	if err != nil {
		return err
	}
	defer stopDebug()
	inbound := memory.NewBudget(maxInbound(cfg))
	metrics.WatchInbound(inbound.Used, inbound.Limit())
	conns := limit.NewConns(maxIdle(cfg, openFilesLimit()), func() { metrics.Refusal("idle_connection") })
	options := wireOptions(cfg, inbound, log, metrics)
	options.Polls = conns.CarriesSession
	sockets := wire.New(options)
	metrics.WatchQueues(sockets.Queued, maxQueues(cfg))
	metrics.WatchLog(logWriter.Dropped)
	store, err := openStore(ctx, cfg, log, metrics)
	if err != nil {
		return err
	}
	authenticate := authenticator(verifier, store, log)
	hall := rooms.New(rooms.Options{
		Instance:  store.Instance(),
		MaxUser:   int(cfg.MaxUser),
		Grace:     cfg.Grace,
		IdleAfter: cfg.IdleAfter,
		Strict:    cfg.Compat == config.CompatStrict,
		Bus:       store.Bus(),
		Records:   store,
		Tracks:    course.IDs,

		Authenticate: authenticate,
		AllowGuests:  cfg.AllowGuests,
		Observer:     metrics,
	}, store, sockets)
	metrics.WatchGrace(hall.Unheld)
	sockets.Serve(hall)

	running, stopRunning := context.WithCancel(context.Background())
	defer stopRunning()
	var background sync.WaitGroup
	background.Go(func() { _ = hall.Run(running) })
	background.Go(func() { course.Run(running) })

	ready := func() error {
		if ctx.Err() != nil {
			return errors.New("shutting down")
		}
		return store.Ready()
	}
	later := &httpapi.Later{}
	api, health := httpOptions{cfg, hall, store, metrics, log, ready, later, authenticate}.handlers()
	server := &http.Server{
		Handler:           httpapi.AllowedHosts(hostAllowed(cfg), metrics.Refusal, routes(sockets, api, health)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second, // of a request that may take longer, a poll, its handler changes it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	conns.Watch(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(stall.Listen(listener, cfg.WriteTimeout)) }()
	log.Info("rollcall is listening", "address", listener.Addr().String(), "page", pageURL(cfg))
	if !public.HasClient() {
		log.Info("the official browser client is not built in: the page works without, /socket.io/socket.io.js is not there")
	}
	logMemory(cfg, log)
	logWarnings(cfg, log)

	select {
	case err = <-served: // the listener broke
	case <-ctx.Done():
	}
	log.Info("shutting down")
	shutdown{
		timeout: cfg.ShutdownTimeout, log: log,
		later: later, hall: hall, sockets: sockets, server: server,
		stopRest: stopRunning, background: &background, store: store,
	}.run()
	log.Info("bye")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
