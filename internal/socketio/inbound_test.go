package socketio

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// What waits for its attachments is not held: it will be refused.
func TestBinaryEventsAreNotHeld(t *testing.T) {
	_, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	c.Send(`451-7["mark",{"_placeholder":true,"num":0},"` + strings.Repeat("x", 60_000) + `"]`)
	c.Conn.WriteMessage(websocket.BinaryMessage, []byte{1})
	got, err := c.Next()
	if err != nil || !strings.HasPrefix(got, "437") || !strings.Contains(got, "binary_not_supported") {
		t.Errorf("%q, %v", got, err)
	}
	p := packet{kind: typeBinaryEvent, missing: 1, data: []byte(`["mark","` + strings.Repeat("x", 60_000) + `"]`)}
	size, waiting := len(p.data), &client{srv: &Server{}}
	waiting.awaitAttachments(&p)
	if kept := waiting.partial; string(kept.data) != `["mark"]` || kept.size != size {
		t.Errorf("%.50q of %d bytes is kept", kept.data, kept.size)
	}
}

// Binary may come as base64 over any transport, from clients with forceBase64.
func TestBase64OverWebSocket(t *testing.T) {
	for protocol, attachment := range map[int]string{3: "b4AQID", 4: "bAQID"} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		c.Send(`452-8["mark",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		c.Send(attachment)
		c.Send(attachment)
		if got, err := c.Next(); err != nil || !strings.HasPrefix(got, `438[{"error":"binary_not_supported"`) {
			t.Errorf("protocol %d: %q, %v", protocol, got, err)
		}
		if err := c.Send(`42["burst",1]`); err != nil || c.Ticks(1) != nil {
			t.Error("the connection did not survive")
		}
		c.Send("b#")
		if got, err := c.Next(); err == nil {
			t.Errorf("protocol %d: nonsense is answered %q", protocol, got)
		}
	}
}
