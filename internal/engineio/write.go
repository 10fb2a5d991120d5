package engineio

import (
	"errors"
	"math"
	"net"
	"os"

	"github.com/gorilla/websocket"

	"rollcall/internal/stall"
)

// write is the writing goroutine of a WebSocket: it exists while there is something
// to write, and joins all that is queued into one call.
func (c *Conn) write(conn *websocket.Conn) {
	out := socketOf(conn)
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.state == gone {
			closing := c.sealed && c.state != gone
			flush := c.flush
			c.writing, c.flush = false, nil
			c.mu.Unlock()
			if flush != nil {
				flush.done()
			}
			if closing {
				c.writeClose(out)
			}
			return
		}
		bytes := c.queued
		runs := c.takeRuns(math.MaxInt)
		c.mu.Unlock()

		buffers := make(net.Buffers, len(runs))
		for i, r := range runs {
			buffers[i] = r.frames
		}
		_, err := out.WriteBuffers(buffers)

		c.mu.Lock()
		c.written()
		c.queued -= bytes
		c.mu.Unlock()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.disconnectSlow("it takes nothing")
		case err != nil:
			c.CloseNow()
		}
		c.srv.opts.Observer.Out(len(runs), bytes)
	}
}

// writeClose writes the last frame: ours, after which the client closes the
// connection, or the answer to the client's, after which we do.
func (c *Conn) writeClose(out *stall.Conn) {
	c.mu.Lock()
	frame := c.closing
	c.mu.Unlock()
	if frame == nil {
		out.Write(closeFrame)
		return
	}
	if _, err := out.Write(frame); err == nil {
		out.CloseWrite()
	}
}
