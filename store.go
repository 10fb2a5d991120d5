package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"rollcall/adapter"
	"rollcall/adapter/memory"
	"rollcall/adapter/pubsub"
	"rollcall/internal/config"
	"rollcall/internal/observe"
	"rollcall/rooms"
)

// store is what instances share, with what main needs of it.
type store interface {
	rooms.Store
	rooms.Records
	revoker
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
	bus *memory.Bus
}

func (a alone) Bus() rooms.Bus            { return a.bus }
func (alone) Instance() string            { return "local" }
func (alone) Ready() error                { return nil }
func (alone) Close(context.Context) error { return nil }

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger, metrics *observe.Metrics) (store, error) {
	if cfg.RedisURL == "" {
		return alone{adapter.NewMemory(), &memory.Bus{}}, nil
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
		HandOver:    stay,
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
			Repairs: s.Repairs, Differences: s.Differences, Foreign: s.Refused, Calls: s.Calls, Errors: s.Errors, CallTime: s.CallTime,
			Published: b.Published, Received: b.Received, Refused: b.Refused, Dropped: b.Dropped,
		}
	})
	return together{shared, bus}, nil
}

// together is the store of instances that share one view.
type together struct {
	*adapter.Redis
	bus *pubsub.Bus
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
