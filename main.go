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
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rollcall/adapter"
	"rollcall/internal/config"
	"rollcall/internal/httpapi"
	"rollcall/internal/limit"
	"rollcall/internal/observe"
	"rollcall/internal/tracks"
	"rollcall/internal/wire"
	"rollcall/public"
	"rollcall/rooms"
)

// handOver bounds how long the other instances are told of our leaving, should
// Redis not answer. They find out by themselves within 5 s.
const handOver = 2 * time.Second

// comeBack is over what time the clients of an instance that ends are spread,
// so that they do not all come to another one at once.
const comeBack = 3 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rollcall:", err)
		os.Exit(1)
	}
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
	log := observe.NewLogger(stdout, cfg.LogFormat, cfg.LogLevel)

	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	metrics := observe.NewMetrics(rooms.Events(), rooms.EventKind)
	course, err := tracks.New(tracks.Options{URL: cfg.RailsURL.Reveal(), Log: log})
	if err != nil {
		listener.Close()
		return fmt.Errorf("RAILS_URL: %w", err)
	}
	sockets := wire.New(wireOptions(cfg, log, metrics))
	store, err := openStore(ctx, cfg, log, metrics)
	if err != nil {
		listener.Close()
		return err
	}
	hall := rooms.New(rooms.Options{
		Instance:  store.Instance(),
		MaxUser:   int(cfg.MaxUser),
		Grace:     cfg.Grace,
		IdleAfter: cfg.IdleAfter,
		Strict:    cfg.Compat == config.CompatStrict,
		Bus:       store.Bus(),
		Records:   store,
		Tracks:    course.IDs,
		Observer:  metrics,
	}, store, sockets)
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
	server := &http.Server{
		Handler:           routes(sockets, api(cfg, hall), metrics, ready),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("rollcall is listening", "address", listener.Addr().String(), "page", pageURL(cfg))
	if !public.HasClient() {
		log.Info("the official browser client is not built in: the page works without, /socket.io/socket.io.js is not there")
	}
	log.Warn("clients are trusted to be who they say they are")

	select {
	case err = <-served: // the listener broke
	case <-ctx.Done():
	}
	log.Info("shutting down")
	deadline, cancel := context.WithTimeout(context.Background(), cfg.ShutdownTimeout)
	defer cancel()
	// Sessions first: polling requests end with them, and the server waits for those.
	hall.HandOver()
	sockets.Stop(deadline, min(comeBack, cfg.ShutdownTimeout/3))
	if e := server.Shutdown(deadline); e != nil {
		server.Close()
	}
	stopRunning()
	background.Wait()
	telling, cancel := context.WithTimeout(deadline, handOver)
	defer cancel()
	if e := store.Close(telling); e != nil {
		log.Warn("the others have to find out by themselves that this instance is gone", "error", e)
	}
	log.Info("bye")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// store is what instances share, with what main needs of it.
type store interface {
	rooms.Store
	rooms.Records
	// Bus carries messages to the other instances.
	Bus() rooms.Bus
	// Instance is this process's name in the map.
	Instance() string
	// Ready is nil when the map is in step with the other instances'.
	Ready() error
	// Close takes this instance out of the map, or leaves it for the grace.
	Close(ctx context.Context) error
}

// alone is the store of an instance without others.
type alone struct {
	*adapter.Memory
	bus *adapter.MemoryBus
}

func (a alone) Bus() rooms.Bus            { return a.bus }
func (alone) Instance() string            { return "local" }
func (alone) Ready() error                { return nil }
func (alone) Close(context.Context) error { return nil }

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger, metrics *observe.Metrics) (store, error) {
	if cfg.RedisURL == "" {
		return alone{adapter.NewMemory(), adapter.NewMemoryBus()}, nil
	}
	name := cfg.Instance
	if name == "" {
		name, _ = os.Hostname() // without one, the id's random part must do
	}
	shared, err := adapter.OpenRedis(ctx, adapter.RedisOptions{
		URL:         cfg.RedisURL.Reveal(),
		TLSInsecure: cfg.RedisTLSInsecure,
		Prefix:      cfg.RedisPrefix,
		Instance:    adapter.InstanceID(name),
		Grace:       cfg.Grace,
		Log:         log,
	})
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	bus := shared.OpenBus(adapter.BusOptions{Key: cfg.RedisChannel, Log: log})
	metrics.WatchStore(func() observe.StoreStats {
		s, b := shared.Stats(), bus.Stats()
		return observe.StoreStats{
			LeaseAge: s.LeaseAge, Lag: int(s.Lag), Queued: s.Queued, Drift: s.Drift,
			Repairs: s.Repairs, Calls: s.Calls, Errors: s.Errors, CallTime: s.CallTime,
			Published: b.Published, Received: b.Received, Refused: b.Refused, Dropped: b.Dropped,
		}
	})
	return together{shared, bus}, nil
}

// together is the store of instances that share one view.
type together struct {
	*adapter.Redis
	bus *adapter.RedisBus
}

func (t together) Bus() rooms.Bus { return t.bus }

// Ready asks for both: a client that is let in must miss neither users nor
// messages.
func (t together) Ready() error {
	if err := t.Redis.Ready(); err != nil {
		return err
	}
	return t.bus.Ready()
}

// Close ends the bus first: it uses the store's connection.
func (t together) Close(ctx context.Context) error {
	return errors.Join(t.bus.Close(ctx), t.Redis.Close(ctx))
}

// pageURL is where somebody at this machine finds the page.
func pageURL(cfg config.Config) string {
	host := cfg.Host
	if host == "" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port))
}

func wireOptions(cfg config.Config, log *slog.Logger, metrics *observe.Metrics) wire.Options {
	options := wire.Options{
		MaxMessage:    int(cfg.MaxMessage),
		MaxBody:       int(cfg.MaxBody),
		MaxQueue:      int(cfg.MaxQueue),
		MaxPerAddress: cfg.MaxConnectionsPerAddress,
		Address:       limit.Address(cfg.TrustedProxies),
		OriginAllowed: originAllowed(cfg),
		PingInterval:  cfg.PingInterval,
		PingTimeout:   cfg.PingTimeout,
		Log:           log,
		Observer:      metrics,
	}
	if cfg.RateLimited() {
		options.EventsPerSecond, options.EventsBurst = cfg.EventsPerSecond, cfg.EventsBurst
	}
	return options
}

// originAllowed decides which foreign pages may connect and ask.
func originAllowed(cfg config.Config) func(string) bool {
	return func(origin string) bool { return cfg.CORSOrigins.Any() || slices.Contains(cfg.CORSOrigins, origin) }
}

func api(cfg config.Config, hall *rooms.Rooms) http.Handler {
	return httpapi.API(httpapi.Options{
		Rooms:         hall,
		Key:           cfg.APIKey.Reveal(),
		MaxBody:       int64(cfg.MaxMessage),
		OriginAllowed: originAllowed(cfg),
	})
}

// routes is every path of the server.
func routes(sockets, api http.Handler, metrics *observe.Metrics, ready func() error) http.Handler {
	health := httpapi.Health(ready, metrics.Handler())
	client := public.Client()
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		if name := strings.TrimPrefix(r.URL.Path, "/socket.io/"); name != "" {
			client.ServeHTTP(w, r)
			return
		}
		sockets.ServeHTTP(w, r)
	})
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, health)
	}
	mux.Handle("/api/", api)
	mux.Handle("/", public.Handler())
	return mux
}
