package redis

import (
	"context"
	"io"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redissim"
)

// A simSub is a subscription over a simulated link.
type simSub struct {
	link    *simLink
	channel string
	pongs   chan struct{}
	closed  chan struct{}
	once    sync.Once
	call    *simCall // nil until it is subscribed
}

// subscribe implements server.
func (l *simLink) subscribe(_ context.Context, channel string) subscription {
	return &simSub{link: l, channel: channel, pongs: make(chan struct{}, 8), closed: make(chan struct{})}
}

type simTimeout struct{}

func (simTimeout) Error() string { return "simulated: timeout" }
func (simTimeout) Timeout() bool { return true }

// ReceiveTimeout implements subscription.
func (s *simSub) ReceiveTimeout(ctx context.Context, limit time.Duration) (any, error) {
	defer s.link.whilePaused()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	if s.call == nil {
		return s.start(ctx, timer)
	}
	select {
	case <-s.pongs:
		return &goredis.Pong{}, nil
	case <-timer.C:
		return nil, simTimeout{}
	case <-s.call.broken:
		time.Sleep(s.call.end)
		return nil, io.EOF
	case <-s.closed:
		return nil, io.EOF
	}
}

func (s *simSub) start(ctx context.Context, timer *time.Timer) (any, error) {
	c, err := s.link.begin("subscribe")
	if err != nil {
		return nil, err
	}
	s.call = c
	answer := make(chan any, 1)
	go func() {
		if c.arrive(func(*redissim.Redis) {
			select {
			case <-s.closed:
			default:
				if !c.isBroken() {
					c.link.net.subs[s] = true
				}
			}
		}) {
			time.Sleep(c.back)
			answer <- &goredis.Subscription{}
		}
	}()
	select {
	case reply := <-answer:
		return reply, nil
	case <-timer.C:
		return nil, simTimeout{}
	case <-c.broken:
		time.Sleep(c.end)
		return nil, io.EOF
	case <-s.closed:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ping implements subscription.
func (s *simSub) Ping(context.Context, ...string) error {
	if s.call == nil || s.call.isBroken() {
		return io.EOF
	}
	go func() {
		if s.call.arrive(func(*redissim.Redis) {}) {
			select {
			case s.pongs <- struct{}{}:
			case <-s.closed:
			}
		}
	}()
	return nil
}

// Close implements subscription. A link that hangs does not bring the end to
// Redis before it passes again.
func (s *simSub) Close() error {
	s.once.Do(func() {
		close(s.closed)
		go func() {
			s.link.whileHung()
			s.link.net.mu.Lock()
			defer s.link.net.mu.Unlock()
			delete(s.link.net.subs, s)
		}()
	})
	return nil
}
