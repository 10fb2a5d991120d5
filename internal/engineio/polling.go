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
	e.c.mu.Lock()
	runs, last := e.c.takeForPoll()
	conn := http.NewResponseController(e.w)
	if e.c.abort = func(at time.Time) { conn.SetWriteDeadline(at) }; e.c.state == gone || e.c.discarded {
		e.c.abort(time.Now().Add(closeWriteTimeout))
	}
	e.c.mu.Unlock()
	if len(runs) == 0 {
		runs = []run{{frames: noopPacket}}
	}
	err := e.respond(runs)
	e.c.mu.Lock()
	e.c.polling, e.c.abort = false, nil
	e.c.written()
	e.c.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.c.disconnectSlow("it takes nothing")
	case last || err != nil:
		e.c.CloseNow()
		return
	}
	e.c.srv.detached(e.c)
}

// awaitQueued begins a poll and waits until there is an answer to it. It reports
// false when the session has ended instead.
func (e exchange) awaitQueued() bool {
	e.c.mu.Lock()
	if e.c.polling {
		e.c.mu.Unlock()
		e.w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		e.c.fail()
		return false
	}
	e.c.polling = true
	http.NewResponseController(e.w).SetReadDeadline(time.Time{}) // it may take as long as a ping
	var wake chan struct{}
	if len(e.c.queue) == 0 && e.c.ws == nil && e.c.state != gone {
		wake = make(chan struct{})
		e.c.poll = wake
	}
	var limit <-chan time.Time
	if wake != nil && e.c.candidate != nil {
		timer := time.NewTimer(upgradePoll)
		defer timer.Stop()
		limit = timer.C
	}
	e.c.mu.Unlock()

	left := false
	if wake != nil {
		select {
		case <-wake:
		case <-limit:
		case <-e.r.Context().Done():
			left = true
		}
	}

	e.c.mu.Lock()
	e.c.poll = nil
	if left {
		e.c.polling = false
	}
	e.c.mu.Unlock()
	if left {
		e.c.CloseNow()
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
func (e exchange) respond(runs []run) error {
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
	header := e.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	e.answering(body)
	_, err := e.w.Write(body)
	e.c.srv.opts.Observer.Out(frames, len(body))
	return err
}

// answering counts an answer's bytes while they are written: the client may not
// read them.
func (e exchange) answering(body []byte) {
	e.c.mu.Lock()
	over := false
	if e.c.state != gone && !e.c.discarded {
		answer := run{frames: body}
		e.c.inflight = append(e.c.inflight, answer)
		over = e.c.hold(answer)
	}
	e.c.mu.Unlock()
	if over {
		e.c.srv.makeRoom()
	}
}

// servePost takes the packets in a request's body, in order and all of them,
// before it answers.
func (e exchange) servePost() {
	switch begun, overlap := e.c.beginPost(); {
	case overlap:
		e.w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		e.c.fail()
		return
	case !begun:
		refuse(e.w, e.r, badRequest)
		return
	}
	defer e.c.endPost()
	binary := e.r.Header.Get("Content-Type") == "application/octet-stream"
	if binary && e.c.protocol == 4 {
		e.w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		e.c.fail()
		return
	}
	body, release, err := e.c.srv.opts.Inbound.ReadBody(e.w, e.r, int64(e.c.srv.opts.MaxBody), postTimeout)
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		e.refuseTooLarge(Reason{bodyTooLarge, fmt.Sprintf("The body is larger than MAX_BODY, %d bytes", e.c.srv.opts.MaxBody)})
		return
	case errors.Is(err, memory.ErrFull):
		e.w.Header().Set("Retry-After", "1")
		e.c.srv.refused(e.w, e.r, busy, "busy")
		return
	case err != nil:
		e.c.fail()
		panic(http.ErrAbortHandler)
	}
	defer release()
	if e.c.jsonp {
		body, err = decodeJSONP(body)
	}
	if err != nil {
		e.c.fail()
	} else {
		err = e.receiveAll(body, binary)
	}
	if errors.Is(err, errTooLarge) {
		e.refuseTooLarge(e.c.tooLarge())
		return
	}
	// What was wrong with the packets ends the session; the request was fine.
	header := e.w.Header()
	header.Set("Content-Type", "text/html") // text/plain is offered for download by some
	header.Set("Content-Length", "2")
	header.Set("Cache-Control", "no-store")
	io.WriteString(e.w, "ok")
}

// refuseTooLarge ends the session of a client that sent a body, or a message in
// it, over the limit. The session tells it why, because few clients show the status
// of a POST, and none can over JSONP. A client that polls meanwhile gets that before
// the answer to the POST, at which it would close the connection and miss it.
func (e exchange) refuseTooLarge(reason Reason) {
	e.c.srv.opts.Observer.Refusal(reason.Code)
	e.c.end(leaving, reason)
	e.c.pause(closeWriteTimeout)
	e.c.CloseNow()
	refuse(e.w, e.r, refusal{http.StatusRequestEntityTooLarge, 3, reason.Message})
}

// receiveAll handles a payload's packets, each before the next is looked at, until
// one ends the session. It returns errTooLarge for one that is over the limit: then
// ending the session is left to the caller.
func (e exchange) receiveAll(body []byte, binary bool) error {
	for m, err := range packets(body, e.c.protocol, binary, e.c.srv.opts.MaxMessage) {
		if err != nil {
			if !errors.Is(err, errTooLarge) {
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
		e.c.pace(&e.c.reading, len(m.data))
	}
	return nil
}
