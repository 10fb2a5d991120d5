package socketio

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	testclient "rollcall/e2e/client"
	"rollcall/internal/engineio"
)

// known is how many sessions the library still holds, in one list or another.
func known(s *Server) int {
	nsp := s.library.io.Sockets()
	return s.library.engine.Clients().Len() + int(s.library.engine.ClientsCount()) + nsp.Sockets().Len() +
		nsp.Adapter().Rooms().Len() + nsp.Adapter().Sids().Len()
}

// The library knows a client while it answers its CONNECT, and not before or after,
// over any transport, and also when it has left the namespace and come back.
func TestLibraryForgetsClients(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{})
		forgotten := func(client string) {
			t.Helper()
			eventually(t, "the library has forgotten "+client, func() bool { return known(d.srv) == 0 })
		}
		c := mustJoin(t, base, protocol, "")
		mustPoll(t, base, protocol, "")
		forgotten("both")
		for range 3 {
			comeBack(t, c)
			forgotten("a client that came back")
		}
		if _, err := ask(c, `["marks"]`); err != nil || len(d.conns()) != 2 {
			t.Errorf("protocol %d: %v, %d are in", protocol, err, len(d.conns()))
		}
		expect(t, knock(t, base, protocol, "refuse=1"), "44…")
		forgotten("a client that was refused")
		d.decide = make(chan struct{})
		waits := knock(t, base, protocol, "wait=1")
		eventually(t, "the library knows a client that waits", func() bool { return known(d.srv) > 0 })
		waits.Conn.Close()
		close(d.decide)
		forgotten("a client that went")
	}
}

// What others may know a socket by is never its connection's sid. A client of
// protocol 3 takes that for its socket's id; it keeps both when it comes back.
func TestSocketIDIsNotTheSID(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		public := ""
		for range 3 {
			mustAsk(t, c, `["marks"]`)
			conn := d.conns()[0]
			id, own := conn.ID(), conn.ClientID()
			if id == c.SID || len(id) != len(c.SID) || protocol == 3 && public != "" && id != public {
				t.Errorf("the socket of connection %s is %s", c.SID, id)
			}
			if want := map[int]string{3: c.SID, 4: id}[protocol]; own != want {
				t.Errorf("protocol %d: the client's id is %s, want %s", protocol, own, want)
			}
			// What others know opens nothing and continues nothing.
			p := &poller{Base: base, Protocol: protocol, SID: id}
			if status, _, err := p.Request("GET", "", nil, ""); err != nil || status != http.StatusBadRequest {
				t.Errorf("a poll by the public id: %d, %v", status, err)
			}
			public = id
			comeBack(t, c)
		}
	}
}

// The log has a connection's socket id in it and never its sid.
func TestNoSIDIsLogged(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() }) // after the server's end
	d, base := start(t, Options{Options: engineio.Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), MaxQueue: 1 << 10}})
	var sids, ids []string
	var fates []func()
	for _, protocol := range []int{3, 4} {
		for _, fate := range []string{`["panic"]`, `["dismiss"]`, `{`, `["burst",5000]`} {
			p := mustPoll(t, base, protocol, "")
			sids, fates = append(sids, p.SID), append(fates, func() { p.Post("42" + fate) })
			if strings.Contains(fate, "burst") { // it does not poll: its queue overflows
				continue
			}
			c := mustJoin(t, base, protocol, "")
			sids, fates = append(sids, c.SID), append(fates, func() { c.Send("42" + fate) })
		}
	}
	for _, conn := range d.conns() {
		ids = append(ids, conn.ID())
	}
	for _, meets := range fates {
		meets()
	}
	eventually(t, "all have ended", func() bool { return len(d.conns()) == 0 })
	text := ""
	eventually(t, "the log says what happened", func() bool {
		read, _ := os.ReadFile(log.Name())
		text = string(read)
		return strings.Contains(text, "panic") && strings.Contains(text, "cut off")
	})
	for _, sid := range sids {
		if strings.Contains(text, sid) {
			t.Errorf("sid %s is in the log:\n%s", sid, text)
		}
	}
	for _, id := range ids {
		if !strings.Contains(text, id) {
			t.Errorf("socket %s is not in the log: it proves nothing", id)
		}
	}
}

// The first packet is Node's, the refusal of another namespace the library's.
func TestPacketsOfTheLibrary(t *testing.T) {
	_, base := start(t, Options{})
	for transport, upgrades := range map[string]string{"websocket": "", "polling": `"websocket"`} {
		var open string
		if transport == "websocket" {
			conn, _, err := testclient.Dialer.Dial(endpoint(base, transport, 4, ""), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			open, _ = (&testclient.Conn{Conn: conn}).Next()
		} else {
			_, open, _ = (&poller{Base: base, Protocol: 4}).Request("GET", "", nil, "")
		}
		sid, _ := testclient.SIDOf(open)
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
		c.Send(a.send)
		expect(t, c, a.want)
		mustAsk(t, c, `["marks"]`)
	}
}
