package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// What a script meets in Redis may be of a later release, or written by somebody
// else.

// runScript runs a script. What makes it fail by its content is deleted before it is
// tried again. Of data in a later format the error is a formatError.
func (r *Store) runScript(ctx context.Context, limit time.Duration, script *luaScript, args ...any) (any, error) {
	reply, err := r.eval(ctx, limit, script, args...)
	if err = asFormatError(err, r.format); err == nil || isDamage(err) {
		if times := r.damage.note(script, err != nil); times > 0 {
			r.mend(ctx, times == maxFailures, err)
		}
	}
	return reply, err
}

// A formatError says that what is in Redis has a later format than this
// instance reads and writes. It touches none of it until that has changed.
type formatError struct{ found, own string }

func (e *formatError) Error() string {
	return fmt.Sprintf("a later release of Rollcall uses this prefix in Redis: its data have format %s, this release knows format %s; update this instance, or give it a prefix of its own", e.found, e.own)
}

// asFormatError is err, or the formatError that a script means by it.
func asFormatError(err error, own int) error {
	var reply goredis.Error
	if errors.As(err, &reply) {
		if found, ok := strings.CutPrefix(reply.Error(), "FORMAT "); ok {
			return &formatError{found, fmt.Sprint(own)}
		}
	}
	return err
}

func isFormatError(err error) bool {
	var e *formatError
	return errors.As(err, &e)
}

// Nobody but the instances may write under the prefix. If somebody does, a
// script may meet what it cannot work with, and would for ever: so it is
// deleted, and what it belonged to is written again.

// damage counts what scripts met. It is safe for concurrent use.
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

// note counts that a script met damage, or none, and returns how often in a row.
func (d *damage) note(script *luaScript, met bool) (times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if met {
		d.times[script]++
		times = d.times[script]
	}
	if !met || times == maxFailures {
		delete(d.times, script)
	}
	return times
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
		if one.kind == opPost {
			args = append(args, one.post.Room)
		}
	}
	r.mu.Unlock()
	reply, err := r.eval(ctx, 5*r.timing.Call, r.scripts.mend, args...)
	if keys := texts(reply); err == nil && len(keys) > 0 {
		r.log.Error("somebody else wrote under the prefix in Redis; what cannot be used is deleted",
			"keys", keys, "error", why)
	}
}
