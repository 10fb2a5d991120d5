package socketio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"rollcall/internal/engineio"
	"rollcall/internal/engineio/enginetest"
	"rollcall/rooms"
)

// echoes is the domain that the official suite expects: it tells a socket its auth,
// and sends back the arguments of its events.
type echoes struct{ srv *Server }

func (e echoes) Connect(c rooms.Conn, h rooms.Handshake) (rooms.Session, error) {
	auth := []byte("{}")
	if h.Auth != nil {
		auth, _ = json.Marshal(h.Auth)
	}
	// Later: what comes with the answer to CONNECT the suite misses.
	time.AfterFunc(20*time.Millisecond, func() {
		c.Send(e.srv.Encode(rooms.Event{Name: "auth", Args: []json.RawMessage{auth}}))
	})
	return echoed{c.(*session)}, nil
}

type echoed struct{ s *session }

func (e echoed) Disconnect(rooms.Reason) {}

// Handle returns what acknowledges the event, for answer.
func (e echoed) Handle(event string, args []json.RawMessage, attachments [][]byte) (map[string]any, error) {
	if event == "message" {
		e.send(typeEvent, "", append([]json.RawMessage{[]byte(`"message-back"`)}, args...), attachments)
	}
	return map[string]any{"args": args, "attachments": attachments}, nil
}

// answer acknowledges an event with its arguments.
func (e echoed) answer(p *packet, reply map[string]any) {
	if p.hasID {
		e.send(typeAck, fmt.Sprint(p.id), reply["args"].([]json.RawMessage), reply["attachments"].([][]byte))
	}
}

// send sends a packet, of the binary kind if it has attachments.
func (e echoed) send(kind byte, id string, args []json.RawMessage, attachments [][]byte) {
	count := ""
	if n := len(attachments); n > 0 {
		kind, count = kind+typeBinaryEvent-typeEvent, fmt.Sprintf("%d-", n)
	}
	frames := engineio.AppendText(nil, []byte{'4', kind}, []byte(count), []byte(id), encode(args))
	for _, a := range attachments {
		frames = engineio.AppendBinary(frames, e.s.client.conn.Protocol(), a)
	}
	e.s.Send(frames)
}

// echoServer speaks protocol 4 only: the suite demands that others are refused.
func echoServer(t *testing.T) http.Handler {
	s := New(Options{MaxAttachments: 1 << 20, Options: engineio.Options{
		PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond,
	}})
	s.Serve(echoes{s})
	s.answer = func(ses *session, p *packet, _ string, reply map[string]any, err error) {
		if err == nil {
			echoed{ses}.answer(p, reply)
		}
	}
	t.Cleanup(func() { s.Stop(t.Context(), 0) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("EIO") != "4" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.ServeHTTP(w, r)
	})
}

// TestConformance runs the official suite of Socket.IO: `make conformance`. What it
// asks of other namespaces than the main one fails.
func TestConformance(t *testing.T) {
	enginetest.RunSuite(t, echoServer(t), 27, "socket.io-protocol", "test-suite", "test-suite.js")
}

// Binary arguments reach the domain whole, up to a bound, and come back.
func TestAttachments(t *testing.T) {
	for protocol, b := range map[int]string{3: "\x04", 4: ""} {
		s := New(Options{MaxAttachments: 10})
		s.Serve(echoes{s})
		s.answer = func(ses *session, p *packet, _ string, reply map[string]any, _ error) { echoed{ses}.answer(p, reply) }
		base := serve(t, s)
		c := mustJoin(t, base, protocol, "")
		if got, err := c.Next(); err != nil || got != `42["auth",{}]` {
			t.Fatal(got, err)
		}
		c.Send(`452-7["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		c.SendBinary(b + "abc")
		c.SendBinary(b + "def")
		for _, want := range []string{`462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, b + "abc", b + "def"} {
			expect(t, c, want)
		}
		c.Send(`451-7["x",{"_placeholder":true,"num":0}]`)
		c.SendBinary(b + "more than ten")
		if got, err := c.Next(); err == nil {
			t.Errorf("protocol %d goes on with %q", protocol, got)
		}
	}
}
