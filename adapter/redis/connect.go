package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rollcall/internal/retry"
)

// connect makes the client. It dials when it is used.
func connect(o *goredis.UniversalOptions, timing Timing) goredis.UniversalClient {
	silenceLibrary()
	o.Protocol = 2
	// Nothing is tried again behind our back: whoever was cut off has to know,
	// since what it missed must be found out.
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
var silenceLibrary = sync.OnceFunc(func() { goredis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// call makes one call to Redis within a time limit, and counts it.
func (r *Store) call(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	started := r.timing.Now()
	err := f(ctx)
	r.counters.called(r.timing.Now().Sub(started), err)
	return err
}

// run runs a script. What makes it fail by its content is mended before it is
// tried again. Of data in a later format the error is a formatError.
func (r *Store) run(ctx context.Context, limit time.Duration, script *luaScript, args ...any) (any, error) {
	reply, err := r.eval(ctx, limit, script, args...)
	if err = asFormatError(err, r.format); err == nil || isDamage(err) {
		r.damage.note(ctx, r, script, err)
	}
	return reply, err
}

func (r *Store) eval(ctx context.Context, limit time.Duration, script *luaScript, args ...any) (any, error) {
	var reply any
	err := r.call(ctx, limit, func(ctx context.Context) (err error) {
		reply, err = r.server.eval(ctx, script, r.prefix, args)
		return err
	})
	return reply, err
}

func (r *Store) newBackoff() retry.Backoff {
	return retry.Backoff{First: r.timing.MaxBackoff / 16, Max: r.timing.MaxBackoff}
}
