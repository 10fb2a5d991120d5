package engineio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// The account is exact: frames that many wait for count once, whoever takes them
// first or last.
func TestOutboundAccount(t *testing.T) {
	o := &account{limit: 1000}
	alone := Run{frames: make([]byte, 100)}
	many := Run{make([]byte, 500), &shared{size: 500}}
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() { o.count(1, alone) }, 100 + frameCost},
		{func() { o.count(1, many, many) }, 600 + 3*frameCost},
		{func() { o.count(-1, many) }, 600 + 2*frameCost},
		{func() { o.count(-1, alone) }, 500 + frameCost},
		{func() { o.count(-1, many) }, 0},
		{func() { o.count(1, many) }, 500 + frameCost},
		{func() { o.count(-1, many) }, 0},
	} {
		if step.do(); int(o.used.Load()) != step.want {
			t.Errorf("%d, want %d", o.used.Load(), step.want)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10_000 {
				o.count(1, many, alone)
				o.count(-1, alone, many)
			}
		})
	}
	all.Wait()
	if o.used.Load() != 0 {
		t.Errorf("%d are left", o.used.Load())
	}
}

// dropAll ends all connections, after which nothing waits.
func (d *fixture) dropAll(t *testing.T) {
	t.Helper()
	for _, c := range d.conns() {
		c.conn.CloseNow()
	}
	eventually(t, "nothing waits", func() bool { all, most := d.srv.Queued(); return all == 0 && most == 0 })
}

// Over the bound of all queues the client with the longest one is disconnected.
func TestQueuesTogether(t *testing.T) {
	slow := &slowly{}
	d, base := start(t, Options{MaxQueues: 1 << 20, Observer: slow})
	var sids []string
	send := func(sid string, bytes int) { d.connOf(sid).Send(make([]byte, bytes)) }
	for range 10 {
		sids = append(sids, mustPoll(t, base, 4, "").SID)
	}
	for _, sid := range sids {
		send(sid, 50_000)
	}
	send(sids[7], 300_000)
	if all, most := d.srv.Queued(); all < 800_000 || all > 1<<20 || most < 350_000 || most > 400_000 {
		t.Errorf("%d wait in all, %d of one", all, most)
	}
	send(sids[0], 250_000)
	eventually(t, "the client with the longest queue is gone", func() bool { return !d.exists(sids[7]) })
	eventually(t, "the account is right", func() bool { all, _ := d.srv.Queued(); return all < 800_000 })
	for i, sid := range sids {
		if d.exists(sid) != (i != 7) {
			t.Errorf("client %d is there: %v", i, i == 7)
		}
	}
	if n := slow.cut.Load(); n != 1 {
		t.Errorf("%d were counted", n)
	}
	d.dropAll(t)
}

// A flush to many that wait is in memory once, and disconnects nobody.
func TestFlushCountsOnce(t *testing.T) {
	d, base := start(t, Options{MaxQueues: 1 << 20})
	for range 20 {
		mustPoll(t, base, 4, "")
	}
	frames := frameOf("42" + strings.Repeat("x", 300_000))
	d.fanout(frames, d.conns())
	if all, _ := d.srv.Queued(); all < 300_000 || all > 310_000 || len(d.conns()) != 20 {
		t.Errorf("%d wait, %d clients are there", all, len(d.conns()))
	}
	d.dropAll(t)
}

// However clients come, read and go while all are sent to, nothing stays in the
// account.
func TestAccountUnderConcurrency(t *testing.T) {
	d, base := start(t, Options{MaxQueues: 3 << 20, MaxQueue: 1 << 20})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 6 {
				if i%2 == 0 {
					if c, err := join(base, 4, ""); err == nil {
						ask(c, `["burst",100]`)
						if n%2 == 0 {
							ask(c, `["big",300000]`)
						}
						c.Conn.Close()
					}
				} else if p, err := pollJoin(base, 4, ""); err == nil {
					p.Post(`42["big",300000]`, `42["burst",50]`)
					if n%2 == 0 {
						p.Next()
						p.Post("1")
					}
				}
			}
		})
	}
	frames := frameOf("42" + strings.Repeat("x", 100_000))
	for range 50 {
		d.fanout(frames, d.conns())
	}
	all.Wait()
	d.dropAll(t)
	d.srv.mu.Lock()
	defer d.srv.mu.Unlock()
	if len(d.srv.conns)+len(d.srv.ending)+d.srv.places+d.srv.pending.Len()+d.srv.detachedAt.Len() != 0 {
		t.Errorf("of connections %d are known, %d ending, %d take a place, %d are pending, %d detached",
			len(d.srv.conns), len(d.srv.ending), d.srv.places, d.srv.pending.Len(), d.srv.detachedAt.Len())
	}
}

