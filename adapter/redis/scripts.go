package redis

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter"
)

// storeFormat is the version of all that the store has in Redis: the names and
// contents of keys, the announcements, and what a call of a script means. Each
// change that an instance of the release before would not understand raises it.
const storeFormat = 1

// Bounds of what Redis keeps, beside those of records.go.
const (
	// maxStream bounds the announcements kept in Redis, about, and
	// maxStreamBytes what they take. A reader that was away for more takes a
	// snapshot.
	maxStream      = 10_000
	maxStreamBytes = 64 << 20
	// keepProgress is how long Redis remembers an instance that went away.
	keepProgress = 24 * time.Hour
)

// Every step that others can see is one script: the change and its
// announcement happen together or not at all.
//
//go:embed scripts/*.lua
var luaFiles embed.FS

// scripts are what a store runs, and the format of the data that they take.
type scripts struct {
	format                                                                            int
	apply, renew, evict, snapshot, touch, history, lastActive, revoked, mend, compare *luaScript
}

// limits are the numbers of the scripts that tests replace. The zero value of
// each field means production's.
type limits struct {
	format         int // storeFormat
	maxHistories   int // bytes
	maxStreamBytes int
}

// productionScripts are shared by all stores but those of tests.
var productionScripts = newScripts(limits{})

func newScripts(l limits) *scripts {
	bounds := bounds(l)
	// script makes a script of files, of which the last has its name.
	script := func(files ...string) *luaScript {
		source := bounds
		for _, file := range append([]string{"prelude"}, files...) {
			text, err := luaFiles.ReadFile("scripts/" + file + ".lua")
			if err != nil {
				panic(err) // a wrong name here, which any test shows
			}
			source += string(text)
		}
		return &luaScript{files[len(files)-1], source, goredis.NewScript(source)}
	}
	return &scripts{
		format:     cmp.Or(l.format, storeFormat),
		apply:      script("messages", "apply"),
		renew:      script("messages", "seen", "renew"),
		evict:      script("evict"),
		snapshot:   script("snapshot"),
		touch:      script("seen", "touch"),
		history:    script("history"),
		lastActive: script("seen", "last_active"),
		revoked:    script("revoked"),
		mend:       script("mend"),
		compare:    script("compare"),
	}
}

// A luaScript is a script by its name and its text.
type luaScript struct {
	name, source string
	redis        *goredis.Script
}

// bounds are the numbers that scripts share with the rest, as Lua.
func bounds(l limits) string {
	var source strings.Builder
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"FORMAT", int64(cmp.Or(l.format, storeFormat))},
		{"MAX_STREAM", maxStream},
		{"MAX_STREAM_BYTES", int64(cmp.Or(l.maxStreamBytes, maxStreamBytes))},
		{"KEEP_PROGRESS", int64(keepProgress.Seconds())},
		{"MAX_HISTORY", adapter.MaxHistory},
		{"MAX_HISTORIES", int64(cmp.Or(l.maxHistories, adapter.MaxHistories))},
		{"MAX_NONCES", adapter.MaxNonces},
		{"KEEP_NONCE", adapter.KeepNonce.Milliseconds()},
		{"KEEP_HISTORY", adapter.KeepHistory.Milliseconds()},
		{"MAX_SEEN", adapter.MaxSeen},
		{"MAX_SEEN_LONG", adapter.MaxSeenLong},
		{"SHORT_ID", adapter.ShortID},
		{"KEEP_SEEN", adapter.KeepSeen.Milliseconds()},
		{"MAX_REVOKED", adapter.MaxRevoked},
		{"KEEP_REVOKED", adapter.KeepRevoked.Milliseconds()},
	} {
		fmt.Fprintf(&source, "local %s = %d\n", bound.name, bound.value)
	}
	return source.String()
}

// errLaterFormat says that the data in Redis have a later format than this instance
// reads and writes. Its scripts touch none of them.
var errLaterFormat = errors.New("a later release of Rollcall uses this prefix in Redis")

// runScript runs a script. Only the instances may write under the prefix. If another
// program does, a script may meet values that it cannot work with: these are deleted
// (mend), and their owners write them again.
func (r *Store) runScript(ctx context.Context, limit time.Duration, script *luaScript, args ...any) (any, error) {
	reply, err := r.eval(ctx, limit, script, args...)
	failure := ""
	if failed := goredis.Error(nil); errors.As(err, &failed) { // Redis answered it
		failure = failed.Error()
	}
	if found, ok := strings.CutPrefix(failure, "FORMAT "); ok {
		return nil, fmt.Errorf("%w: its data have format %s, this release knows format %d; update this instance, or give it a prefix of its own",
			errLaterFormat, found, r.scripts.format)
	}
	isDamage := slices.ContainsFunc([]string{"WRONGTYPE", "not an integer", "attempt to "}, func(sign string) bool {
		return strings.Contains(failure, sign)
	})
	if err == nil || isDamage {
		r.mu.Lock()
		times := r.damage.count(script, isDamage)
		r.mu.Unlock()
		if times > 0 {
			r.mend(ctx, times == maxFailures, err)
		}
	}
	return reply, err
}

// maxFailures is how often a script may fail before everything that it could
// have met is deleted: at first only what has a type that it cannot have.
const maxFailures = 3

// damage is how often in a row each script failed by the values that it met.
type damage map[*luaScript]int

// count counts that a script met such values, or none, and returns how often in a row.
func (d damage) count(script *luaScript, met bool) (times int) {
	if met {
		d[script]++
		times = d[script]
	}
	if !met || times == maxFailures {
		delete(d, script)
	}
	return times
}

// mend deletes keys of a type that they cannot have, and what depends on them; with
// all, everything that a failing script could have met.
func (r *Store) mend(ctx context.Context, all bool, why error) {
	r.mu.Lock()
	owners := r.others.instances()
	args := []any{all, len(owners) + 1, r.instance}
	for _, instance := range owners {
		args = append(args, instance)
	}
	for _, one := range r.own.batch(r.batch) { // the rooms of what may have failed
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
