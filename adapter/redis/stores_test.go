package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// A simStore is one of two settled stores over a simulated Redis.
type simStore struct {
	*Store
	noting  sync.Mutex // guards watched
	watched watched
}

// watched is what a watcher was told.
type watched struct {
	shown    map[rooms.EntryKey]string // data
	puts     []string                  // data, in order
	reasons  map[rooms.Reason]int
	signOuts map[string]time.Time // with what was known of the user's revocation then
}

// told is what the watcher was told, when all that happens now has happened.
func (s *simStore) told() watched {
	synctest.Wait()
	s.noting.Lock()
	defer s.noting.Unlock()
	w := s.watched
	return watched{maps.Clone(w.shown), slices.Clone(w.puts), maps.Clone(w.reasons), maps.Clone(w.signOuts)}
}

func (s *simStore) note(some []rooms.Change) {
	s.noting.Lock()
	defer s.noting.Unlock()
	for _, c := range some {
		switch {
		case c.SignOut != "":
			s.watched.signOuts[c.SignOut] = s.RevokedAt(c.SignOut)
		case c.Removed:
			delete(s.watched.shown, c.Entry.EntryKey)
			s.watched.reasons[c.Reason]++
		default:
			s.watched.shown[c.Entry.EntryKey] = string(c.Entry.Data)
			s.watched.puts = append(s.watched.puts, string(c.Entry.Data))
		}
	}
}

// A simPair is two stores, and the test in their bubble of virtual time.
type simPair struct {
	*testing.T
	a, b   *simStore
	net    *simNet
	counts map[string]int // of calls, by script; net.mu guards it
}

// calls counts the calls of both stores since it was called last, by script.
func (p *simPair) calls() map[string]int {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	defer clear(p.counts)
	return maps.Clone(p.counts)
}

// withStores lets f use two stores. Time is virtual: how busy the machine is
// changes nothing.
func withStores(t *testing.T, handOver time.Duration, f func(*simPair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := newSimNet(1)
		defer net.redis.Close()
		go net.serve()
		defer net.endServing()
		p := &simPair{T: t, net: net, counts: make(map[string]int)}
		net.scripts = func(s *luaScript) string {
			p.counts[s.name]++
			return s.source
		}
		var stores []*simStore
		for _, name := range []string{"a", "b"} {
			o := simPlan{handOver: handOver}.options(name)
			s := &simStore{Store: startStore(context.Background(), o, net.link(name))}
			s.watched = watched{make(map[rooms.EntryKey]string), nil, make(map[rooms.Reason]int), make(map[string]time.Time)}
			s.Watch(s.note)
			stores = append(stores, s)
		}
		time.Sleep(5 * time.Second)
		p.calls()
		p.a, p.b = stores[0], stores[1]
		f(p)
		for _, s := range stores {
			s.disconnect()
		}
		time.Sleep(time.Second) // what is on its way arrives
	})
}

// A storm of registers is a few round trips, whether it comes all at once or
// spread over a moment.
func TestRoundTrips(t *testing.T) {
	for _, spread := range []time.Duration{0, 500 * time.Millisecond} {
		withStores(t, 0, func(p *simPair) {
			for k := range 1000 {
				time.Sleep(spread / 1000)
				p.a.Put(online(fmt.Sprint(k), fmt.Sprintf(`{"id":%d}`, k)))
			}
			time.Sleep(time.Second)
			if n := p.calls(); n["apply"] == 0 || n["apply"] > 25 || n["snapshot"] > 0 || p.a.Stats().Queued > 0 {
				p.Errorf("1,000 puts within %v were these calls: %v; %d are queued", spread, n, p.a.Stats().Queued)
			}
		})
	}
}

// Activity of one moment is written in one call, or two if the first one had
// begun.
func TestActivityIsWrittenTogether(t *testing.T) {
	withStores(t, 0, func(p *simPair) {
		at := p.a.Now()
		for k := range 20_000 {
			p.a.Touch(fmt.Sprint(k%500), at/1000-int64(k%7))
		}
		time.Sleep(time.Second)
		if n := p.calls()["touch"]; n < 1 || n > 2 {
			p.Errorf("20,000 notes were %d calls", n)
		}
	})
}

