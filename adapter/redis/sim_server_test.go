package redis

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redistest/redissim"
)

// eval implements server.
func (l *simLink) eval(ctx context.Context, script *luaScript, prefix string, args []any) (any, error) {
	c, err := l.begin(script.name)
	if err != nil {
		return nil, err
	}
	answer := make(chan any, 1)
	go func() {
		var reply any
		if !c.arrive(func(r *redissim.Redis) {
			var err error
			texts := simArgs(args)
			if reply, err = r.Eval(script.name, l.net.scripts(script), prefix, texts); err != nil {
				reply = simReplyError(err.Error())
			} else {
				l.net.rules.ran(r, script.name, texts, reply)
			}
			close(l.net.news)
			l.net.news = make(chan struct{})
		}) {
			return
		}
		time.Sleep(c.back)
		l.whileHung()
		time.Sleep(c.end)
		answer <- reply
	}()
	return c.deliver(ctx, answer)
}

// simReplyError is an error that Redis itself answers.
type simReplyError string

func (e simReplyError) Error() string { return string(e) }
func (simReplyError) RedisError()     {}

func simArgs(args []any) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			out[i] = v
		case bool:
			out[i] = "0"
			if v {
				out[i] = "1"
			}
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}

// readStream implements server.
func (l *simLink) readStream(ctx context.Context, stream, after string, count int, block time.Duration) ([]goredis.XMessage, error) {
	c, err := l.begin("read")
	if err != nil {
		return nil, err
	}
	answer := make(chan any, 1)
	go func() {
		var found []redissim.Message
		end := time.NewTimer(c.there + block)
		defer end.Stop()
		for ended := false; len(found) == 0 && !ended; {
			var news chan struct{}
			if !c.arrive(func(r *redissim.Redis) {
				found, _ = r.After(stream, after, count) // of another type: nothing
				news = l.net.news
			}) {
				return
			}
			if c.there = 1; len(found) > 0 {
				break
			}
			select {
			case <-news:
			case <-end.C:
				ended = true
			case <-c.broken:
				return
			case <-ctx.Done():
				return
			}
		}
		time.Sleep(c.back)
		l.whileHung()
		time.Sleep(c.end)
		messages := make([]goredis.XMessage, len(found))
		for i, m := range found {
			messages[i] = goredis.XMessage{ID: m.ID, Values: m.Values}
		}
		answer <- messages
	}()
	reply, err := c.deliver(ctx, answer)
	messages, _ := reply.([]goredis.XMessage)
	return messages, err
}

// Close implements server: all that goes on ends.
func (l *simLink) Close() error {
	l.change(func() { l.dead = true })
	return nil
}

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
