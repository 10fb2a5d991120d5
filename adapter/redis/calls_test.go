package redis

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// countCalls counts the calls that two stores make, by script, while f uses the
// first of them. Time is virtual: how busy the machine is changes no count.
func countCalls(t *testing.T, f func(store *Store)) map[string]int {
	t.Helper()
	calls := make(map[string]int)
	var counted map[string]int
	synctest.Test(t, func(t *testing.T) {
		net := newSimNet(1)
		defer net.redis.Close()
		go net.serve()
		defer net.endServing()
		net.scripts = func(s *luaScript) string {
			calls[s.name]++ // net.mu is held
			return s.source
		}
		var stores []*Store
		for _, name := range []string{"a", "b"} {
			stores = append(stores, startStore(context.Background(), simPlan{}.options(name), net.link(name)))
		}
		time.Sleep(5 * time.Second) // they are settled
		count := func() map[string]int {
			net.mu.Lock()
			defer net.mu.Unlock()
			defer clear(calls)
			return maps.Clone(calls)
		}
		count()
		f(stores[0])
		time.Sleep(time.Second)
		counted = count()
		if n := stores[0].Stats().Queued; n > 0 {
			t.Errorf("%d changes are queued still", n)
		}
		for _, store := range stores {
			store.disconnect()
		}
		time.Sleep(time.Second) // what is on its way arrives
	})
	return counted
}

// A storm of registers is a few round trips, whether it comes all at once or
// spread over a moment.
func TestRedisRoundTrips(t *testing.T) {
	for _, spread := range []time.Duration{0, 500 * time.Millisecond} {
		t.Run(spread.String(), func(t *testing.T) {
			calls := countCalls(t, func(store *Store) {
				for k := range 1000 {
					time.Sleep(spread / 1000)
					store.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: fmt.Sprint(k)}, UserID: fmt.Sprint(k), Data: fmt.Appendf(nil, `{"id":%d}`, k)})
				}
			})
			t.Logf("1,000 puts within %v: %v", spread, calls)
			if n := calls["apply"]; n == 0 || n > 25 {
				t.Errorf("1,000 puts were %d calls", n)
			}
			if calls["snapshot"] > 0 {
				t.Error("everything was compared with Redis")
			}
		})
	}
}

// Activity of one moment is noted in one call, or two if the first one had begun.
func TestRedisNotesTogether(t *testing.T) {
	calls := countCalls(t, func(store *Store) {
		at := store.Now()
		for k := range 20_000 {
			store.Touch(fmt.Sprint(k%500), at/1000-int64(k%7))
		}
	})
	if n := calls["touch"]; n < 1 || n > 2 {
		t.Errorf("20,000 notes were %d calls", n)
	}
}
