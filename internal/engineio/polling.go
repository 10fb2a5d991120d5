package engineio

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"rollcall/internal/memory"
)

// upgradePoll is how long a poll waits while the client upgrades: it must end
// before the client goes on, so it is not held.
const upgradePoll = 100 * time.Millisecond

// postTimeout bounds how long the body of a polling request may take.
const postTimeout = 30 * time.Second

// An exchange is one request of a polling client and its answer.
type exchange struct {
	c *Conn
	w http.ResponseWriter
	r *http.Request
}

// servePoll answers a GET with what is queued, waiting for something if need
// be. As in Node, a second poll at the same time, or a client that goes away
// while it waits, ends the session.
func (e exchange) servePoll() {
	e.c.srv.opts.Polls(e.r)
	if !e.awaitQueued() {
		return
	}
	c := e.c
	c.mu.Lock()
	var runs []Run
	last := c.life.sealed
	if c.carrier.ws == nil { // else the queue is the WebSocket's
		runs, last = c.out.takeForPoll(&c.life)
	}
	conn := http.NewResponseController(e.w)
	c.carrier.abort = func(at time.Time) { conn.SetWriteDeadline(at) }
	if !c.life.hasQueue() {
		c.carrier.abort(time.Now().Add(closeWriteTimeout))
	}
	c.mu.Unlock()
	if len(runs) == 0 {
		runs = []Run{noopPacket}
	}
	err := e.respond(runs)
	c.mu.Lock()
	c.carrier.polling, c.carrier.abort = false, nil
	c.out.written()
	c.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.srv.disconnectSlow(c, "it takes nothing")
	case last || err != nil:
		c.CloseNow()
		return
	}
	c.srv.detached(c)
}

// awaitQueued begins a poll and waits until there is an answer to it. It reports
// false when the session has ended instead.
func (e exchange) awaitQueued() bool {
	c := e.c
	c.mu.Lock()
	if c.carrier.polling {
		c.mu.Unlock()
		e.fault()
		return false
	}
	c.carrier.polling = true
	http.NewResponseController(e.w).SetReadDeadline(time.Time{}) // it may take as long as a ping
	if len(c.out.queue) > 0 || c.carrier.ws != nil || c.life.state == gone {
		c.mu.Unlock()
		return true
	}
	wake := make(chan struct{})
	c.carrier.poll = wake
	var limit <-chan time.Time
	if c.carrier.candidate != nil {
		limit = time.After(upgradePoll)
	}
	c.mu.Unlock()

	left := false
	select {
	case <-wake:
	case <-limit:
	case <-e.r.Context().Done():
		left = true
	}

	c.mu.Lock()
	c.carrier.poll = nil
	c.carrier.polling = !left
	c.mu.Unlock()
	if left {
		c.CloseNow()
	}
	return !left
}

// fault ends the session of a client that broke the protocol, as Node does.
func (e exchange) fault() {
	e.w.WriteHeader(http.StatusBadRequest) // without a body, as Node
	e.c.fail()
}

// respond writes a poll's answer.
func (e exchange) respond(runs []Run) error {
	var body []byte
	frames := len(runs)
	for _, r := range runs {
		body = appendPayload(body, r.frames, e.c.encoding)
	}
	contentType := "text/plain; charset=UTF-8"
	switch {
	case e.c.jsonp:
		body = encodeJSONP(body, e.c.Query().Get(jsonpIndex))
		contentType = "text/javascript; charset=UTF-8"
	case e.c.encoding == framed:
		contentType = "application/octet-stream"
	}
	e.w.Header().Set("X-Content-Type-Options", "nosniff")
	e.c.mu.Lock()
	over := false
	if e.c.life.hasQueue() { // its bytes count while they are written: the client may not read them
		answer := Run{frames: body}
		e.c.out.inflight = append(e.c.out.inflight, answer)
		over = e.c.out.count(1, answer)
	}
	e.c.unlock(over)
	err := e.write(contentType, body)
	e.c.srv.opts.Observer.Out(frames, len(body))
	return err
}

