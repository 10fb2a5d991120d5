package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

// A reader skips what it knows, and takes nothing for complete that may not be.
func TestReaderFollows(t *testing.T) {
	o := newOthersState()
	follow := func(a announcement, news, settled bool) {
		t.Helper()
		a.instance = "b"
		if got := o.track(a); got != news {
			t.Errorf("version %d is news: %v", a.version, got)
		}
		if got := o.owners["b"].settled; got != settled {
			t.Errorf("after version %d it is settled: %v", a.version, got)
		}
	}
	follow(announcement{version: 5}, true, false) // its log began before
	follow(announcement{version: 5}, false, false)
	follow(announcement{version: 4}, false, false)
	follow(announcement{version: 6, reset: true}, true, false)
	follow(announcement{version: 7, whole: true, floor: 6}, true, true)
	follow(announcement{version: 8, reset: true}, true, false)
	o.resync = ""
	o.owners["b"].from = 9
	follow(announcement{version: 9, whole: true, floor: 8}, true, false)
	if o.resync == "" {
		t.Error("a reader that missed a reset does not compare")
	}
	o = newOthersState()
	follow(announcement{version: 1}, true, true)
}

// An instance that was evicted lives again for a reader when its lease is
// renewed, unless it ended itself; data from before its end do not come back.
func TestReaderRevives(t *testing.T) {
	lease := func(till string) []otherLease { return []otherLease{{instance: "b", till: till}} }
	for _, inOrder := range []bool{false, true} {
		o := newOthersState()
		o.owners["b"] = &owner{version: 5}
		o.markEnded("b", inOrder)
		check := func(when string, old, same, next bool) {
			t.Helper()
			for version, want := range map[uint64]bool{4: old, 5: same, 6: next} {
				if got := o.isEnded("b", version); got != want {
					t.Errorf("in order %v, %s: ended as of version %d: %v", inOrder, when, version, got)
				}
			}
		}
		check("at the end", true, true, inOrder)
		o.observeLeases(lease("1000")) // of older data
		check("with a lease", true, true, inOrder)
		if !o.someEndedHasLease() {
			t.Error("nobody seems alive")
		}
		o.observeLeases(lease("2000"))
		check("renewed", true, inOrder, inOrder)
	}
}

// A reader that missed an announcement, or whose Redis has other data, notices
// it, also if no announcement follows.
func TestReaderLosesItsPlace(t *testing.T) {
	for name, command := range map[string][]string{
		"an announcement is lost": {"DEL", simPrefix + "stream"},
		"a lower number":          {"SET", simPrefix + "seq", "0"},
		"another token":           {"SET", simPrefix + "link", "2 other"},
		"one of two is lost":      {"DEL", simPrefix + "stream"},
	} {
		withStores(t, 0, func(p *simPair) {
			p.a.Put(online("r", `{}`))
			time.Sleep(time.Second)
			link := p.net.links[1]
			if command[0] == "DEL" { // before it is read
				link.change(func() { link.hung++ })
				time.AfterFunc(200*time.Millisecond, func() { link.change(func() { link.hung-- }) })
			}
			p.a.Put(online("s", `{}`))
			time.Sleep(100 * time.Millisecond)
			p.net.mu.Lock()
			_, _ = p.net.redis.Do(command...)
			p.net.mu.Unlock()
			if name == "one of two is lost" {
				p.a.Put(online("t", `{}`))
			}
			time.Sleep(5 * time.Second)
			if n := len(p.b.view()); n != len(p.a.view()) || p.b.Stats().Resyncs == 0 {
				p.Errorf("%s: it shows %d entries after %d resyncs", name, n, p.b.Stats().Resyncs)
			}
		})
	}
}

// A reader does not take over an entry that is older than what it knows, which
// somebody else wrote into Redis. Its owner writes it anew, and nobody is told.
func TestOlderEntryIsNotShown(t *testing.T) {
	withStores(t, 0, func(p *simPair) {
		var values []string
		for n := range 2 {
			p.a.Put(online("s", fmt.Sprintf(`{"n":%d}`, n)))
			time.Sleep(time.Second)
			p.net.mu.Lock()
			values = append(values, simKeys{p.net.redis}.hash("users")["s"])
			p.net.mu.Unlock()
		}
		p.net.mu.Lock()
		_, err := p.net.redis.Do("HSET", simPrefix+"users", "s", values[0])
		p.net.mu.Unlock()
		p.net.killConnections() // everybody makes a resync
		time.Sleep(10 * time.Second)
		p.b.mu.Lock()
		puts, want := p.b.puts, []string{`{"n":0}`, `{"n":1}`}
		p.b.mu.Unlock()
		if err != nil || !slices.Equal(puts, want) {
			p.Errorf("it was told %q, want %q; %v", puts, want, err)
		}
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		if value := (simKeys{p.net.redis}).hash("users")["s"]; !strings.Contains(value, `{"n":1}`) {
			p.Errorf("Redis has %s", value)
		}
	})
}

// Two instances that show different data of one entry, whatever the reason,
// notice it, count it and show the same again.
func TestDifferencesAreFoundAndRepaired(t *testing.T) {
	withStores(t, 0, func(p *simPair) {
		p.a.Put(online("s", `{"n":1}`))
		time.Sleep(time.Second)
		p.a.Store.mu.Lock()
		e := p.a.own.entries[rooms.EntryKey{Key: "s"}]
		p.a.Store.mu.Unlock()
		found := uint64(0)
		for n, spoil := range []func(e storedEntry){
			func(e storedEntry) {
				e.Data, e.version = []byte(`{"n":0}`), e.version+1
				p.b.others.put(e, false)
			},
			func(e storedEntry) {
				e.RegisteredAt, e.version = e.RegisteredAt+1, e.version+1
				p.b.others.put(e, false)
			},
			func(e storedEntry) { p.b.others.remove(e.EntryKey, rooms.Closed) },
		} {
			p.b.Store.mu.Lock()
			spoil(storedEntry{Entry: e.Entry, version: e.version})
			p.b.Store.mu.Unlock()
			time.Sleep(20 * time.Second)
			before := found
			if found = p.a.Stats().Differences + p.b.Stats().Differences; found == before {
				p.Errorf("difference %d was not found", n+1)
			}
			if data := p.b.view()["s"]; data != `{"n":1}` {
				p.Errorf("after difference %d it shows %q", n+1, data)
			}
		}
	})
}

// The sum of entries depends on what there is, not on how it came.
func TestSumOfEntries(t *testing.T) {
	one, two := newOwnState(), newOwnState()
	for _, e := range []rooms.Entry{online("x", "1"), online("y", "2")} {
		one.put(e, 0)
	}
	for _, e := range []rooms.Entry{online("y", "9"), online("z", "3"), online("x", "1"), online("y", "2")} {
		two.put(e, 0)
	}
	if one.sum == two.sum {
		t.Error("one entry more makes no difference")
	}
	two.remove(rooms.EntryKey{Key: "z"}, rooms.Closed)
	if one.sum != two.sum {
		t.Errorf("%x and %x", one.sum, two.sum)
	}
}
