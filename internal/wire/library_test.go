package wire

import (
	"fmt"
	"strings"
	"testing"
)

// known is how many sessions the library still holds, in one list or another.
func known(s *Server) int {
	nsp := s.io.Sockets()
	return s.engine.Clients().Len() + int(s.engine.ClientsCount()) + nsp.Sockets().Len() +
		nsp.Adapter().Rooms().Len() + nsp.Adapter().Sids().Len()
}

// Who is connected is unknown to the library, over any transport, and also when
// it has left the namespace and come back; who only waits is known.
func TestLibraryForgetsWhoIsConnected(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{})
		forgotten := func(who string) {
			t.Helper()
			eventually(t, "the library has forgotten "+who, func() bool { return known(d.srv) == 0 })
			for _, c := range d.conns() {
				l := c.(*session).link
				l.mu.Lock()
				if l.stay != nil {
					t.Errorf("protocol %d: a link remembers the library", protocol)
				}
				l.mu.Unlock()
			}
		}
		c := mustJoin(t, base, protocol, "")
		if _, err := pollJoin(base, protocol, ""); err != nil {
			t.Fatal(err)
		}
		forgotten("both")
		for range 3 {
			c.send("41")
			c.send("40")
			if got, err := c.next(); err != nil || !strings.HasPrefix(got, "40") {
				t.Fatalf("protocol %d: %q, %v", protocol, got, err)
			}
			forgotten("who came back")
		}
		if _, err := c.ask(1, `["marks"]`); err != nil || len(d.conns()) != 2 {
			t.Errorf("protocol %d: %v, %d are in", protocol, err, len(d.conns()))
		}
	}
	d, base := start(t, Options{})
	c, err := dial(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	if known(d.srv) == 0 {
		t.Error("the library does not know who waits: the count is worth nothing")
	}
	c.conn.Close()
	eventually(t, "the library has forgotten who went", func() bool { return known(d.srv) == 0 })
}

// Who comes back is the same as before: the query is that of its handshake.
func TestQueryOfWhoComesBack(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "&early=3")
		for range 3 {
			if err := c.ticks(3); err != nil {
				t.Fatal(err)
			}
			c.send("41")
			c.send("40")
			if got, err := c.next(); err != nil || !strings.HasPrefix(got, "40") {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
}

// A client of protocol 3 keeps its id when it comes back: it takes its
// connection's for it.
func TestIDOfProtocol3(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 3, "")
	for range 3 {
		if _, err := c.ask(1, `["marks"]`); err != nil {
			t.Fatal(err)
		}
		if id := d.conns()[0].ID(); id != c.sid {
			t.Errorf("the socket of connection %s is %s", c.sid, id)
		}
		c.send("41")
		c.send("40")
		if got, err := c.next(); err != nil || got != "40" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// The first packet is Node's, the refusal of another namespace the library's.
func TestPacketsOfTheLibrary(t *testing.T) {
	_, base := start(t, Options{})
	for transport, upgrades := range map[string]string{"websocket": "", "polling": `"websocket"`} {
		var open, sid string
		if transport == "websocket" {
			conn, _, err := dialer.Dial(endpoint(base, transport, 4, ""), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c := &client{conn: conn}
			open, _ = c.next()
			c.opened(open)
			sid = c.sid
		} else {
			p := &poller{base: base, protocol: 4}
			_, open, _ = p.request("GET", "", nil, "")
			c := &client{}
			c.opened(open)
			sid = c.sid
		}
		want := fmt.Sprintf(`0{"sid":%q,"upgrades":[%s],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, sid, upgrades)
		if open != want {
			t.Errorf("%s: %s, want %s", transport, open, want)
		}
	}
	for _, a := range []struct {
		protocol   int
		send, want string
	}{
		{4, `40/x,`, `44/x,{"message":"Invalid namespace"}`},
		{4, `40/x`, `44/x,{"message":"Invalid namespace"}`},
		{4, `40/x?a=b,{"c":1}`, `44/x?a=b,{"message":"Invalid namespace"}`},
		{3, `40/x?a=b,`, `44/x,{"message":"Invalid namespace"}`},
		{3, `40/%zz,`, `44{"message":"Invalid namespace"}`},
	} {
		c := mustJoin(t, base, a.protocol, "")
		c.send(a.send)
		if got, err := c.next(); err != nil || got != a.want {
			t.Errorf("protocol %d, %s: %s, %v", a.protocol, a.send, got, err)
		}
		if _, err := c.ask(1, `["marks"]`); err != nil {
			t.Error("it cost the session:", err)
		}
	}
}
