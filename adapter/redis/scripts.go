package redis

import (
	"cmp"
	"embed"
	"fmt"
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

// scripts are what a store runs.
type scripts struct {
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
