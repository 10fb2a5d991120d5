package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// goneWithin is within what nothing is left of an instance that was told to end.
const goneWithin = 10 * time.Second

// A new version goes out under load: one instance after the other is told to
// end and started again, and its clients come to the others. Without any grace
// nobody who comes back is seen leaving, anywhere; who does not come back goes.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	d := bare(t, plan{instances: 3})
	for _, in := range d.instances {
		for _, kind := range []string{"both", "changes", "list"} {
			d.watch(in, kind, true)
		}
	}
	group := d.group(100)
	var leavers []string // one of each instance closes the page instead of coming back
	for _, in := range d.instances {
		leavers = append(leavers, d.join(in, "leaver-"+in.name).id)
	}
	d.converge("everybody is there", patience, d.truth(), d.watching())
	d.mu.Lock()
	d.complete = true
	d.mu.Unlock()
	stopRenaming := d.rename(group)

	var ends sync.WaitGroup
	for _, in := range d.instances {
		before := group.at(in)
		old := d.redis.idOf(in.name)
		unresponsive(t, in) // so that the end takes a while, in which to look
		in.open.Store(false)
		told := time.Now()
		looked := make(chan struct{})
		in.Signal(syscall.SIGTERM)
		go func(p *program.Process) {
			defer close(looked)
			refusesAll(t, in, p)
		}(in.Process)
		program.Eventually(t, goneWithin, "instance "+in.name+" ends after SIGTERM", in.Ended)
		t.Logf("%s with %d clients ended %s after SIGTERM", in.name, len(before), time.Since(told).Round(time.Millisecond))
		<-looked
		in.start()
		d.comesBack()
		group.closedInTurn(t, told, before)
		ends.Go(func() {
			if left := d.redis.leftOf(old, goneWithin-time.Since(told)); left != "" {
				t.Errorf("%s after SIGTERM %s of %s", goneWithin, left, old)
			}
		})
	}
	stopRenaming()
	ends.Wait()
	d.converge("all see all, and nobody else", bound, d.truth(), d.watching())
	if len(d.truth()) != len(group.all) {
		t.Errorf("%d are online, and %d came", len(d.truth()), len(group.all))
	}
	seen := 0
	for _, w := range d.watching() {
		for _, s := range w.allSteps() {
			switch {
			case s.event != "remove_user":
			case !slices.Contains(leavers, s.id):
				t.Errorf("%s was told that %s left (%s), who only changed the instance", w.name(), s.id, s.reason)
			case w.kind != "list" && s.reason != "closed":
				t.Errorf("%s was told that %s left for the reason %q", w.name(), s.id, s.reason)
			default:
				seen++
			}
		}
	}
	if seen == 0 {
		t.Error("no watcher was told of those who did not come back: what was watched?")
	}
	if differs := d.redis.differs(d.truth()); differs != "" {
		t.Error(differs)
	}
}

// A second signal does not wait for anybody.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, again := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d := bare(t, plan{instances: 1})
		in := d.instances[0]
		unresponsive(t, in)
		in.Signal(syscall.SIGTERM)
		program.Eventually(t, patience, "the shutdown begins", func() bool { return strings.Contains(in.Log.String(), "shutting down") })
		began := time.Now()
		in.Signal(again)
		program.Eventually(t, patience, "the end", in.Ended)
		if status := in.Cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != again {
			t.Errorf("after a second signal, %s, it ended %s later with %s", again, time.Since(began).Round(time.Millisecond), in.Cmd.ProcessState)
		}
	}
}

// A group is members that reconnect, and what each was told of the end of its
// instance.
type group struct {
	d   *deployment
	all []*member

	mu       sync.Mutex // guards all below
	closings map[string][]closing
}

// A closing is one connection's end, as its client sees it.
type closing struct {
	warned, closed time.Time
	in             time.Duration // until the close, as told
}

// group adds n members to each instance.
func (d *deployment) group(n int) *group {
	d.t.Helper()
	c := &group{d: d, closings: make(map[string][]closing)}
	for _, in := range d.instances {
		var joining sync.WaitGroup
		for i := range n {
			m := d.newMember(fmt.Sprintf("%s%d", in.name, i), true)
			m.onEvent = func(at time.Time, event string, args []json.RawMessage) { c.warned(m.id, at, event, args) }
			m.ended = func() { c.closed(m.id, time.Now()) }
			c.all = append(c.all, m)
			joining.Go(func() {
				if err := m.tryJoin(in); err != nil {
					d.t.Errorf("%s joins at %s: %v", m.id, in.name, err)
				}
			})
		}
		joining.Wait()
	}
	return c
}

func (c *group) warned(id string, at time.Time, event string, args []json.RawMessage) {
	if event != "server_closing" {
		return
	}
	var told struct{ In *int64 }
	if len(args) != 1 || json.Unmarshal(args[0], &told) != nil || told.In == nil || *told.In < 0 {
		c.d.t.Errorf("%s was told %s %s", id, event, args)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closings[id] = append(c.closings[id], closing{warned: at, in: time.Duration(*told.In) * time.Millisecond})
}

func (c *group) closed(id string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.closings[id]); n > 0 && c.closings[id][n-1].closed.IsZero() {
		c.closings[id][n-1].closed = at
	} else {
		c.closings[id] = append(c.closings[id], closing{closed: at})
	}
}