// An answer to a poll holds a part of a long queue; the rest comes with the next
// ones, in order.
func TestLongQueueOverPolling(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: patience})
	p := mustPoll(t, base, 4, "")
	c := d.conns()[0]
	for i := range 20 {
		c.Send([]byte(AppendText(nil, fmt.Appendf(nil, `42["n",%d,"%s"]`, i, strings.Repeat("x", 50_000)))))
	}
	c.Close(true)
	polls := 0
	for i := range 20 {
		if len(p.Pending) == 0 {
			polls++
		}
		got, err := p.Next()
		if err != nil || !strings.HasPrefix(got, fmt.Sprintf(`42["n",%d,`, i)) {
			t.Fatalf("event %d: %.20q, %v", i, got, err)
		}
	}
	if expect(t, p, "1"); polls < 4 || polls > 6 {
		t.Errorf("%d polls", polls)
	}
}

// What is held back counts too, keeps its order behind what is sent meanwhile, and
// is let go of with the client.
func TestHeldIsCounted(t *testing.T) {
	d, base := start(t, Options{MaxQueues: 1 << 20, MaxQueue: 1 << 20})
	p := mustPoll(t, base, 4, "")
	c := d.connOf(p.SID)
	a, b := c.NewStream(), c.NewStream()
	for _, text := range []string{"one", "two"} {
		a.Send(frameOf("42" + text + strings.Repeat("x", 10_000)))
	}
	b.Write(NewRun(frameOf("42discarded")), nil)
	if all, most := d.srv.Queued(); all < 20_000 || most < 20_000 {
		t.Errorf("%d bytes wait in all, %d for one", all, most)
	}
	c.Send(frameOf("42zero"))
	a.Open()
	b.Close()
	b.Send(frameOf("42dropped"))
	a.Send(frameOf("42three"))
	for _, want := range []string{"42zero", "42one", "42two", "42three"} {
		if got, err := p.Next(); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%.20q, %v; want %s", got, err, want)
		}
	}
	eventually(t, "nothing waits", func() bool { all, _ := d.srv.Queued(); return all == 0 })
	held := c.NewStream()
	held.Send(make([]byte, 10_000))
	c.CloseNow()
	if all, _ := d.srv.Queued(); all != 0 {
		t.Errorf("%d bytes wait for a client that is gone", all)
	}
	p = mustPoll(t, base, 4, "")
	c = d.connOf(p.SID)
	held = c.NewStream()
	for range 3 {
		held.Send(make([]byte, 500_000))
	}
	eventually(t, "over MAX_QUEUE the client is gone", func() bool { return !d.exists(p.SID) })
	eventually(t, "nothing waits for it", func() bool { all, _ := d.srv.Queued(); return all == 0 })
}

// When senders for many clients meet at the bound, no more waits than that when
// they are done: a sender for whom there is no room waits for the one that makes
// it.
func TestNoSenderPassesTheBound(t *testing.T) {
	d, base := start(t, Options{MaxQueues: 1 << 20})
	var conns []*Conn
	for range 40 {
		conns = append(conns, d.connOf(mustPoll(t, base, 4, "").SID))
	}
	d.srv.account.making.Lock() // as another sender does
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() { c.Send(make([]byte, 100_000)) })
	}
	eventually(t, "all have queued", func() bool { return d.srv.account.used.Load() > 4_000_000 })
	d.srv.account.making.Unlock()
	all.Wait()
	if used := d.srv.account.used.Load(); used > 1<<20 || used < 500_000 {
		t.Errorf("%d bytes wait", used)
	}
}
