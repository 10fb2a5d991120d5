package redis

import (
	"context"
	"errors"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// Nobody but the instances may write under the prefix. If somebody does, a
// script may meet what it cannot work with, and would for ever: so it is
// deleted, and what it belonged to is written again.

// damage counts what scripts met. The zero value has met nothing.
type damage struct {
	// mu guards the field below.
	mu sync.Mutex
	// times is how often in a row each script failed by what it met.
	times map[*luaScript]int
}

// maxFailures is how often a script may fail before everything that it could
// have met is deleted: at first only what has a type that it cannot have.
const maxFailures = 3

// isDamage tells failing by the content of keys from all other reasons.
func isDamage(err error) bool {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return false
	}
	for _, sign := range []string{"WRONGTYPE", "not an integer", "attempt to "} {
		if strings.Contains(reply.Error(), sign) {
			return true
		}
	}
	return false
}

// note takes the result of a script that met damage, or none.
func (d *damage) note(ctx context.Context, r *Store, script *luaScript, err error) {
	d.mu.Lock()
	if err == nil {
		delete(d.times, script)
		d.mu.Unlock()
		return
	}
	if d.times == nil {
		d.times = make(map[*luaScript]int)
	}
	d.times[script]++
	all := d.times[script] >= maxFailures
	if all {
		delete(d.times, script)
	}
	d.mu.Unlock()
	r.mend(ctx, all, err)
}

// mend deletes what is damaged: keys of a type that they cannot have, and what
// makes no sense without them; or all that is not for good.
func (r *Store) mend(ctx context.Context, all bool, why error) {
	r.mu.Lock()
	owners := r.others.instances()
	args := []any{all, len(owners) + 1, r.instance}
	for _, instance := range owners {
		args = append(args, instance)
	}
	for _, one := range r.own.batch(r.batch) { // this may be what failed
		if room, ok := strings.CutPrefix(one.place.List, roomPrefix); ok {
			args = append(args, room)
		}
		if one.kind == opSay {
			args = append(args, one.said.Room)
		}
	}
	r.mu.Unlock()
	reply, err := r.eval(ctx, 5*r.timing.Call, r.scripts.mend, args...)
	if keys := texts(reply); err == nil && len(keys) > 0 {
		r.log.Error("somebody else wrote under the prefix in Redis; what cannot be used is deleted",
			"keys", keys, "error", why)
	}
}
