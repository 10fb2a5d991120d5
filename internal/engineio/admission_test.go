package engineio

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// However fast a client sends, it is read at a megabyte a second, over either
// transport: what others have then does not depend on it.
func TestReadingRate(t *testing.T) {
	const events = 500
	packets := make([]string, events)
	size := 0
	for i := range packets {
		packets[i] = fmt.Sprintf(`42["mark",%d,%q]`, i, strings.Repeat("x", i%100))
		size += len(packets[i]) + frameCost
	}
	least := time.Duration(size-maxUnpaced) * perByte
	_, base := start(t, Options{})

	c := mustJoin(t, base, 4, "")
	began := time.Now()
	for _, p := range packets {
		c.Send(p)
	}
	mustAsk(t, c, `["marks"]`)
	if took := time.Since(began); took < least {
		t.Errorf("WebSocket: %s, want %s", took, least)
	}
	p := mustPoll(t, base, 4, "")
	began = time.Now()
	if _, err := p.Post(packets...); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < least {
		t.Errorf("polling: %s, want %s", took, least)
	}
}

func TestOrigins(t *testing.T) {
	_, base := start(t, Options{OriginAllowed: func(r *http.Request) bool {
		origin := r.Header.Get("Origin")
		return origin == "" || origin == "https://app.example" || origin == "http://"+r.Host
	}})
	for origin, status := range map[string]int{
		"": 200, "https://app.example": 200, base: 200, "https://evil.example": 403, "null": 403,
	} {
		r, _ := http.NewRequest(http.MethodGet, endpoint(base, "polling", 4, ""), nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		response, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("origin %q: %d", origin, response.StatusCode)
		}
		if got := response.Header.Get("Access-Control-Allow-Origin"); status == 200 && got != origin {
			t.Errorf("origin %q: allowed %q", origin, got)
		}
	}
	_, err := dial(base, 4, "", http.Header{"Origin": {"https://evil.example"}})
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Error("a WebSocket from a foreign origin:", err)
	}
}

// With JSONP off a script gets neither a session nor a word of one.
func TestNoJSONP(t *testing.T) {
	_, base := start(t, Options{NoJSONP: true})
	open := mustPoll(t, base, 3, "")
	for _, query := range []string{"j=0", "j", "b64=1&j=1", "j=0&sid=" + open.SID, "j=x&sid=nobody"} {
		status, body, err := (&poller{Base: base, Protocol: 3}).Request(http.MethodGet, query, nil, "")
		if err != nil || status != http.StatusForbidden || body != `{"code":4,"message":"JSONP is off"}` {
			t.Errorf("%s: %d %s, %v", query, status, body, err)
		}
	}
}

// A connection too many is refused, until another one is gone.
func TestConnectionLimits(t *testing.T) {
	for status, opts := range map[string]Options{"429": {MaxPerAddress: 2}, "503": {MaxConnections: 2}} {
		d, base := start(t, opts)
		c := mustJoin(t, base, 4, "")
		d.holdPoll(t, mustPoll(t, base, 4, ""))
		if _, err := poll(base, 4, ""); err == nil || !strings.Contains(err.Error(), status) {
			t.Errorf("a third connection: %v, want %s", err, status)
		}
		if _, err := dial(base, 4, "", nil); err == nil || !strings.Contains(err.Error(), status) {
			t.Errorf("a third WebSocket: %v, want %s", err, status)
		}
		c.Conn.Close()
		eventually(t, "there is room again", func() bool { _, err := poll(base, 4, ""); return err == nil })
	}
}

