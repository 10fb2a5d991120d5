package engineio

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// holdPoll begins a poll and returns when the server handles it.
func (d *fixture) holdPoll(t *testing.T, p *poller) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.URL(""), nil)
		if response, err := web.Do(r); err == nil {
			response.Body.Close()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	c := d.connOf(p.SID)
	await(t, "a poll is held", c, func() bool { return c.carrier.poll != nil })
}

// exists tells whether the server knows a session.
func (d *fixture) exists(sid string) bool { return d.connOf(sid) != nil }

// When all places are taken, the session that has been without a transport for
// longest makes room: not one that polls or has a WebSocket, nor one that has
// polled later.
func TestDisplaced(t *testing.T) {
	d, base := start(t, Options{MaxConnections: 5})
	d.srv.betweenPolls = time.Millisecond
	mustJoin(t, base, 4, "")
	var p [4]*poller
	for i := range p {
		p[i] = mustPoll(t, base, 4, "")
	}
	d.holdPoll(t, p[0])
	mustAsk(t, p[1], `["marks"]`) // later than the others
	for i, gone := range []int{2, 3, 1} {
		time.Sleep(2 * d.srv.betweenPolls) // the shortest time, not a wait for anything
		mustJoin(t, base, 4, "")
		eventually(t, "the longest without a transport is gone", func() bool { return !d.exists(p[gone].SID) })
		for j := range p {
			left := j == 0 || i < 1 && j == 3 || i < 2 && j == 1
			if d.exists(p[j].SID) != left {
				t.Errorf("after %d new clients: session %d is there: %v", i+1, j, !left)
			}
		}
	}
	if _, err := poll(base, 4, ""); err == nil {
		t.Error("a client was let in though all have a transport")
	}
	d.srv.mu.Lock()
	defer d.srv.mu.Unlock()
	if d.srv.places != 5 || d.srv.detachedAt.Len() != 0 {
		t.Errorf("%d are held, %d of them without a transport", d.srv.places, d.srv.detachedAt.Len())
	}
}

// A session between two polls is not displaced: a new client waits until that is
// too long for one.
func TestBetweenPolls(t *testing.T) {
	d, base := start(t, Options{MaxConnections: 1})
	p := mustPoll(t, base, 4, "")
	d.srv.mu.Lock()
	_, since, _ := d.srv.detachedAt.GetOldest()
	d.srv.mu.Unlock()
	mustJoin(t, base, 4, "")
	if took := time.Since(since); took < betweenPolls || d.exists(p.SID) {
		t.Errorf("displaced after %s", took)
	}
}

// Sessions are on the list exactly while they have no transport.
func TestWithoutTransport(t *testing.T) {
	d, base := start(t, Options{})
	without := func() int {
		d.srv.mu.Lock()
		defer d.srv.mu.Unlock()
		return d.srv.detachedAt.Len()
	}
	mustJoin(t, base, 4, "")
	if n := without(); n != 0 {
		t.Errorf("a WebSocket: %d", n)
	}
	upgraded := mustPoll(t, base, 4, "")
	eventually(t, "it is between two polls", func() bool { return without() == 1 })
	takeOver(t, d, upgraded)
	eventually(t, "it has a WebSocket", func() bool { return without() == 0 })
	ended := mustPoll(t, base, 4, "")
	eventually(t, "another is between two polls", func() bool { return without() == 1 })
	ended.Post("1")
	eventually(t, "it has ended", func() bool { return without() == 0 })
}