// The app's calls have places of their own beside those of the clients.
func TestAppAsksBesideClients(t *testing.T) {
	withStores(t, 0, func(p *simPair) {
		for range maxQueries {
			if err := p.a.queries.acquire(p.Context()); err != nil {
				p.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		if _, err := p.a.History(ctx, "1"); err == nil {
			p.Error("a client's call did not wait for a place")
		}
		if _, err := p.a.LastActive(rooms.FromApp(p.Context()), "1"); err != nil {
			p.Errorf("the app's call: %v", err)
		}
	})
}

// The entries of an instance that hands over stay for its time to hand over,
// longer than silence or a lease alone would give them. The last instance has
// nobody to hand over to.
func TestHandOver(t *testing.T) {
	const handOver = 5 * time.Second
	for _, last := range []bool{false, true} {
		withStores(t, handOver, func(p *simPair) {
			for k := range 10 {
				p.b.Put(online(fmt.Sprint("b", k), `{}`))
			}
			p.a.Put(online("a", `{}`))
			time.Sleep(time.Second)
			if err := p.b.Close(p.Context()); err != nil {
				p.Fatal(err)
			}
			if last {
				if err := p.a.Close(p.Context()); err != nil {
					p.Fatal(err)
				}
				if n := len(simKeys{p.net.redis}.hash("users")); n != 10 {
					p.Errorf("%d entries are left, want those of the first", n)
				}
				return
			}
			time.Sleep(handOver - 100*time.Millisecond)
			if n := len(p.a.told().shown); n != 10 {
				p.Errorf("%d entries are shown before the time to hand over ends", n)
			}
			time.Sleep(3 * time.Second)
			if w := p.a.told(); len(w.shown) > 0 || w.reasons[rooms.Closed] != 10 {
				p.Errorf("%d entries are shown after it; they left for %v", len(w.shown), w.reasons)
			}
		})
	}
}

// After an outage everybody's lease has run out: an instance that comes back
// later than another is not taken for dead.
func TestNobodyIsEvictedAfterAnOutage(t *testing.T) {
	withStores(t, 0, func(p *simPair) {
		p.b.Put(online("b", `{}`))
		time.Sleep(time.Second)
		p.net.stop()
		late := p.net.links[1]
		late.change(func() { late.cut++ })
		time.Sleep(4 * time.Second)
		p.net.start()
		time.Sleep(2 * time.Second)
		late.change(func() { late.cut-- })
		time.Sleep(5 * time.Second)
		p.net.mu.Lock()
		evicted := maps.Clone(p.net.rules.evicted)
		p.net.mu.Unlock()
		if w := p.a.told(); len(w.shown) != 1 || len(w.reasons) > 0 || len(evicted) > 0 {
			p.Errorf("it shows %d entries; they left for %v, evicted were %v", len(w.shown), w.reasons, evicted)
		}
	})
}

// A revocation is known everywhere before the sign-out behind it. Of several the
// latest counts, in whatever order they come.
func TestRevocations(t *testing.T) {
	withStores(t, 0, func(p *simPair) {
		at := time.UnixMilli(time.Now().UnixMilli())
		p.a.Revoke("7", at)
		p.a.SignOut("7")
		time.Sleep(time.Second)
		if others := p.b.told().signOuts; len(p.a.told().signOuts) > 0 || !others["7"].Equal(at) {
			p.Errorf("at the sign-out the others knew %v, want %v", others, at)
		}
		p.b.Revoke("7", at.Add(-time.Hour))
		time.Sleep(time.Second)
		for _, s := range []*simStore{p.a, p.b} {
			if !s.RevokedAt("7").Equal(at) || !s.RevokedAt("8").IsZero() {
				p.Errorf("%s knows %v and %v", s.instance, s.RevokedAt("7"), s.RevokedAt("8"))
			}
		}
	})
}