// forgotten are sessions over polling that no client has gone on with yet.
func forgotten(t *testing.T, base string, n int) (made []*poller) {
	t.Helper()
	for range n {
		p, err := poll(base, 4, "")
		if made = append(made, p); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// giveUp asks for a session over polling, and demands that there is no answer
// until it gives up. No network is between: the server has the request.
func giveUp(t *testing.T, d *fixture, base string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, endpoint(base, "polling", 4, ""), nil)
	request.RemoteAddr = "127.0.0.1:1"
	d.srv.ServeHTTP(httptest.NewRecorder(), request)
	if ctx.Err() == nil {
		t.Error("it was answered at once")
	}
}

// Sessions that no client goes on with make room for others, the oldest first; those
// that are used stay.
func TestPending(t *testing.T) {
	d, base := start(t, Options{})
	d.srv.maxPending = 2
	used := mustPoll(t, base, 4, "")
	made := forgotten(t, base, 4)
	for i, p := range made {
		_, err := p.Post("40")
		if ended := err != nil; ended != (i < 2) {
			t.Errorf("session %d of 4: %v", i, err)
		}
	}
	if status, err := used.Post(`42["burst",1]`); err != nil {
		t.Errorf("the one that is used: %d %v", status, err)
	}
	expect(t, made[2], "40…")
	if _, pending, _ := d.counts(); pending != 1 {
		t.Errorf("after a poll %d are pending", pending)
	}
	made[3].Post("1") // a client that leaves is not waited for
	if _, pending, _ := d.counts(); pending != 0 {
		t.Errorf("%d are pending", pending)
	}
}

// While there are many sessions that no client goes on with, the next one is a while
// in coming, and not made at all for who does not wait.
func TestHandshakeBacklog(t *testing.T) {
	d, base := start(t, Options{})
	d.srv.backlog, d.srv.refusalDelay = 2, time.Hour
	made := forgotten(t, base, 2)
	giveUp(t, d, base)
	if places, _, _ := d.counts(); places != 2 {
		t.Errorf("%d are held", places)
	}
	c, err := dial(base, 4, "", nil)
	if err != nil {
		t.Errorf("a WebSocket is no part of it: %v", err)
	}
	defer c.Conn.Close()
	if _, err := made[0].Post("1"); err != nil {
		t.Fatal(err)
	}
	if _, err := poll(base, 4, ""); err != nil {
		t.Errorf("the backlog is over: %v", err)
	}
	// A refusal is delayed too.
	d, base = start(t, Options{MaxPerAddress: 1})
	d.srv.refusalDelay = time.Hour
	mustJoin(t, base, 4, "")
	giveUp(t, d, base)
	d, base = start(t, Options{})
	d.srv.backlog, d.srv.refusalDelay = 0, time.Millisecond
	if _, err := poll(base, 4, ""); err != nil {
		t.Errorf("a client that waits gets a session: %v", err)
	}
}

// Over polling the close comes alone, after what was said before: clients of 4.x
// act on it before the events of the same answer.
func TestCloseComesAlone(t *testing.T) {
	_, base := start(t, Options{CloseTimeout: patience})
	p := mustPoll(t, base, 4, "")
	if status, err := p.Post(`42["burst",2]`, `42["dismiss"]`); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	var answers []string
	for len(answers) == 0 || !strings.HasSuffix(answers[len(answers)-1], "1") || strings.HasSuffix(answers[len(answers)-1], "41") {
		_, body, err := p.Request(http.MethodGet, "", nil, "")
		if err != nil || len(answers) > 5 {
			t.Fatal(answers, err)
		}
		answers = append(answers, body)
	}
	if last := answers[len(answers)-1]; last != "1" {
		t.Errorf("the close came with %q", last)
	}
	if all := strings.Join(answers, "\x1e"); !strings.HasPrefix(all, "42[\"tick\",0]\x1e42[\"tick\",1]\x1e41") {
		t.Errorf("%q", all)
	}
}

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
	t.Cleanup(func() { cancel(); <-done })
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
	if places, _, without := d.counts(); places != 5 || without != 0 {
		t.Errorf("%d are held, %d of them without a transport", places, without)
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
	without := func() int { _, _, n := d.counts(); return n }
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
