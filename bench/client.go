package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A client is one Socket.IO connection over WebSocket (EIO 4), as cheap as it
// can be: one goroutine, no buffer of its own, payloads passed unread.
type client struct {
	conn     *net.TCPConn
	raw      syscall.RawConn
	scan     scanner
	each     func(message)
	received atomic.Int64 // bytes
	ended    chan struct{}

	// For whoever handles the messages, in the reading goroutine.
	id    int    // its user's
	known int    // users it knows
	heard int    // messages that count
	seen  []bool // visitors that it saw come
}

// dialing bounds how many handshakes are under way at once: Node's listener
// has room for 511, and a client beyond that waits a second.
var dialing = make(chan struct{}, 256)

const handshakeTime = 30 * time.Second

// dial connects to the main namespace with a subscription ("": the default).
func dial(ctx context.Context, port int, presence string) (*client, error) {
	c, err := open(ctx, port, "/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	connect, connected := `40`, false
	if presence != "" {
		connect = fmt.Sprintf(`40{"presence":%q}`, presence)
	}
	c.each = func(m message) { connected = connected || bytes.HasPrefix(m.head, []byte("40")) }
	c.send(connect)
	c.conn.SetReadDeadline(time.Now().Add(handshakeTime))
	for !connected {
		if err := c.read(); err != nil {
			c.close()
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	c.conn.SetReadDeadline(time.Time{})
	return c, nil
}

// open makes a WebSocket.
func open(ctx context.Context, port int, path string) (*client, error) {
	dialing <- struct{}{}
	defer func() { <-dialing }()
	dialer := net.Dialer{Timeout: handshakeTime, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn.(*net.TCPConn), ended: make(chan struct{}), each: func(message) {}}
	c.conn.SetLinger(0) // leaves no port behind
	c.conn.SetDeadline(time.Now().Add(handshakeTime))
	defer c.conn.SetDeadline(time.Time{})
	if c.raw, err = c.conn.SyscallConn(); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", path, port)
	var answer []byte
	var chunk [1024]byte
	for {
		n, err := c.conn.Read(chunk[:])
		if err != nil {
			c.conn.Close()
			return nil, fmt.Errorf("handshake: %w", err)
		}
		answer = append(answer, chunk[:n]...)
		if head, rest, whole := bytes.Cut(answer, []byte("\r\n\r\n")); whole {
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
				c.conn.Close()
				return nil, fmt.Errorf("handshake: %.80q", head)
			}
			c.take(rest)
			return c, nil
		}
	}
}

// listen hands every message to each, until the connection ends.
func (c *client) listen(each func(*client, message)) {
	c.each = func(m message) {
		if m.size == 1 && m.head[0] == '2' { // ping
			c.send("3")
			return
		}
		each(c, m)
	}
	go func() {
		defer close(c.ended)
		for c.read() == nil {
		}
	}()
}

func (c *client) take(b []byte) {
	c.received.Add(int64(len(b)))
	c.scan.feed(b, func(m message) { c.each(m) })
}

// buffers are shared: a connection holds one only while bytes are there.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

var errClosed = errors.New("closed by the server")

// read waits for bytes and handles what there is.
func (c *client) read() error {
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		buffer := buffers.Get().(*[64 << 10]byte)
		defer buffers.Put(buffer)
		for any := false; ; any = true {
			n, err := c.receive(int(fd), buffer[:])
			switch {
			case errors.Is(err, syscall.EINTR):
			case errors.Is(err, syscall.EAGAIN):
				return any
			case err != nil:
				failed = err
				return true
			case n == 0:
				failed = errClosed
				return true
			}
		}
	})
	return errors.Join(err, failed)
}

// receive takes what one system call brings: bytes that nobody will look at
// are not even copied.
func (c *client) receive(fd int, buffer []byte) (int, error) {
	if skip := c.scan.skippable(); skip > len(buffer) {
		n, err := discard(fd, buffer, skip)
		if n > 0 {
			c.received.Add(int64(n))
			c.scan.skip(n)
		}
		return n, err
	}
	n, err := syscall.Read(fd, buffer)
	if n > 0 {
		c.take(buffer[:n])
	}
	return n, err
}

// send writes text messages, in one call. The mask is zero: masking costs the
// sender only.
func (c *client) send(texts ...string) {
	var b []byte
	for _, text := range texts {
		b = append(b, 0x81)
		if len(text) < 126 {
			b = append(b, 0x80|byte(len(text)))
		} else {
			b = append(b, 0x80|126)
			b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		}
		b = append(b, 0, 0, 0, 0)
		b = append(b, text...)
	}
	c.conn.Write(b) // an ended connection shows when it is read
}

func (c *client) register(id, version int) {
	c.send(fmt.Sprintf(`42["register",%s]`, user(id, version)))
}

func (c *client) close() { c.conn.Close() }
