package redis

import (
	"context"
	"errors"
)

// holdAliveSubscription keeps a connection subscribed to a channel of this
// instance. When the process dies its connections close at once, and the others
// see that nobody is subscribed any more. Nothing is ever sent there.
func (r *Store) holdAliveSubscription(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		if r.subscribeAlive(ctx) {
			backoff.Reset()
		}
		backoff.Wait(ctx)
	}
}

// subscribeAlive returns when the subscription has ended, and reports whether
// there was one.
func (r *Store) subscribeAlive(ctx context.Context) (subscribed bool) {
	channel := r.server.subscribe(ctx, r.prefix+":alive:"+r.instance)
	defer channel.Close()
	defer context.AfterFunc(ctx, func() { channel.Close() })() // ends the wait below
	waiting := false
	for ctx.Err() == nil {
		_, err := channel.ReceiveTimeout(ctx, r.timing.Lease)
		switch {
		case err == nil:
			subscribed, waiting = true, false
		case !isTimeout(err) || waiting:
			return subscribed // broken, or it did not answer
		default:
			if channel.Ping(ctx) != nil {
				return subscribed
			}
			waiting = true
		}
	}
	return subscribed
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
