package adapter

import (
	"context"
	"errors"
)

// showLife keeps a connection open on a channel of our own. When this process
// dies its end closes the connection at once, and the others see that nobody
// listens any more. Nothing is ever sent there.
func (r *Redis) showLife(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		if r.listen(ctx) {
			backoff.Reset()
		}
		backoff.Wait(ctx)
	}
}

// listen returns when the connection has ended, and reports whether there was
// one.
func (r *Redis) listen(ctx context.Context) (listened bool) {
	channel := r.server.subscribe(ctx, r.prefix+":alive:"+r.instance)
	defer channel.Close()
	defer context.AfterFunc(ctx, func() { channel.Close() })() // ends the wait below
	waiting := false
	for ctx.Err() == nil {
		_, err := channel.ReceiveTimeout(ctx, r.timing.Lease)
		switch {
		case err == nil:
			listened, waiting = true, false
		case !isTimeout(err) || waiting:
			return listened // broken, or it did not answer
		default:
			if channel.Ping(ctx) != nil {
				return listened
			}
			waiting = true
		}
	}
	return listened
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
