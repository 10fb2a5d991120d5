package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A server is all that the store asks of Redis. Production has liveServer; the
// simulation has one in memory, whose network and clock it controls.
type server interface {
	// eval runs a script on the keys of a prefix. The reply has the types that
	// go-redis gives it.
	eval(ctx context.Context, script *luaScript, prefix string, args []any) (any, error)
	// readStream returns at most count entries of a stream behind an id. If
	// there are none it waits for some, for as long as block; then it returns
	// none.
	readStream(ctx context.Context, stream, after string, count int, block time.Duration) ([]goredis.XMessage, error)
	// subscribe subscribes to a channel. Errors show when it is received from.
	subscribe(ctx context.Context, channel string) subscription
	// Close ends all calls and subscriptions.
	Close() error
}

// A subscription is the part of goredis.PubSub that the store uses.
type subscription interface {
	ReceiveTimeout(ctx context.Context, limit time.Duration) (any, error)
	Ping(ctx context.Context, payload ...string) error
	Close() error
}

// liveServer is a Redis reached over the network.
type liveServer struct{ goredis.UniversalClient }

// eval implements server. Redis may have forgotten the script; then it is sent
// again.
func (s liveServer) eval(ctx context.Context, script *luaScript, prefix string, args []any) (any, error) {
	return script.redis.Run(ctx, s.UniversalClient, []string{prefix}, args...).Result()
}

// readStream implements server.
func (s liveServer) readStream(ctx context.Context, stream, after string, count int, block time.Duration) ([]goredis.XMessage, error) {
	streams, err := s.XRead(ctx, &goredis.XReadArgs{
		Streams: []string{stream, after},
		Count:   int64(count),
		Block:   block,
	}).Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	return streams[0].Messages, nil
}

// subscribe implements server.
func (s liveServer) subscribe(ctx context.Context, channel string) subscription {
	return s.Subscribe(ctx, channel)
}
