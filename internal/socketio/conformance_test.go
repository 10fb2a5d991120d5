package socketio

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	testclient "rollcall/e2e/client"
	"rollcall/internal/engineio"
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

// echoServer makes a server with that domain.
func echoServer(t *testing.T, opts Options) *Server {
	s := New(opts)
	s.Serve(echoes{s})
	s.answer = func(ses *session, p *packet, _ string, reply map[string]any, err error) {
		if err == nil && p.hasID {
			echoed{ses}.send(typeAck, fmt.Sprint(p.id), reply["args"].([]json.RawMessage), reply["attachments"].([][]byte))
		}
	}
	t.Cleanup(func() { s.Stop(t.Context(), 0) })
	return s
}

// TestConformance runs the official suite of Socket.IO: `make conformance`. What it
// asks of other namespaces than the main one fails.
func TestConformance(t *testing.T) {
	s := echoServer(t, Options{MaxAttachments: 1 << 20, Options: engineio.Options{
		PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond,
	}})
	testclient.RunSuite(t, s, "4", 27, "socket.io-protocol/test-suite", "test-suite.js")
}

// Binary arguments reach the domain whole, up to a bound, and come back.
func TestAttachments(t *testing.T) {
	for protocol, b := range map[int]string{3: "\x04", 4: ""} {
		base := serve(t, echoServer(t, Options{MaxAttachments: 10}))
		c := mustJoin(t, base, protocol, "")
		expect(t, c, `42["auth",{}]`)
		c.Send(`452-7["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		c.SendBinary(b + "abc")
		c.SendBinary(b + "def")
		expect(t, c, `462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, b+"abc", b+"def")
		c.Send(`451-7["x",{"_placeholder":true,"num":0}]`)
		c.SendBinary(b + "more than ten")
		expectClose(t, c)
	}
}