// at is those at an instance; from here on closings are counted.
func (c *group) at(in *instance) (ids []string) {
	for _, m := range c.all {
		if _, home, connected, _ := m.online(); connected && home == in {
			ids = append(ids, m.id)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.closings)
	return ids
}

// closedInTurn demands that each of these, and nobody else, was told when it
// would be closed, and was, one after the other. The end began after began.
func (c *group) closedInTurn(t *testing.T, began time.Time, ids []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var turns []closing
	for _, id := range ids {
		if n := len(c.closings[id]); n != 1 || c.closings[id][0].warned.IsZero() {
			t.Errorf("%s was closed %d times: %+v", id, n, c.closings[id])
			continue
		}
		turns = append(turns, c.closings[id][0])
	}
	if len(c.closings) != len(ids) {
		t.Errorf("%d were closed, and %d were there", len(c.closings), len(ids))
	}
	if t.Failed() {
		return
	}
	slices.SortFunc(turns, func(a, b closing) int { return int(a.in - b.in) })
	for _, turn := range turns {
		// What a client sees on a busy machine it sees late, but nothing early.
		if wait := turn.closed.Sub(began); wait < turn.in || wait > turn.in+2*time.Second {
			t.Errorf("who was to be closed in %s was %s after SIGTERM", turn.in, wait)
		}
	}
	first, last := turns[0], turns[len(turns)-1]
	if least := time.Duration(len(turns)) * time.Millisecond; last.in < least || last.in > 3*time.Second {
		t.Errorf("%d clients were told to be closed within %s", len(turns), last.in)
	}
	t.Logf("%d clients were told to be closed within %s, and were within %s", len(turns), last.in, last.closed.Sub(first.closed).Round(time.Millisecond))
}

// rename has members change their names all the time, until stop is called.
func (d *deployment) rename(c *group) (stop func()) {
	var over atomic.Bool
	ended := make(chan struct{})
	var changed int
	d.spawn(func() {
		defer close(ended)
		for version := 1; !over.Load() && d.sleep(10*time.Millisecond); version++ {
			// Whose connection ends meanwhile says it after coming back.
			if c.all[rand.N(len(c.all))].rename(version) == nil {
				changed++
			}
		}
	})
	return func() {
		over.Store(true)
		<-ended
		if changed < 30 {
			d.t.Errorf("only %d names were changed: that is no load", changed)
		}
	}
}

// unresponsive opens a session that does not read its goodbye: it never polls. An end
// in order waits a second for it.
func unresponsive(t *testing.T, in *instance) {
	t.Helper()
	status, body := ask(t, in, http.MethodGet, "/socket.io/?EIO=4&transport=polling", "")
	_, rest, _ := strings.Cut(body, `"sid":"`)
	sid, _, ok := strings.Cut(rest, `"`)
	if status != http.StatusOK || !ok {
		t.Fatalf("handshake at %s: %d %s", in.name, status, body)
	}
	if status, body := ask(t, in, http.MethodPost, "/socket.io/?EIO=4&transport=polling&sid="+sid, "40"); status != http.StatusOK {
		t.Fatalf("CONNECT at %s: %d %s", in.name, status, body)
	}
}

// refusesAll looks from outside how an instance ends that was told to: it says
// at once that it is not ready, and then takes no handshake, over either
// transport.
func refusesAll(t *testing.T, in *instance, p *program.Process) {
	const websocket = "/socket.io/?EIO=4&transport=websocket"
	told := time.Now()
	var asking sync.WaitGroup
	for _, path := range []string{"/readyz", "/socket.io/?EIO=4&transport=polling", websocket} {
		asking.Go(func() {
			const atOnce = 500 * time.Millisecond
			refused := 0
			for !p.Ended() {
				began := time.Now()
				switch status, body := ask(t, in, http.MethodGet, path, ""); {
				case status == http.StatusServiceUnavailable:
					refused++
				case status == 0: // it does not even listen any more
				case refused > 0 || began.Sub(told) > atOnce || path == websocket && status != http.StatusSwitchingProtocols:
					t.Errorf("%s, %s after SIGTERM: %s answers %d %.200s", in.name, began.Sub(told), path, status, body)
				}
			}
			if refused == 0 {
				t.Errorf("%s did not refuse %s before it ended", in.name, path)
			}
		})
	}
	asking.Wait()
}

// ask sends one request over a connection of its own; status is 0 if there is
// no answer.
func ask(t *testing.T, in *instance, method, path, body string) (status int, answer string) {
	request, err := http.NewRequestWithContext(t.Context(), method, in.url()+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	request.Close = true
	if strings.Contains(path, "transport=websocket") {
		request.Close = false
		request.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: request.Close}, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, ""
	}
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// idOf is the id under which an instance holds its lease.
func (s *redisServer) idOf(name string) string {
	s.t.Helper()
	for id := range s.leases() {
		if strings.HasPrefix(id, name+"-") {
			return id
		}
	}
	s.t.Fatalf("there is no lease of %s: %v", name, s.leases())
	return ""
}

// leftOf waits until nothing of an instance is left where Rails reads, and says
// what is, if it takes longer.
func (s *redisServer) leftOf(id string, within time.Duration) (left string) {
	if program.Wait(within, func() bool {
		left = ""
		if _, ok := s.leases()[id]; ok {
			left = "there is still the lease"
		} else if s.has(`"` + id + `"`) {
			left = "there are still entries"
		}
		return left == ""
	}) != nil {
		return left
	}
	return ""
}
