package redissim

import (
	"fmt"
	"strconv"
	"strings"
)

// command runs one command. Replies: nil, string, int, status, []string, []any.
func (r *Redis) command(args []string) (any, error) {
	if len(args) == 0 {
		return nil, errArguments
	}
	name, args := strings.ToUpper(args[0]), args[1:]
	f, ok := commands[name]
	if !ok {
		panic("redissim does not know the command " + name) // a script might pass over an error
	}
	if len(args) < f.least {
		return nil, errArguments
	}
	return f.run(r, args)
}

type command struct {
	least int // arguments
	run   func(*Redis, []string) (any, error)
}

var commands map[string]command

func init() {
	commands = map[string]command{
		"TIME": {0, (*Redis).time}, "DEL": {1, (*Redis).del}, "TYPE": {1, (*Redis).kind},
		"EXPIRE": {2, (*Redis).expire}, "PEXPIRE": {2, (*Redis).expire},
		"MEMORY": {2, (*Redis).absent}, "PUBSUB": {2, (*Redis).pubsub},
		"GET": {1, (*Redis).get}, "SET": {2, (*Redis).set}, "INCR": {1, (*Redis).incr},

		"HGET": {2, (*Redis).hget}, "HMGET": {2, (*Redis).hmget}, "HSET": {3, (*Redis).hset}, "HDEL": {2, (*Redis).hdel},
		"HLEN": {1, (*Redis).hlen}, "HEXISTS": {2, (*Redis).hexists}, "HINCRBY": {3, (*Redis).hincrby},
		"HKEYS": {1, (*Redis).hkeys}, "HGETALL": {1, (*Redis).hgetall},

		"ZADD": {3, (*Redis).zadd}, "ZSCORE": {2, (*Redis).zscore}, "ZREM": {2, (*Redis).zrem}, "ZCARD": {1, (*Redis).zcard},
		"ZCOUNT": {3, (*Redis).zcount}, "ZRANGE": {3, (*Redis).zrange}, "ZRANGEBYSCORE": {3, (*Redis).zrangebyscore},
		"ZREMRANGEBYRANK": {3, (*Redis).zremrangebyrank}, "ZREMRANGEBYSCORE": {3, (*Redis).zremrangebyscore},
		"ZINCRBY": {3, (*Redis).zincrby}, "ZREVRANGE": {3, (*Redis).zrevrange},

		"RPUSH": {2, (*Redis).rpush}, "LPOP": {1, (*Redis).lpop}, "LLEN": {1, (*Redis).llen}, "LINDEX": {2, (*Redis).lindex},
		"LRANGE": {3, (*Redis).lrange},

		"XADD": {4, (*Redis).xadd}, "XLEN": {1, (*Redis).xlen}, "XTRIM": {3, (*Redis).xtrim},
		"XRANGE": {3, (*Redis).xrange}, "XREVRANGE": {3, (*Redis).xrevrange},
	}
}

// value returns what is under a key, the zero T if nothing is.
func value[T any](r *Redis, key string) (T, error) {
	var none T
	v, ok := r.data[key]
	if !ok {
		return none, nil
	}
	typed, ok := v.(T)
	if !ok {
		return none, wrongType()
	}
	return typed, nil
}

func (r *Redis) time([]string) (any, error) {
	now := r.Now()
	return []string{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)}, nil
}

func (r *Redis) del(args []string) (any, error) {
	n := 0
	for _, key := range args {
		if _, ok := r.data[key]; ok {
			n++
		}
		delete(r.data, key)
	}
	return n, nil
}

func (r *Redis) kind(args []string) (any, error) {
	switch r.data[args[0]].(type) {
	case string:
		return status("string"), nil
	case hash:
		return status("hash"), nil
	case zset:
		return status("zset"), nil
	case list:
		return status("list"), nil
	case *stream:
		return status("stream"), nil
	}
	return status("none"), nil
}

// expire does not: a simulation is short.
func (r *Redis) expire(args []string) (any, error) {
	if _, ok := r.data[args[0]]; !ok {
		return 0, nil
	}
	return 1, nil
}

// absent is a command that an access list forbids.
func (r *Redis) absent([]string) (any, error) {
	return nil, fmt.Errorf("NOPERM this user has no permissions to run this command")
}

func (r *Redis) pubsub(args []string) (any, error) {
	return []any{args[1], r.Listeners(args[1])}, nil
}

func (r *Redis) get(args []string) (any, error) {
	if _, ok := r.data[args[0]]; !ok {
		return nil, nil
	}
	return value[string](r, args[0])
}

func (r *Redis) set(args []string) (any, error) {
	r.data[args[0]] = args[1]
	return status("OK"), nil
}

func (r *Redis) incr(args []string) (any, error) {
	text, err := value[string](r, args[0])
	if err != nil {
		return nil, err
	}
	n := 0
	if text != "" {
		if n, err = strconv.Atoi(text); err != nil {
			return nil, notInteger()
		}
	}
	r.data[args[0]] = strconv.Itoa(n + 1)
	return n + 1, nil
}