// write writes an answer.
func (e exchange) write(contentType string, body []byte) error {
	header := e.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	_, err := e.w.Write(body)
	return err
}

// servePost takes the packets in a request's body, in order and all of them,
// before it answers. Only one is handled at a time, and none when the WebSocket has
// taken over.
func (e exchange) servePost() {
	c, posted := e.c, make(chan struct{})
	c.mu.Lock()
	overlap, upgraded := c.carrier.posted != nil, c.carrier.ws != nil
	if !overlap && !upgraded {
		c.carrier.posted = posted
	}
	c.mu.Unlock()
	switch {
	case overlap:
		e.fault()
		return
	case upgraded:
		c.srv.refuse(e.w, e.r, badRequest)
		return
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(posted)
		c.carrier.posted = nil
	}()
	binary := e.r.Header.Get("Content-Type") == "application/octet-stream"
	if binary && c.protocol == 4 {
		e.fault()
		return
	}
	body, release, err := c.srv.opts.Inbound.ReadBody(e.w, e.r, int64(c.srv.opts.MaxBody), postTimeout)
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		e.refuseTooLarge(Reason{bodyTooLarge, fmt.Sprintf("The body is larger than MAX_BODY, %d bytes", c.srv.opts.MaxBody)})
		return
	case errors.Is(err, memory.ErrFull):
		e.w.Header().Set("Retry-After", "1")
		c.srv.refuse(e.w, e.r, busy)
		return
	case err != nil:
		c.fail()
		panic(http.ErrAbortHandler)
	}
	defer release() // idempotent
	if c.jsonp {
		body, err = decodeJSONP(body)
	}
	if err != nil {
		c.fail()
	} else if e.receiveAll(body, binary) == errTooLarge {
		release()
		e.refuseTooLarge(c.srv.opts.tooLarge())
		return
	}
	// What was wrong with the packets ends the session; the request was fine.
	e.write("text/html", []byte("ok")) // text/plain is offered for download by some
}

// refuseTooLarge ends the session of a client that sent a body, or a message in
// it, over the limit. The session tells it why, because few clients show the status
// of a POST, and none can over JSONP. A client that polls within CloseTimeout gets that
// before the answer to the POST, at which it would close the connection and miss it. If
// the session tells nothing, the POST is answered first, without a body, as in Node. The
// body must have been released: it does not count for that long.
func (e exchange) refuseTooLarge(reason Reason) {
	c := e.c
	c.srv.opts.Observer.Refusal(reason.Code)
	c.tell(reason)
	c.mu.Lock()
	said := c.life.said
	c.mu.Unlock()
	if said {
		c.end(leaving, reason)
	} else {
		e.w.Header().Set("Content-Length", "0")
		e.w.WriteHeader(http.StatusRequestEntityTooLarge)
		http.NewResponseController(e.w).Flush()
	}
	wait(c.over, c.srv.opts.CloseTimeout)
	c.CloseNow()
	if said {
		c.srv.refuse(e.w, e.r, &refusal{http.StatusRequestEntityTooLarge, "", 3, reason.Message})
	}
}

// receiveAll handles a payload's packets, each before the next is looked at, until
// one ends the session. It returns errTooLarge for one that is over the limit: then
// ending the session is left to the caller.
func (e exchange) receiveAll(body []byte, binary bool) error {
	for m, err := range packets(body, e.c.protocol, binary, e.c.srv.opts.MaxMessage) {
		if err != nil {
			if err != errTooLarge {
				e.c.srv.opts.Observer.Refusal(invalidPacket)
				e.c.fail()
			}
			return err
		}
		if !m.binary && len(m.data) > 0 && m.data[0] == '1' {
			e.c.CloseNow()
			return nil
		}
		if !e.c.receive(m) {
			return nil
		}
		e.c.reading.pace(e.c, len(m.data))
	}
	return nil
}
