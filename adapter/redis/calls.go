package redis

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rollcall/internal/ratelog"
	"rollcall/internal/retry"
)

// A server is all that the store needs of Redis. Production has liveServer; the
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

// eval implements server. A script that Redis does not have cached is sent whole.
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

// connect makes the client. It dials when it is used.
func connect(o *goredis.UniversalOptions, timing Timing) goredis.UniversalClient {
	silenceLibrary()
	o.Protocol = 2
	// The library retries nothing: a goroutine whose connection broke has to know,
	// since it may have missed something.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = timing.Call
	// The context's deadline comes before these in every call.
	o.ContextTimeoutEnabled = true
	o.ReadTimeout = 5 * timing.Call
	o.WriteTimeout = 5 * timing.Call
	o.PoolTimeout = timing.Call
	// The writer, the lease, the reader, the last activity, the revocations and the
	// bus use one each.
	o.PoolSize = 6 + maxQueries + maxAppQueries
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return goredis.NewUniversalClient(o)
}

// silenceLibrary ends the client library's own log, which is one for the whole
// process: it would repeat each failed dial. Every error reaches us anyway.
var silenceLibrary = sync.OnceFunc(logging.Disable)

// A caller makes and counts the calls to Redis, for all parts of the store.
// It is safe for concurrent use.
type caller struct {
	instance string
	prefix   string // in its hash tag: {rollcall}
	timing   Timing
	server   server
	log      *slog.Logger
	counters counters
	tokens   atomic.Uint64    // given out
	rejected *ratelog.Warning // see reject
}

// eval runs a script within a time limit, and counts the call.
func (c *caller) eval(ctx context.Context, limit time.Duration, script *luaScript, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	started := c.timing.Now()
	reply, err := c.server.eval(ctx, script, c.prefix, args)
	c.counters.called(c.timing.Now().Sub(started), err)
	return reply, err
}

// newToken names one call among those of all instances.
func (c *caller) newToken() string {
	return c.instance + "." + strconv.FormatUint(c.tokens.Add(1), 36)
}

func (c *caller) newBackoff() retry.Backoff {
	return retry.Backoff{First: c.timing.MaxBackoff / 16, Max: c.timing.MaxBackoff}
}

// reject counts a value from Redis that no client may get, and logs it at a
// limited rate. It is left out.
func (c *caller) reject(err error) {
	c.counters.rejected.Add(1)
	c.rejected.Note(err)
}
