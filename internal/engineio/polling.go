package engineio

import (
	"errors"
	"fmt"
	"io"
	"math"
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

// servePoll answers a GET with what is queued, waiting for something if need
// be. As in Node, a second poll at the same time, or a client that goes away
// while it waits, ends the session.
func (c *Conn) servePoll(w http.ResponseWriter, r *http.Request) {
	c.srv.opts.Polls(r)
	if !c.awaitQueued(w, r) {
		return
	}
	c.mu.Lock()
	runs, last := c.takeForPoll()
	conn := http.NewResponseController(w)
	if c.abort = func(at time.Time) { conn.SetWriteDeadline(at) }; c.state == gone || c.discarded {
		c.abort(time.Now().Add(closeWriteTimeout))
	}
	c.mu.Unlock()
	if len(runs) == 0 {
		runs = []run{{frames: noopPacket}}
	}
	err := c.respond(w, runs)
	c.mu.Lock()
	c.polling, c.abort = false, nil
	c.written()
	c.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.disconnectSlow("it takes nothing")
	case last || err != nil:
		c.CloseNow()
		return
	}
	c.srv.detached(c)
}

// awaitQueued begins a poll and waits until there is an answer to it. It reports
// false when the session has ended instead.
func (c *Conn) awaitQueued(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	if c.polling {
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		c.fail()
		return false
	}
	c.polling = true
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // it may take as long as a ping
	var wake chan struct{}
	if len(c.queue) == 0 && c.ws == nil && c.state != gone {
		wake = make(chan struct{})
		c.poll = wake
	}
	var limit <-chan time.Time
	if wake != nil && c.candidate != nil {
		timer := time.NewTimer(upgradePoll)
		defer timer.Stop()
		limit = timer.C
	}
	c.mu.Unlock()

	left := false
	if wake != nil {
		select {
		case <-wake:
		case <-limit:
		case <-r.Context().Done():
			left = true
		}
	}

	c.mu.Lock()
	c.poll = nil
	if left {
		c.polling = false
	}
	c.mu.Unlock()
	if left {
		c.CloseNow()
	}
	return !left
}

// maxAnswer is how much of the queue goes into one answer, since that is a copy: as
// much as this, but at least one run of frames. The rest waits for the next poll.
const maxAnswer = 256 << 10

// takeForPoll takes what a poll is answered with, and reports whether that is the
// last answer. c.mu is held.
func (c *Conn) takeForPoll() (runs []run, last bool) {
	if c.ws != nil { // the WebSocket has taken over
		return nil, c.sealed
	}
	most := maxAnswer
	if n := len(c.queue); c.sealed && c.state == leaving && n > 1 {
		// Clients of 4.x act on a close before the events that came with it, and
		// lose them: it goes with the next poll, as in Node.
		ending := c.queue[n-1]
		c.queue = c.queue[:n-1]
		runs = c.takeRuns(most)
		c.queue = append(c.queue, ending)
	} else {
		if c.sealed && c.state != leaving { // no poll will come for the rest
			most = math.MaxInt
		}
		runs = c.takeRuns(most)
	}
	for _, r := range runs {
		c.queued -= r.cost()
	}
	return runs, c.sealed && len(c.queue) == 0
}

// respond writes a poll's answer.
func (c *Conn) respond(w http.ResponseWriter, runs []run) error {
	var body []byte
	frames := len(runs)
	for _, r := range runs {
		body = appendPayload(body, r.frames, c.encoding)
	}
	contentType := "text/plain; charset=UTF-8"
	switch {
	case c.jsonp:
		body = encodeJSONP(body, c.Query().Get(jsonpIndex))
		contentType = "text/javascript; charset=UTF-8"
	case c.encoding == framed:
		contentType = "application/octet-stream"
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	c.answering(body)
	_, err := w.Write(body)
	c.srv.opts.Observer.Out(frames, len(body))
	return err
}

// answering counts an answer's bytes while they are written: the client may not
// read them.
func (c *Conn) answering(body []byte) {
	c.mu.Lock()
	over := false
	if c.state != gone && !c.discarded {
		answer := run{frames: body}
		c.inflight = append(c.inflight, answer)
		over = c.hold(answer)
	}
	c.mu.Unlock()
	if over {
		c.srv.makeRoom()
	}
}

// servePost takes the packets in a request's body, in order and all of them,
// before it answers.
func (c *Conn) servePost(w http.ResponseWriter, r *http.Request) {
	switch begun, overlap := c.beginPost(); {
	case overlap:
		w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		c.fail()
		return
	case !begun:
		refuse(w, r, badRequest)
		return
	}
	defer c.endPost()
	binary := r.Header.Get("Content-Type") == "application/octet-stream"
	if binary && c.protocol == 4 {
		w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		c.fail()
		return
	}
	body, release, err := c.srv.opts.Inbound.ReadBody(w, r, int64(c.srv.opts.MaxBody), postTimeout)
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		c.refuseTooLarge(w, r, Reason{bodyTooLarge, fmt.Sprintf("The body is larger than MAX_BODY, %d bytes", c.srv.opts.MaxBody)})
		return
	case errors.Is(err, memory.ErrFull):
		w.Header().Set("Retry-After", "1")
		c.srv.refused(w, r, busy, "busy")
		return
	case err != nil:
		c.fail()
		panic(http.ErrAbortHandler)
	}
	defer release()
	if c.jsonp {
		body, err = decodeJSONP(body)
	}
	if err != nil {
		c.fail()
	} else {
		err = c.receiveAll(body, binary)
	}
	if errors.Is(err, errTooLarge) {
		c.refuseTooLarge(w, r, c.tooLarge())
		return
	}
	// What was wrong with the packets ends the session; the request was fine.
	header := w.Header()
	header.Set("Content-Type", "text/html") // text/plain is offered for download by some
	header.Set("Content-Length", "2")
	header.Set("Cache-Control", "no-store")
	io.WriteString(w, "ok")
}

// refuseTooLarge ends the session of a client that sent a body, or a message in
// it, over the limit. The session tells it why, because few clients show the status
// of a POST, and none can over JSONP. A client that polls meanwhile gets that before
// the answer to the POST, at which it would close the connection and miss it.
func (c *Conn) refuseTooLarge(w http.ResponseWriter, r *http.Request, reason Reason) {
	c.srv.opts.Observer.Refusal(reason.Code)
	c.end(leaving, reason)
	c.pause(closeWriteTimeout)
	c.CloseNow()
	refuse(w, r, refusal{http.StatusRequestEntityTooLarge, 3, reason.Message})
}

// receiveAll handles a payload's packets, each before the next is looked at, until
// one ends the session. It returns errTooLarge for one that is over the limit: then
// ending the session is left to the caller.
func (c *Conn) receiveAll(body []byte, binary bool) error {
	for m, err := range packets(body, c.protocol, binary, c.srv.opts.MaxMessage) {
		if err != nil {
			if !errors.Is(err, errTooLarge) {
				c.srv.opts.Observer.Refusal(invalidPacket)
				c.fail()
			}
			return err
		}
		if !m.binary && len(m.data) > 0 && m.data[0] == '1' {
			c.CloseNow()
			return nil
		}
		if !c.receive(m) {
			return nil
		}
		c.pace(&c.reading, len(m.data))
	}
	return nil
}
