package redis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"rollcall/adapter/redistest/redissim"
	"rollcall/rooms"
)

// findings are what is wrong, as text.
type findings []string

func (f *findings) fail(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// settle waits until all is right for some seconds, and at most for limit. It
// returns what is wrong in the end.
func (h *simHistory) settle(limit time.Duration) []string {
	var wrong []string
	right := 0
	for began := time.Now(); right < h.right && time.Since(began) < limit; {
		time.Sleep(time.Second)
		synctest.Wait()
		if wrong = h.check(); len(wrong) == 0 {
			right++
		} else {
			right = 0
		}
	}
	return wrong
}

// check compares everything with the truth.
func (h *simHistory) check() (wrong findings) {
	h.reference.mu.Lock()
	defer h.reference.mu.Unlock()
	h.simNet.mu.Lock()
	defer h.simNet.mu.Unlock()
	truth := h.reference.truth()
	var living []string
	for _, in := range h.all {
		switch {
		case in.ended:
			continue
		case !in.isOpen():
			wrong.fail("%s has not started in the end", in.name)
		default:
			h.checkInstance(&wrong, in, truth)
		}
		living = append(living, in.name)
	}
	h.checkRedis(&wrong, truth, living)
	h.checkMessages(&wrong)
	return wrong
}

// checkInstance compares what an instance shows and says of itself.
func (h *simHistory) checkInstance(wrong *findings, in *simInstance, truth map[rooms.EntryKey]int) {
	shown := h.reference.views[in].shown
	for _, key := range sortedKeys(truth) {
		if h.reference.owner(key) != in && shown[key] != truth[key] {
			wrong.fail("%s shows %v as %d in the end, want %d", in.name, key, shown[key], truth[key])
		}
	}
	for _, key := range sortedKeys(shown) {
		if truth[key] == 0 {
			wrong.fail("%s shows %v in the end, which is gone", in.name, key)
		}
	}
	if err := in.store.Ready(); err != nil {
		wrong.fail("%s is not ready in the end: %v", in.name, err)
	}
	if stats := in.store.Stats(); stats.Queued > 0 || stats.Drift > 0 || stats.Differences > 0 {
		wrong.fail("%s in the end: %d changes are queued, %d entries too many or too few, %d differences from others at the same announcement",
			in.name, stats.Queued, stats.Drift, stats.Differences)
	}
	if !h.has(losesEntries) && h.rules.hasRewritten(in.name) && h.rules.evicted[in.name].IsZero() {
		wrong.fail("%s rewrote everything without a cause", in.name)
	}
	for _, one := range h.reference.revoked {
		if at := in.store.RevokedAt(one.user); !one.by.ended && at.Before(one.at.Truncate(time.Millisecond)) {
			wrong.fail("%s has the revocation of %s as %v in the end, want %v", in.name, one.user, at, one.at)
		}
	}
}

// simKeys are the keys of a simulated Redis.
type simKeys struct{ *redissim.Redis }

const simPrefix = "{r}:"

func (s simKeys) keys() []string {
	all := s.Keys()
	for i, key := range all {
		all[i] = strings.TrimPrefix(key, simPrefix)
	}
	return all
}

func (s simKeys) hash(key string) map[string]string {
	reply, _ := s.Do("HGETALL", simPrefix+key) // of another type: nothing
	rows, _ := reply.([]string)
	out := make(map[string]string)
	for i := 0; i+1 < len(rows); i += 2 {
		out[rows[i]] = rows[i+1]
	}
	return out
}

func (s simKeys) members(key string) []string {
	reply, _ := s.Do("ZRANGE", simPrefix+key, "0", "-1")
	rows, _ := reply.([]string)
	return rows
}

// checkRedis looks for what Redis lacks or has left over.
func (h *simHistory) checkRedis(wrong *findings, truth map[rooms.EntryKey]int, living []string) {
	k := simKeys{h.redis}
	all := entriesIn(k)
	for key, value := range all {
		if e, err := parseEntry(key, value); err != nil || simCount(e.Data) != truth[key] {
			wrong.fail("Redis has %v as %s in the end, want %d", key, value, truth[key])
		}
	}
	if len(all) != len(truth) {
		wrong.fail("Redis has %d entries in the end, want %d", len(all), len(truth))
	}
	*wrong = append(*wrong, checkPublic(k)...)
	slices.Sort(living)
	if got := slices.Sorted(slices.Values(k.members("instances"))); !slices.Equal(got, living) {
		wrong.fail("Redis has leases of %v in the end, want %v", got, living)
	}
	for _, key := range k.keys() {
		name, own := strings.CutPrefix(key, "sockets:")
		if own && !slices.Contains(living, name) || strings.HasPrefix(key, "stale:") {
			wrong.fail("Redis has the key %s in the end", key)
		}
	}
	reply, _ := h.redis.Do("LRANGE", simPrefix+"room:1:messages", "0", "-1")
	kept := make(map[string]bool)
	for _, text := range reply.([]string) {
		_, content, _ := strings.Cut(text, `"content":`)
		if kept[content] {
			wrong.fail("Redis keeps a message twice: %s", text)
		}
		kept[content] = true
	}
}

// checkMessages looks for messages that got lost or changed places.
func (h *simHistory) checkMessages(wrong *findings) {
	var first *simView
	for _, in := range h.all {
		v := h.reference.views[in]
		if v == nil || in.ended {
			continue
		}
		for _, text := range slices.Sorted(maps.Keys(h.reference.posted)) {
			m := h.reference.posted[text]
			if v.told[text] || m.by.ended || !m.to[in] {
				continue
			}
			if !h.has(isLoss) || m.by == in && !h.has(func(do string) bool { return do == "trim" }) {
				wrong.fail("%s was never told message %s of %s", in.name, text, m.by.name)
			}
		}
		if h.has(isLoss) {
			continue
		}
		for i := 1; i < len(v.messages); i++ {
			if v.messages[i].ID <= v.messages[i-1].ID {
				wrong.fail("%s was told message %d after %d", in.name, v.messages[i].ID, v.messages[i-1].ID)
			}
		}
		if first == nil {
			first = v
		} else if !sameOrder(first.messages, v.messages) {
			wrong.fail("%s was told messages in another order", in.name)
		}
	}
}

// sameOrder reports whether what two lists have in common is in one order.
func sameOrder(a, b []rooms.ChatMessage) bool {
	at := make(map[string]int)
	for i, m := range a {
		at[m.Content] = i + 1
	}
	last := 0
	for _, m := range b {
		if i := at[m.Content]; i > 0 {
			if i < last {
				return false
			}
			last = i
		}
	}
	return true
}
