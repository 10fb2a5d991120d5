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

// A simPair is two instances that are settled on a simulated Redis, and the test
// in their bubble of virtual time.
type simPair struct {
	*testing.T
	a, b   *instance
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
		var stores []*instance
		for _, name := range []string{"a", "b"} {
			o := simPlan{handOver: handOver}.options(name)
			stores = append(stores, watch(t, startStore(context.Background(), o, net.link(name))))
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
		if _, err := p.a.Store.History(ctx, "1"); err == nil {
			p.Error("a client's call did not wait for a place")
		}
		if _, err := p.a.Store.LastActive(rooms.FromApp(p.Context()), "1"); err != nil {
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
			if n := len(p.a.view()); n != 11 {
				p.Errorf("%d entries are shown before the time to hand over ends", n)
			}
			time.Sleep(3 * time.Second)
			if gone := p.a.departures(); len(p.a.view()) != 1 || len(gone) != 10 || gone["b0"][0] != rooms.Closed {
				p.Errorf("%d entries are shown after it; these left: %v", len(p.a.view()), gone)
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
		if gone := p.a.departures(); len(p.a.view()) != 1 || len(gone) > 0 || len(evicted) > 0 {
			p.Errorf("it shows %d entries; these left: %v, evicted were %v", len(p.a.view()), gone, evicted)
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
		p.b.mu.Lock()
		known := p.b.revokedAt["7"]
		p.b.mu.Unlock()
		if len(p.a.signOuts()) > 0 || !known.Equal(at) {
			p.Errorf("at the sign-out the others knew %v, want %v", known, at)
		}
		p.b.Revoke("7", at.Add(-time.Hour))
		time.Sleep(time.Second)
		for _, s := range []*instance{p.a, p.b} {
			if !s.RevokedAt("7").Equal(at) || !s.RevokedAt("8").IsZero() {
				p.Errorf("%s knows %v and %v", s.instance, s.RevokedAt("7"), s.RevokedAt("8"))
			}
		}
	})
}
