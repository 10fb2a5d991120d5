package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redissim"
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
