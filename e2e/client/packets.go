package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Patience bounds every handshake, write and wait for a packet; a passing test never needs it.
const Patience = 30 * time.Second

// Dialer opens WebSockets.
var Dialer = websocket.Dialer{HandshakeTimeout: Patience}

// Endpoint is the address of an endpoint, with more in its query.
func Endpoint(base, transport string, protocol int, query string) string {
	u := fmt.Sprintf("%s/socket.io/?EIO=%d&transport=%s&%s", base, protocol, transport, query)
	if transport == "websocket" {
		u = "ws" + strings.TrimPrefix(u, "http")
	}
	return u
}

// Packets is a client over either transport. Next is the next packet; pings are answered
// and skipped.
type Packets interface {
	Send(packet string) error
	Next() (string, error)
}

// Conn is a client over WebSocket. One goroutine at a time may read.
type Conn struct {
	*websocket.Conn
	SID string

	writing sync.Mutex
}

// Dial opens a session and reads the open packet, no more. An HTTP status that refuses it
// is part of the error. Header may be nil.
func Dial(base string, protocol int, query string, header http.Header) (*Conn, error) {
	conn, response, err := Dialer.Dial(Endpoint(base, "websocket", protocol, query), header)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, err
	}
	c := &Conn{Conn: conn}
	packet, err := c.Next()
	if err == nil {
		c.SID, err = SIDOf(packet)
	}
	if err != nil {
		conn.Close()
	}
	return c, err
}

// SIDOf reads an open packet.
func SIDOf(packet string) (string, error) {
	var hello struct{ Sid string }
	text, ok := strings.CutPrefix(packet, "0")
	if !ok || json.Unmarshal([]byte(text), &hello) != nil || hello.Sid == "" {
		return "", fmt.Errorf("not an open packet: %.80q", packet)
	}
	return hello.Sid, nil
}

// Join is Dial and CONNECT to the namespace /.
func Join(base string, protocol int, query string) (*Conn, error) {
	c, err := Dial(base, protocol, query, nil)
	if err == nil {
		if err = Connect(c, connects[protocol]); err != nil {
			c.Close()
		}
	}
	return c, err
}

// connects is what a client sends to enter the namespace: in protocol 3 it is asked in.
var connects = map[int]string{4: "40"}

// Connect sends a CONNECT, if that is not "", and reads its answer.
func Connect(c Packets, connect string) (err error) {
	if connect != "" {
		err = c.Send(connect)
	}
	if err == nil {
		var got string
		if got, err = c.Next(); err == nil && !strings.HasPrefix(got, "40") {
			err = fmt.Errorf("CONNECT is answered %.200q", got)
		}
	}
	return err
}

// Send sends a packet of text. It is safe for concurrent use.
func (c *Conn) Send(packet string) error { return c.write(websocket.TextMessage, packet) }

// SendBinary sends a binary packet.
func (c *Conn) SendBinary(data string) error { return c.write(websocket.BinaryMessage, data) }

func (c *Conn) write(kind int, data string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.SetWriteDeadline(time.Now().Add(Patience))
	return c.WriteMessage(kind, []byte(data))
}

// Next implements Packets.
func (c *Conn) Next() (string, error) {
	c.SetReadDeadline(time.Now().Add(Patience))
	packet, err := c.next()
	return string(packet), err
}

// next is Next without a deadline.
func (c *Conn) next() ([]byte, error) {
	for {
		_, packet, err := c.ReadMessage()
		if err != nil || string(packet) != "2" {
			return packet, err
		}
		c.Send("3") // an error shows at the next read
	}
}

// Ask sends an event and waits for its acknowledgement, skipping other packets.
func Ask(c Packets, event string) (answer string, err error) {
	err = c.Send("421" + event)
	for ok := false; err == nil && !ok; {
		if answer, err = c.Next(); err == nil {
			answer, ok = strings.CutPrefix(answer, "431")
		}
	}
	return answer, err
}

// MustAsk is Ask, or the end of the test.
func MustAsk(t testing.TB, c Packets, event string) string {
	t.Helper()
	answer, err := Ask(c, event)
	return must(t, answer, err)
}

// MustJoin is Join, or the end of the test, with which the connection is closed.
func MustJoin(t testing.TB, base string, protocol int, query string) *Conn {
	t.Helper()
	c, err := Join(base, protocol, query)
	return closing(t, must(t, c, err))
}

func must[T any](t testing.TB, made T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func closing(t testing.TB, c *Conn) *Conn {
	t.Cleanup(func() { c.Close() })
	return c
}

// Expect reads packets, which must be these; of one that ends in … only the beginning
// counts.
func Expect(t testing.TB, c Packets, want ...string) {
	t.Helper()
	for i, w := range want {
		got, err := c.Next()
		begin, more := strings.CutSuffix(w, "…")
		if err != nil || !strings.HasPrefix(got, begin) || !more && got != w {
			t.Fatalf("packet %d of %d: %.200q, %v; want %.200q", i, len(want), got, err, w)
		}
	}
}

// Ticks reads n ticks, which must come in order with nothing between them.
func Ticks(t testing.TB, c Packets, n int) {
	t.Helper()
	for i := range n {
		Expect(t, c, fmt.Sprintf(`42["tick",%d]`, i))
	}
}
