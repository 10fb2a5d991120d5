package wire

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// beating makes a link over polling without a client, in virtual time, and
// connects it: else the library would close it after 45 seconds.
func beating(t *testing.T, s *Server, protocol int) *link {
	l, err := s.open(handshake{query: map[string][]string{"EIO": {fmt.Sprint(protocol)}}})
	if err != nil {
		t.Fatal(err)
	}
	if protocol == 4 {
		l.receive(message{data: []byte("40")})
	}
	if !l.session.Load().alive() {
		t.Fatal("not connected")
	}
	taken(l)
	return l
}

// taken empties a link's queue.
func taken(l *link) (packets []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.queue {
		for _, payload := range payloads(r.frames) {
			packets = append(packets, string(payload))
		}
	}
	l.queue, l.queued = nil, 0
	return packets
}

func virtual(t *testing.T, play func(t *testing.T, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second})
		s.Serve(&domain{srv: s, present: map[string]rooms.Conn{}})
		play(t, s)
		s.Stop(t.Context(), 0)
	})
}

// In protocol 4 the server asks, an interval after the last answer; who does not
// answer within the timeout is gone.
func TestServerPings(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server) {
		l := beating(t, s, 4)
		for _, after := range []time.Duration{0, time.Second, 19 * time.Second} {
			time.Sleep(24 * time.Second)
			synctest.Wait()
			if got := taken(l); len(got) != 0 {
				t.Errorf("too early: %q", got)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := taken(l); fmt.Sprint(got) != "[2]" {
				t.Errorf("an interval after the last answer: %q", got)
			}
			time.Sleep(after)
			l.receive(message{data: []byte("3")})
		}
		timesOut(t, l)
	})
}

// timesOut waits for the end of a link that has just been heard of.
func timesOut(t *testing.T, l *link) {
	t.Helper()
	heard := time.Now()
	<-l.done
	if silence := time.Since(heard).Round(time.Second); silence != 45*time.Second || l.reason != rooms.Timeout {
		t.Errorf("ended for %q after %v", l.reason, silence)
	}
}

// In protocol 3 the client asks, and is gone when it has not for an interval and
// a timeout.
func TestClientPings(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server) {
		l := beating(t, s, 3)
		for _, ping := range []string{"2", "2probe", "2"} {
			time.Sleep(44 * time.Second)
			l.receive(message{data: []byte(ping)})
			if got := taken(l); fmt.Sprint(got) != "[3]" {
				t.Errorf("%s was answered %q", ping, got)
			}
		}
		timesOut(t, l)
	})
}

// A ping in the wrong direction is a fault.
func TestPingsInTheWrongDirection(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server) {
		for protocol, packet := range map[int]string{3: "3", 4: "2"} {
			l := beating(t, s, protocol)
			if l.receive(message{data: []byte(packet)}) {
				t.Errorf("protocol %d goes on", protocol)
			}
			<-l.done
			if l.reason != rooms.Closed {
				t.Errorf("protocol %d ended for %q", protocol, l.reason)
			}
		}
	})
}

// Pings go out as the clients came, not all at once.
func TestPingsAreSpread(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server) {
		var links []*link
		for range 100 {
			links = append(links, beating(t, s, 4))
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(20*time.Second + 10*time.Millisecond) // the first came 25 s ago
		most := 0
		for range 100 {
			synctest.Wait()
			asked := 0
			for _, l := range links {
				asked += len(taken(l))
			}
			most = max(most, asked)
			time.Sleep(50 * time.Millisecond)
		}
		if most != 1 {
			t.Errorf("%d were asked within 50 ms", most)
		}
		s.heartbeat.mu.Lock()
		if n := s.heartbeat.asked.links.Len(); n != 100 {
			t.Errorf("%d of 100 were asked", n)
		}
		s.heartbeat.mu.Unlock()
	})
}

// When the server has stopped, nothing rings any more; without connections it
// does not ring either.
func TestHeartbeatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second})
		s.Serve(&domain{srv: s, present: map[string]rooms.Conn{}})
		for range 10 {
			beating(t, s, 3)
			beating(t, s, 4)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.Stop(ctx, 0)
		s.heartbeat.mu.Lock()
		defer s.heartbeat.mu.Unlock()
		if s.heartbeat.timer.Stop() {
			t.Error("the timer runs after Stop")
		}
		for _, v := range []*vigil{&s.heartbeat.resting, &s.heartbeat.asked, &s.heartbeat.silent} {
			if v.links.Len() != 0 {
				t.Errorf("%d links are waited for", v.links.Len())
			}
		}
	})
}
