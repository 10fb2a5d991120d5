package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	eio "github.com/zishang520/engine.io-go-parser/packet"
	"github.com/zishang520/engine.io/v2/engine"
	"github.com/zishang520/engine.io/v2/transports"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io/v2/socket"
)

// A stay is a link's time with the library: from the handshake, or from the
// CONNECT of a client that comes back, until CONNECT has been answered. The
// library takes it for a transport that is always writable. It costs several
// times what the link does, and would cost it for as long as the client is
// there; so it ends as soon as the library has done its part.
type stay struct {
	transports.Transport // the library's part: events, ready state

	link   *link
	engine engine.Socket
}

var _ transports.Transport = (*stay)(nil)

// engineServer makes stays where the library would make its own transports.
type engineServer struct {
	engine.Server
}

type linkKey struct{}

func (e *engineServer) CreateTransport(_ string, ctx *types.HttpContext) (transports.Transport, error) {
	st := &stay{Transport: transports.MakeTransport(), link: ctx.Context().Value(linkKey{}).(*link)}
	st.Prototype(st)
	st.Construct(ctx)
	st.SetWritable(true)
	return st, nil
}

// startLibrary sets the library up.
func (s *Server) startLibrary() {
	opts := s.opts.serverOptions()
	s.engine = &engineServer{Server: engine.NewServer(opts)}
	s.engine.Server.Prototype(s.engine)
	// Ours first: the link must know its id before the library connects it.
	s.engine.Server.On("connection", func(args ...any) {
		conn := args[0].(engine.Socket)
		st := conn.Transport().(*stay)
		st.engine = conn
		st.begin(conn.Id())
	})
	s.io = socket.NewServer(nil, opts)
	s.io.Bind(s.engine.Server)
	s.io.Use(func(sock *socket.Socket, next func(*socket.ExtendedError)) { next(connect(sock)) })
	s.io.On("connection", func(args ...any) { bind(args[0].(*socket.Socket)) })
}

// never is longer than any connection lasts.
const never = 100 * 365 * 24 * time.Hour

// serverOptions are the library's settings. Connection state recovery stays
// off: in v2.5.0 it panics at start. Heartbeats are ours.
func (o Options) serverOptions() *socket.ServerOptions {
	opts := socket.DefaultServerOptions()
	opts.SetAllowEIO3(true)
	opts.SetServeClient(false)
	opts.SetPingInterval(never)
	opts.SetPingTimeout(never)
	return opts
}

// openPacket is what a client is told first. The order of the fields is Node's:
// some clients search the text instead of parsing it, and expect the sid first.
func (l *link) openPacket() []byte {
	upgrades := []string{}
	if l.ws == nil {
		upgrades = append(upgrades, overWebSocket)
	}
	hello, _ := json.Marshal(struct { // strings and numbers always marshal
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{l.sid, upgrades, l.srv.opts.PingInterval.Milliseconds(), l.srv.opts.PingTimeout.Milliseconds(), l.srv.opts.MaxBody})
	return appendFrame(nil, opText, []byte{'0'}, hello)
}

// enter begins a stay. The library sees a request of its own, with no more in it
// than it needs. In protocol 3 it connects the main namespace unasked.
func (l *link) enter() (*stay, error) {
	request := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{RawQuery: "EIO=" + strconv.Itoa(l.protocol)},
	}).WithContext(context.WithValue(context.Background(), linkKey{}, l))
	ctx := types.NewHttpContext(noResponse{}, request)
	defer ctx.Flush() // ends the goroutine that waits for the request's end
	code, t := l.srv.engine.Handshake(l.Name(), ctx)
	if t == nil {
		return nil, errors.New(code.Message)
	}
	st := t.(*stay)
	if l.hasEnded() { // maybe before the library listened to it
		st.end()
	}
	return st, nil
}

// begin is told of a new stay before the library goes on with it. The link's first
// is the beginning of the session.
func (st *stay) begin(id string) {
	l := st.link
	l.mu.Lock()
	if !l.ended {
		l.stay = st
	}
	l.mu.Unlock()
	if l.sid == "" {
		l.opened(id)
	}
}

// forward gives the library a CONNECT, beginning a stay if there is none.
func (l *link) forward(connect []byte) error {
	l.mu.Lock()
	st := l.stay
	l.mu.Unlock()
	if st == nil {
		var err error
		if st, err = l.enter(); err != nil || l.protocol == 3 {
			return err
		}
	}
	st.engine.Emit("data", types.NewStringBuffer(connect))
	return nil
}

// leave takes the stay from its link: CONNECT has been answered.
func (st *stay) leave() {
	l := st.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stay == st {
		l.stay = nil
	}
}

// end lets the library forget the stay, without a word to the client: its lists,
// rooms, timers and their goroutines.
func (st *stay) end() { st.OnClose() }

// Name is the transport's.
func (st *stay) Name() string { return st.link.Name() }

// Send passes the library's packets on: CONNECT and CONNECT_ERROR. All others
// are ours.
func (st *stay) Send(packets []*eio.Packet) {
	for _, p := range packets {
		if p.Type == eio.MESSAGE {
			data, _ := io.ReadAll(p.Data) // from memory
			st.link.send(appendFrame(nil, opText, []byte{'4'}, data), nil)
		}
	}
	st.Emit("drain") // the library keeps a callback list until it hears this
}

// DoClose is called when the library wants the connection closed, which it does
// with who does not CONNECT in time.
func (st *stay) DoClose(types.Callable) { st.link.close() }

// noResponse stands in for the response that the library never writes.
type noResponse struct{}

func (noResponse) Header() http.Header         { return http.Header{} }
func (noResponse) Write(b []byte) (int, error) { return len(b), nil }
func (noResponse) WriteHeader(int)             {}
