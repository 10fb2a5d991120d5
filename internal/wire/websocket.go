package wire

import (
	"errors"
	"io"
	"net"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// prepare sets a connection's limits and sees that only our writer writes to it
// while it lives.
func (l *link) prepare(conn *websocket.Conn) {
	conn.SetReadLimit(int64(l.srv.opts.MaxMessage))
	l.answerClose(conn)
	conn.SetPingHandler(func(data string) error {
		l.session.Load().count(&l.others) // it is answered
		l.send(appendFrame(nil, opPong, []byte(data)), nil)
		return nil
	})
}

// answerClose answers a client's close frame, unless it is the answer to ours.
func (l *link) answerClose(conn *websocket.Conn) {
	answer := conn.CloseHandler()
	conn.SetCloseHandler(func(code int, text string) error {
		if l.isClosing() {
			return nil
		}
		return answer(code, text)
	})
}

// read is the reading goroutine of a WebSocket: it handles each message before
// it reads the next, and ends with the connection.
func (l *link) read(conn *websocket.Conn) {
	defer func() {
		if p := recover(); p != nil {
			l.srv.opts.Log.Error("panic while reading", "panic", p, "stack", string(debug.Stack()))
			l.drop()
			l.fail(transportError)
		}
	}()
	reading, late := true, 0
	for {
		m, err := readMessage(conn)
		switch {
		case errors.Is(err, websocket.ErrReadLimit): // it has been told why
			l.srv.opts.Observer.Refusal("message_too_large")
			l.hangUp()
			return
		case err != nil:
			l.drop()
			l.fail(faultOf(err))
			return
		case !reading && late < hangUpBytes:
			late += len(m.data) + frameCost
			continue // closing: whatever comes now is too late
		case !reading: // and there is no end of it
			l.drop()
			return
		case !m.binary && !utf8.Valid(m.data):
			text := websocket.FormatCloseMessage(websocket.CloseInvalidFramePayloadData, "")
			conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(hangUpTime))
			l.hangUp()
			return
		}
		reading = l.receive(m)
	}
}

const (
	hangUpTime  = time.Second
	hangUpBytes = 4 << 20
	// frameCost is what any frame costs beside its bytes, about, in bytes.
	frameCost = 64
)

// hangUp ends a link whose client has just been sent the reason in a close
// frame. Closing while bytes of it are unread would reset the connection, and
// the reset overtake the frame: so the rest is read first, within bounds.
func (l *link) hangUp() {
	conns := l.detach()
	l.fail(transportError)
	for _, conn := range conns {
		out := conn.NetConn()
		if tcp, ok := out.(*net.TCPConn); ok {
			tcp.CloseWrite()
		}
		out.SetReadDeadline(time.Now().Add(hangUpTime))
		io.CopyN(io.Discard, out, hangUpBytes)
		conn.Close()
	}
}

func readMessage(conn *websocket.Conn) (message, error) {
	kind, data, err := conn.ReadMessage()
	return message{binary: kind == websocket.BinaryMessage, data: data}, err
}

// faultOf tells an ended connection from a broken one.
func faultOf(err error) fault {
	var closed *websocket.CloseError
	if errors.As(err, &closed) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return transportClose
	}
	return transportError
}

// write is the writing goroutine of a WebSocket: it exists while there is
// something to write, and joins all that is queued into one call.
func (l *link) write(conn *websocket.Conn) {
	out := conn.NetConn()
	for {
		l.mu.Lock()
		if len(l.queue) == 0 || l.dropped {
			closing := l.closing && !l.dropped
			settle := l.settle
			l.writing, l.settle = false, nil
			l.mu.Unlock()
			if settle != nil {
				settle.done()
			}
			if closing {
				out.Write(closeFrame)
			}
			return
		}
		queue, bytes := l.queue, l.queued
		l.queue = nil
		l.mu.Unlock()

		frames := len(queue)
		buffers := net.Buffers(queue)
		_, err := buffers.WriteTo(out)

		l.mu.Lock()
		l.queued -= bytes
		l.mu.Unlock()
		if err != nil {
			l.drop()
			l.fail(transportError)
		}
		l.srv.opts.Observer.Out(frames, bytes)
	}
}
