package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/e2e/client"
	"rollcall/e2e/program"
)

// A new version goes out: one instance after the other ends and starts again, and
// its clients reconnect to the others.

// goneWithin is the time after SIGTERM within which nothing is left of an instance.
const goneWithin = 10 * time.Second

// leavesNothing waits until nothing of an instance's old process is left in Redis.
func (d *deployment) leavesNothing(old string, told time.Time) {
	if left := d.redis.leftOf(old, goneWithin-time.Since(told)); old == "" || left != "" {
		d.t.Errorf("%s after SIGTERM %s of %q", goneWithin, left, old)
	}
}

// With a grace no user who reconnects is seen leaving, and watchers that connect
// find everybody.
func TestRollingRestartWithGrace(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, roaming: true, vars: []string{"GRACE=5s"}})
	d.populate(8, true)
	d.expectComplete()
	all := d.truth()
	for _, in := range d.instances {
		in.shutdown()
		in.start()
		d.comesBack()
	}
	d.converge("all see all", bound, all, d.watching())
	d.hold("after the grace", 8*time.Second, all, d.watching())
	for _, w := range d.watching() {
		for _, s := range w.allSteps() {
			if s.event == "remove_user" {
				t.Errorf("%s was told that %s left (%s)", w.name(), s.id, s.reason)
			}
		}
	}
	// A user who does not come back is gone after the grace.
	d.all()[0].leave()
	d.converge("a user who leaves is gone after the grace", 5*time.Second+bound, d.truth(), d.watching())
}

// Under load and without any grace, no user who reconnects is seen leaving,
// anywhere; one who does not reconnect is.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, roaming: true})
	all := d.joinMany(100)
	var leavers []string // one of each instance closes the page instead of reconnecting
	for _, in := range d.instances {
		leavers = append(leavers, d.join(in, "leaver-"+in.name).id)
	}
	d.converge("everybody is there", patience, d.truth(), d.watching())
	d.expectComplete()
	stopRenaming := d.load(10*time.Millisecond, func(n int) error { return all[rand.N(len(all))].rename(n) })
	var ends sync.WaitGroup
	for _, in := range d.instances {
		closedInTurn, old := expectClosings(t, all, in), d.redis.idOf(in.name)
		in.connectUnresponsive() // so that the end takes a while, in which to look
		in.open.Store(false)
		told := time.Now()
		in.Signal(syscall.SIGTERM)
		refusesAll(t, in)
		program.Eventually(t, goneWithin, "instance "+in.name+" ends after SIGTERM", in.Ended)
		in.start()
		d.comesBack()
		closedInTurn(told)
		ends.Go(func() { d.leavesNothing(old, told) })
	}
	stopRenaming()
	ends.Wait()
	d.converge("all see all, and nobody else", bound, d.truth(), d.watching())
	if len(d.truth()) != len(all) {
		t.Errorf("%d are online, and %d came", len(d.truth()), len(all))
	}
	seen := 0
	for _, w := range d.watching() {
		for _, s := range w.allSteps() {
			switch {
			case s.event != "remove_user":
			case !slices.Contains(leavers, s.id) || w.kind != "list" && s.reason != "closed":
				t.Errorf("%s was told that %s left (%s)", w.name(), s.id, s.reason)
			default:
				seen++
			}
		}
	}
	if seen == 0 {
		t.Error("no watcher was told of those who did not reconnect")
	}
	if differs := d.redis.differs(d.truth()); differs != "" {
		t.Error(differs)
	}
}

// A second signal ends the process at once.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, again := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		in := deploy(t, plan{instances: 1, unwatched: true}).instances[0]
		in.connectUnresponsive()
		in.Signal(syscall.SIGTERM)
		program.Eventually(t, patience, "the shutdown begins", func() bool { return strings.Contains(in.Log.String(), "shutting down") })
		in.Signal(again)
		program.Eventually(t, patience, "the end", in.Ended)
		if status := in.Cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != again {
			t.Errorf("after a second signal, %s, it ended with %s", again, in.Cmd.ProcessState)
		}
	}
}

