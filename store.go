package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"rollcall/adapter/memory"
	"rollcall/adapter/pubsub"
	"rollcall/adapter/redis"
	"rollcall/internal/config"
	"rollcall/internal/observe"
	"rollcall/rooms"
)

// store is the state that instances share, as main needs it.
type store interface {
	rooms.Store
	rooms.Records
	revoker
	// Bus carries broadcasts to the other instances.
	Bus() rooms.Bus
	// Instance is the id of this process among the instances.
	Instance() string
	// Ready returns nil when this instance is in step with the others.
	Ready() error
	// Close removes this instance's entries, or after a hand-over leaves them to the
	// other instances for handOverGrace.
	Close(ctx context.Context) error
}

// localStore is the store of a single instance.
type localStore struct {
	*memory.Store
	bus *memory.Bus
}

func (s localStore) Bus() rooms.Bus            { return s.bus }
func (localStore) Instance() string            { return "local" }
func (localStore) Ready() error                { return nil }
func (localStore) Close(context.Context) error { return nil }

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger, metrics *observe.Metrics) (store, error) {
	if cfg.RedisURL == "" {
		return localStore{memory.New(), &memory.Bus{}}, nil
	}
	name := cfg.Instance
	if name == "" {
		name, _ = os.Hostname() // on an error the random part of the id suffices
	}
	shared, err := redis.Open(ctx, redis.Options{
		URL:         cfg.RedisURL.Reveal(),
		TLSInsecure: cfg.RedisTLSInsecure,
		Prefix:      cfg.RedisPrefix,
		Instance:    redis.InstanceID(name),
		Grace:       cfg.Grace,
		HandOver:    handOverGrace,
		Log:         log,
	})
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	bus := pubsub.New(shared.Client(), pubsub.Options{Key: cfg.RedisChannel, Log: log})
	metrics.WatchStore(func() observe.StoreStats {
		s, b := shared.Stats(), bus.Stats()
		return observe.StoreStats{
			LeaseAge: s.LeaseAge, Lag: int(s.Lag), Queued: s.Queued, Drift: s.Drift,
			Repairs: s.Resyncs, Differences: s.Differences, Foreign: s.Refused, Calls: s.Calls, Errors: s.Errors, CallTime: s.CallTime,
			Published: b.Published, Received: b.Received, Refused: b.Refused, Dropped: b.Dropped,
		}
	})
	return sharedStore{shared, bus}, nil
}

// sharedStore is the store of several instances over Redis.
type sharedStore struct {
	*redis.Store
	bus *pubsub.Bus
}

func (s sharedStore) Bus() rooms.Bus { return s.bus }

// Ready needs both, since a new client must miss neither users nor broadcasts.
func (s sharedStore) Ready() error {
	if err := s.Store.Ready(); err != nil {
		return err
	}
	return s.bus.Ready()
}

// Close closes the bus first, since it uses the store's connection.
func (s sharedStore) Close(ctx context.Context) error {
	return errors.Join(s.bus.Close(ctx), s.Store.Close(ctx))
}
