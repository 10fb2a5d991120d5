package adapter

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds of what Redis keeps, beside those of memory_records.go.
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
var (
	//go:embed scripts/prelude.lua
	prelude string
	//go:embed scripts/messages.lua
	messagesLua string
	//go:embed scripts/seen.lua
	seenLua string

	//go:embed scripts/apply.lua
	applyLua string
	//go:embed scripts/renew.lua
	renewLua string
	//go:embed scripts/bury.lua
	buryLua string
	//go:embed scripts/snapshot.lua
	snapshotLua string
	//go:embed scripts/touch.lua
	touchLua string
	//go:embed scripts/history.lua
	historyLua string
	//go:embed scripts/last_active.lua
	lastActiveLua string
	//go:embed scripts/revoked.lua
	revokedLua string
	//go:embed scripts/compare.lua
	compareLua string
	//go:embed scripts/mend.lua
	mendLua string

	applyScript      = newScript("apply", messagesLua, applyLua)
	renewScript      = newScript("renew", messagesLua, seenLua, renewLua)
	buryScript       = newScript("bury", buryLua)
	snapshotScript   = newScript("snapshot", snapshotLua)
	touchScript      = newScript("touch", seenLua, touchLua)
	historyScript    = newScript("history", historyLua)
	lastActiveScript = newScript("lastActive", seenLua, lastActiveLua)
	revokedScript    = newScript("revoked", revokedLua)
	mendScript       = newScript("mend", mendLua)
	compareScript    = newScript("compare", compareLua)
)

// A luaScript is a script by its name and its text.
type luaScript struct {
	name, source string
	redis        *redis.Script
}

// newScript joins what a script shares with others and its own part, behind
// the bounds, which are written here alone.
func newScript(name string, parts ...string) *luaScript {
	source := ""
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"MAX_STREAM", maxStream},
		{"MAX_STREAM_BYTES", maxStreamBytes},
		{"KEEP_PROGRESS", int64(keepProgress.Seconds())},
		{"MAX_HISTORY", maxHistory},
		{"MAX_HISTORIES", maxHistories},
		{"MAX_NONCES", maxNonces},
		{"KEEP_NONCE", keepNonce.Milliseconds()},
		{"KEEP_HISTORY", keepHistory.Milliseconds()},
		{"MAX_SEEN", maxSeen},
		{"MAX_SEEN_LONG", maxSeenLong},
		{"SHORT_ID", shortID},
		{"KEEP_SEEN", keepSeen.Milliseconds()},
		{"MAX_REVOKED", maxRevoked},
		{"KEEP_REVOKED", keepRevoked.Milliseconds()},
	} {
		source += fmt.Sprintf("local %s = %d\n", bound.name, bound.value)
	}
	source += prelude
	for _, part := range parts {
		source += part
	}
	return &luaScript{name, source, redis.NewScript(source)}
}