// joinMany adds n members that reconnect to each instance.
func (d *deployment) joinMany(n int) (all []*member) {
	d.t.Helper()
	var joining sync.WaitGroup
	for _, in := range d.instances {
		for i := range n {
			m := d.newMember(fmt.Sprintf("%s%d", in.name, i), true)
			all = append(all, m)
			joining.Go(func() {
				if err := m.tryJoin(in); err != nil {
					d.t.Errorf("%s joins at %s: %v", m.id, in.name, err)
				}
			})
		}
		joining.Wait()
	}
	return all
}

// expectClosings has members forget how their connections ended until now. The
// function that it returns demands that since then each member at an instance, and
// none elsewhere, was told once when its connection would be closed, and that the
// connections were closed one after the other. The end began at told.
func expectClosings(t *testing.T, all []*member, in *instance) (check func(told time.Time)) {
	there := make(map[*member]bool)
	for _, m := range all {
		m.mu.Lock()
		m.warned, m.ends = nil, nil
		there[m] = m.client != nil && m.home == in
		m.mu.Unlock()
	}
	return func(told time.Time) {
		count, last := 0, time.Duration(0)
		for _, m := range all {
			m.mu.Lock()
			warned, ends := m.warned, m.ends
			m.mu.Unlock()
			switch {
			case !there[m] && len(warned)+len(ends) == 0:
			case !there[m] || len(warned) != 1 || len(ends) != 1:
				t.Errorf("%s was told of %d ends, and %d connections ended", m.id, len(warned), len(ends))
			default:
				// What a client sees on a busy machine it sees late, but nothing early.
				if wait := ends[0].Sub(told); wait < warned[0] || wait > warned[0]+5*time.Second {
					t.Errorf("%s, to be closed in %s, was closed %s after SIGTERM", m.id, warned[0], wait)
				}
				count++
				last = max(last, warned[0])
			}
		}
		if least := time.Duration(count) * time.Millisecond; count == 0 || last < least || last > 3*time.Second {
			t.Errorf("%d clients were told to be closed within %s", count, last)
		}
	}
}

// connectUnresponsive opens a session that never polls: an end in order waits a
// second for it.
func (in *instance) connectUnresponsive() {
	in.T.Helper()
	p, err := client.Poll(in.URL(""), 4, "")
	if err == nil {
		err = p.Send("40")
	}
	if err != nil {
		in.T.Fatalf("CONNECT at %s: %v", in.name, err)
	}
}

// refusesAll demands that an instance that was just told to end says at once that it
// is not ready, and accepts no handshake over either transport from then on. It
// returns when the process has ended.
func refusesAll(t *testing.T, in *instance) {
	const websocket, atOnce = "WebSocket", 2 * time.Second
	told, p := time.Now(), in.Process
	status := func(path string) int { // 0 without an answer
		if path != websocket {
			a, _ := in.Try("GET", path, "", "Connection: close")
			return a.Status
		}
		conn, response, err := client.Dialer.Dial(client.Endpoint(in.URL(""), "websocket", 4, ""), nil)
		if err == nil {
			conn.Close()
		}
		if response == nil {
			return 0
		}
		return response.StatusCode
	}
	var asking sync.WaitGroup
	for _, path := range []string{"/readyz", "/socket.io/?EIO=4&transport=polling", websocket} {
		asking.Go(func() {
			refused := 0
			for !p.Ended() && time.Since(told) < goneWithin {
				began := time.Now()
				switch status := status(path); {
				case status == http.StatusServiceUnavailable:
					refused++
				case status == 0: // it does not even listen any more
				case refused > 0 || began.Sub(told) > atOnce || path == websocket && status != http.StatusSwitchingProtocols:
					t.Errorf("%s, %s after SIGTERM: %s answers %d", in.name, began.Sub(told), path, status)
				}
			}
			if refused == 0 {
				t.Errorf("%s did not refuse %s before it ended", in.name, path)
			}
		})
	}
	asking.Wait()
}
