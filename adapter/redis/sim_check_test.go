package redis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"rollcall/adapter/redissim"
	"rollcall/rooms"
)

// settle waits until all is right for some seconds, and at most for limit. It
// returns what is wrong in the end.
func (w *simWorld) settle(limit time.Duration) []string {
	var wrong []string
	right := 0
	for began := time.Now(); right < w.right && time.Since(began) < limit; {
		time.Sleep(time.Second)
		synctest.Wait()
		if wrong = w.check(); len(wrong) == 0 {
			right++
		} else {
			right = 0
		}
	}
	return wrong
}

// check compares everything with the truth.
func (w *simWorld) check() []string {
	l := &simLedgerNow{simLedger: w.ledger}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.simNet.mu.Lock()
	defer w.simNet.mu.Unlock()
	truth := l.truth()
	var living []string
	for _, in := range w.all {
		if in.ended {
			continue
		}
		living = append(living, in.name)
		v := l.views[in]
		if !in.isOpen() {
			l.fail("%s has not started in the end", in.name)
			continue
		}
		for _, place := range sortedPlaces(truth) {
			if l.owner(place) != in && v.shown[place] != truth[place] {
				l.fail("%s shows %v as %d in the end, want %d", in.name, place, v.shown[place], truth[place])
			}
		}
		for _, place := range sortedPlaces(v.shown) {
			if truth[place] == 0 {
				l.fail("%s shows %v in the end, which is gone", in.name, place)
			}
		}
		if err := in.store.Ready(); err != nil {
			l.fail("%s is not ready in the end: %v", in.name, err)
		}
		if n := in.store.Stats().Queued; n > 0 {
			l.fail("%s has %d changes queued in the end", in.name, n)
		}
		if n := in.store.Stats().Differences; n > 0 {
			l.fail("%s differed from another instance at the same announcement", in.name)
		}
	}
	for _, in := range w.all {
		if in.ended || !in.isOpen() {
			continue
		}
		if !w.has(losesEntries) && w.rules.hasRewritten(in.name) && w.rules.evicted[in.name].IsZero() {
			l.fail("%s rewrite everything without a cause", in.name)
		}
		for _, one := range l.revoked {
			if at := in.store.RevokedAt(one.user); !one.by.ended && at.Before(one.at.Truncate(time.Millisecond)) {
				l.fail("%s has the revocation of %s as %v in the end, want %v", in.name, one.user, at, one.at)
			}
		}
	}
	l.wrong = append(l.wrong, w.rules.checkHistory(w.redis)...)
	w.checkRedis(l, truth, living)
	w.checkMessages(l)
	return l.wrong
}

// simLedgerNow gathers what is wrong at one moment.
type simLedgerNow struct {
	*simLedger
	wrong []string
}

func (l *simLedgerNow) fail(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// checkRedis looks for what Redis lacks or has left over.
func (w *simWorld) checkRedis(l *simLedgerNow, truth map[rooms.EntryKey]int, living []string) {
	wantTabs, wantOnline := make(map[string]int), make(map[string]bool)
	found := 0
	for place, value := range simEntries(w.redis) {
		found++
		e, err := parseEntry(place, value)
		if err != nil || simCount(e.Data) != truth[place] {
			l.fail("Redis has %v as %s in the end, want %d", place, value, truth[place])
		}
		if place.List == rooms.Online && e.Status != rooms.Hidden {
			wantTabs[e.UserID]++
			wantOnline[e.UserID] = true
		}
	}
	if found != len(truth) {
		l.fail("Redis has %d entries in the end, want %d", found, len(truth))
	}
	tabs := simHash(w.redis, "{r}:tabs")
	for user, n := range wantTabs {
		if tabs[user] != fmt.Sprint(n) {
			l.fail("Redis counts %s tabs of %s in the end, want %d", tabs[user], user, n)
		}
	}
	if len(tabs) != len(wantTabs) {
		l.fail("Redis counts the tabs of %d users in the end, want %d", len(tabs), len(wantTabs))
	}
	online, _ := w.redis.Do("ZRANGE", "{r}:online", "0", "-1")
	if got := online.([]string); len(got) != len(wantOnline) {
		l.fail("Redis has %v online in the end, want %v", got, slices.Sorted(maps.Keys(wantOnline)))
	}
	leases, _ := w.redis.Do("ZRANGE", "{r}:instances", "0", "-1")
	if got := slices.Sorted(slices.Values(leases.([]string))); !slices.Equal(got, slices.Sorted(slices.Values(living))) {
		l.fail("Redis has leases of %v in the end, want %v", got, living)
	}
	for _, key := range w.redis.Keys() {
		for _, kind := range []string{"sockets:", "stale:"} {
			name, ok := strings.CutPrefix(key, "{r}:"+kind)
			if ok && (kind == "stale:" || !slices.Contains(living, name)) {
				l.fail("Redis has the key %s in the end", key)
			}
		}
	}
}

func simHash(r *redissim.Redis, key string) map[string]string {
	reply, _ := r.Do("HGETALL", key) // of another type: nothing
	rows, _ := reply.([]string)
	out := make(map[string]string)
	for i := 0; i+1 < len(rows); i += 2 {
		out[rows[i]] = rows[i+1]
	}
	return out
}

func simEntries(r *redissim.Redis) map[rooms.EntryKey]string {
	out := make(map[rooms.EntryKey]string)
	for key, value := range simHash(r, "{r}:users") {
		out[rooms.EntryKey{Key: key}] = value
	}
	for at, value := range simHash(r, "{r}:entries") {
		place, _ := parseAddress(at)
		out[place] = value
	}
	return out
}

// checkMessages looks for messages that got lost or changed places.
func (w *simWorld) checkMessages(l *simLedgerNow) {
	loss := w.has(isLoss)
	var first *simView
	for _, in := range w.all {
		v := l.views[in]
		if v == nil || in.ended {
			continue
		}
		for _, text := range slices.Sorted(maps.Keys(l.said)) {
			m := l.said[text]
			if v.heard[text] || m.by.crashed || m.by.ended || !m.to[in] {
				continue
			}
			if !loss || m.by == in && !w.has(func(do string) bool { return do == "trim" }) {
				l.fail("%s was never told message %s of %s", in.name, text, m.by.name)
			}
		}
		if loss {
			continue
		}
		for i := 1; i < len(v.said); i++ {
			if v.said[i].ID <= v.said[i-1].ID {
				l.fail("%s was told message %d after %d", in.name, v.said[i].ID, v.said[i-1].ID)
			}
		}
		if first == nil {
			first = v
		} else if !sameOrder(first.said, v.said) {
			l.fail("%s was told messages in another order", in.name)
		}
	}
}

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
