package engineio

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	testclient "rollcall/e2e/client"
)

// echo is the session that the official suites expect: it sends back what it gets.
type echo struct {
	conn  *Conn
	greet bool // as the server of engine.io-client's tests
}

func (e echo) Text(message []byte) {
	switch string(message) {
	case "give binary":
		e.Binary([]byte{0, 1, 2, 3, 4})
	case "give utf8":
		e.conn.Send(AppendText(nil, []byte("4пойду спать всем спокойной ночи")))
	default:
		e.conn.Send(AppendText(nil, []byte{'4'}, message))
	}
}

func (e echo) Binary(message []byte) {
	e.conn.Send(AppendBinary(nil, e.conn.Protocol(), message))
}

func (e echo) Upgraded()            {}
func (e echo) Closed(Reason)        {}
func (e echo) LogValue() slog.Value { return slog.Value{} }

func echoServer(t *testing.T, greet bool, opts Options) http.Handler {
	server := New(opts, func(c *Conn) Session {
		e := echo{c, greet}
		if greet {
			e.Text([]byte("hi"))
		}
		return e
	})
	t.Cleanup(func() { server.Stop(t.Context(), 0, nil) })
	return server
}

// TestConformance runs the official suites of Engine.IO: `make conformance`.
func TestConformance(t *testing.T) {
	quick := Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	t.Run("engine.io-protocol", func(t *testing.T) {
		testclient.RunSuite(t, echoServer(t, false, quick), "4", 25, "engine.io-protocol/test-suite", "test-suite.js")
	})
	// One of its tests wants bytes without the parameter of old browsers, and one misses
	// what comes with the open WebSocket.
	t.Run("engine.io-protocol-v3", func(t *testing.T) {
		testclient.RunSuite(t, echoServer(t, false, quick), "3", 21, "engine.io-protocol-v3/test-suite", "test-suite.js")
	})
	t.Run("engine.io-client", func(t *testing.T) {
		opts := Options{PingInterval: 500 * time.Millisecond}
		testclient.RunSuite(t, echoServer(t, true, opts), "4", 83, "engine.io-client", "test/index.js")
	})
}
