package engineio

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	testclient "rollcall/e2e/client"
)

// echo is the session that the official suites expect: it sends back what it gets.
type echo struct {
	conn    *Conn
	headers *sync.Map // of each client's last request, as JSON; nil: none asks
}

func (e echo) Text(message []byte) {
	switch string(message) {
	case "give binary":
		e.Binary([]byte{0, 1, 2, 3, 4})
	case "give utf8":
		e.conn.Send(AppendText(nil, []byte("4пойду спать всем спокойной ночи")))
	case "sendHeaders":
		headers, _ := e.headers.Load(e.conn.ID())
		e.conn.Send(AppendText(nil, fmt.Appendf(nil, "4%s", headers)))
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

func echoServer(t *testing.T, opts Options, headers *sync.Map) http.Handler {
	server := New(opts, func(c *Conn) Session {
		e := echo{c, headers}
		if headers != nil {
			e.Text([]byte("hi"))
		}
		return e
	})
	t.Cleanup(func() { server.Stop(t.Context(), 0, nil) })
	return server
}

// clientServer is the server of engine.io-client's tests: it greets, allows little, gives
// cookies, and tells a client what it sent back of them.
func clientServer(t *testing.T) http.Handler {
	var headers sync.Map
	server := echoServer(t, Options{PingInterval: 500 * time.Millisecond, MaxMessage: 100, MaxBody: 100}, &headers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sid := r.URL.Query().Get("sid")
		if sid == "" {
			w.Header()["Set-Cookie"] = []string{"1=1; Max-Age=86400", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
				"3=3; Max-Age=0", "4=4; Expires=" + time.Now().UTC().Format(http.TimeFormat)}
		}
		read, _ := json.Marshal(struct {
			Cookie string `json:"cookie,omitempty"`
		}{r.Header.Get("Cookie")})
		headers.Store(sid, read)
		server.ServeHTTP(w, r)
	})
}

// TestConformance runs the official suites of Engine.IO: `make conformance`.
func TestConformance(t *testing.T) {
	quick := Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	t.Run("engine.io-protocol", func(t *testing.T) {
		testclient.RunSuite(t, echoServer(t, quick, nil), "4", 25, "engine.io-protocol/test-suite", "test-suite.js")
	})
	// One of its tests wants bytes without the parameter of old browsers, and one misses
	// what comes with the open WebSocket.
	t.Run("engine.io-protocol-v3", func(t *testing.T) {
		testclient.RunSuite(t, echoServer(t, quick, nil), "3", 21, "engine.io-protocol-v3/test-suite", "test-suite.js")
	})
	t.Run("engine.io-client", func(t *testing.T) {
		testclient.RunSuite(t, clientServer(t), "4", 83, "engine.io-client", "test/index.js")
	})
}
