package socketio

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	eio "github.com/zishang520/engine.io-go-parser/packet"
	"github.com/zishang520/engine.io/v2/engine"
	"github.com/zishang520/engine.io/v2/transports"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io/v2/socket"

	"rollcall/internal/engineio"
)

// library makes ids and answers CONNECT. It knows a client only while it answers: it
// costs several times what a connection does.
type library struct {
	engine *engineServer
	io     *socket.Server
}

// engineServer makes a libraryConn where the library would make its own transports.
type engineServer struct {
	engine.Server
}

// A libraryConn is what the library takes for the transport of a session's client,
// always writable, from a CONNECT to its answer.
type libraryConn struct {
	transports.Transport // the library's part: events, ready state

	session *session
	engine  engine.Socket
	finish  func()        // closes done
	done    chan struct{} // closed when CONNECT has been answered
}

type sessionKey struct{}

func (e *engineServer) CreateTransport(_ string, ctx *types.HttpContext) (transports.Transport, error) {
	c := &libraryConn{Transport: transports.MakeTransport(), done: make(chan struct{})}
	c.session = ctx.Context().Value(sessionKey{}).(*session)
	c.finish = sync.OnceFunc(func() { close(c.done) })
	c.Prototype(c)
	c.Construct(ctx)
	c.SetWritable(true)
	return c, nil
}

// newLibrary sets the library up. Connection state recovery stays off: in v2.5.0 it
// panics at start. Heartbeats are ours.
func newLibrary() *library {
	opts := socket.DefaultServerOptions()
	opts.SetAllowEIO3(true)
	opts.SetServeClient(false)
	opts.SetPingInterval(never)
	opts.SetPingTimeout(never)
	l := &library{engine: &engineServer{Server: engine.NewServer(opts)}}
	l.engine.Server.Prototype(l.engine)
	// Ours first: a libraryConn must know its socket before the library connects it.
	l.engine.Server.On("connection", func(args ...any) {
		conn := args[0].(engine.Socket)
		conn.Transport().(*libraryConn).engine = conn
	})
	l.io = socket.NewServer(nil, opts)
	l.io.Bind(l.engine.Server)
	l.io.Use(func(sock *socket.Socket, next func(*socket.ExtendedError)) { next(admit(sock)) })
	l.io.On("connection", func(args ...any) { answered(args[0].(*socket.Socket)) })
	return l
}

// never is longer than any connection lasts.
const never = 100 * 365 * 24 * time.Hour

// newID makes the id of a connection, or one that looks like it.
func (l *library) newID() string {
	id, _ := l.engine.GenerateId(nil) // fails only if crypto/rand does, with which the program ends
	return id
}

// connect gives the library a session's CONNECT, and returns when it is answered or
// the connection is over. The library sees a request of its own, with no more in it
// than it needs. In protocol 3 it connects the main namespace unasked.
func (l *library) connect(s *session, connect []byte) {
	conn := s.client.conn
	request := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{RawQuery: "EIO=" + strconv.Itoa(conn.Protocol())},
	}).WithContext(context.WithValue(context.Background(), sessionKey{}, s))
	ctx := types.NewHttpContext(noResponse{}, request)
	_, t := l.engine.Handshake(engineio.Polling, ctx) // fails like newID
	ctx.Flush()                                       // ends the goroutine that waits for the request's end
	c := t.(*libraryConn)
	if conn.Protocol() == 4 {
		c.engine.Emit("data", types.NewStringBuffer(connect))
	}
	select {
	case <-c.done:
	case <-conn.Done():
	}
	c.forget()
}

// admit runs in the library's middleware, before CONNECT is answered.
func admit(sock *socket.Socket) *socket.ExtendedError {
	s := sock.Conn().Transport().(*libraryConn).session
	auth, _ := sock.Handshake().Auth.(map[string]any)
	err := s.admit(string(sock.Id()), auth)
	switch err {
	case nil:
		return nil
	case errLost:
		return socket.NewExtendedError(errLost.Error(), nil)
	}
	code, message := explain(err)
	s.client.srv.opts.Observer.Refusal(code)
	return socket.NewExtendedError(code, map[string]any{"ok": false, "error": code, "message": message})
}

// answered runs when the library has queued CONNECT, the last thing that it does for
// the client.
func answered(sock *socket.Socket) {
	c := sock.Conn().Transport().(*libraryConn)
	c.session.answered()
	c.forget()
	// If the client was lost while the library connected it, the library has listed
	// the socket after it had forgotten the client, and would for good.
	sock.Disconnect(false)
	c.finish()
}

// forget lets the library forget the client, without a word to it: its lists, rooms,
// timers and their goroutines.
func (c *libraryConn) forget() { c.OnClose() }

// Name is the transport's.
func (c *libraryConn) Name() string { return engineio.Polling }

// Send passes the library's packets on: CONNECT and CONNECT_ERROR. All others
// are ours.
func (c *libraryConn) Send(packets []*eio.Packet) {
	for _, p := range packets {
		if p.Type != eio.MESSAGE {
			continue
		}
		data, _ := io.ReadAll(p.Data) // from memory
		c.session.client.conn.Send(engineio.AppendText(nil, []byte{'4'}, data))
		if len(data) > 0 && data[0] == typeConnectError {
			c.finish()
		}
	}
	c.Emit("drain") // the library keeps a callback list until it hears this
}

// DoClose is called when the library wants the connection closed, which it does
// with a client that does not CONNECT in time.
func (c *libraryConn) DoClose(types.Callable) { c.session.client.conn.Close() }

// noResponse stands in for the response that the library never writes.
type noResponse struct{}

func (noResponse) Header() http.Header         { return http.Header{} }
func (noResponse) Write(b []byte) (int, error) { return len(b), nil }
func (noResponse) WriteHeader(int)             {}
