package wire

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
	"rollcall/rooms"
)

// upgradePoll is how long a poll waits while the client upgrades: it must end
// before the client goes on, so it is not held.
const upgradePoll = 100 * time.Millisecond

// postTimeout bounds how long the body of a polling request may take.
const postTimeout = 30 * time.Second

// servePoll answers a GET with what is queued, waiting for something if need
// be. As in Node, a second poll at the same time, or a client that goes away
// while it waits, ends the session.
func (l *link) servePoll(w http.ResponseWriter, r *http.Request) {
	l.srv.opts.Polls(r)
	if !l.awaitQueued(w, r) {
		return
	}
	l.mu.Lock()
	runs, last := l.takeForPoll()
	conn := http.NewResponseController(w)
	if l.abort = func(at time.Time) { conn.SetWriteDeadline(at) }; l.dropped || l.discarded {
		l.abort(time.Now().Add(hangUpTime))
	}
	l.mu.Unlock()
	if len(runs) == 0 {
		runs = []run{{frames: noopPacket}}
	}
	err := l.respond(w, runs)
	l.mu.Lock()
	l.polling, l.abort = false, nil
	l.written()
	l.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		l.cutOff("it takes nothing")
	case last || err != nil:
		l.drop()
		return
	}
	l.srv.detached(l)
}

// awaitQueued begins a poll and waits until there is an answer to it. It reports
// false when the session has ended instead.
func (l *link) awaitQueued(w http.ResponseWriter, r *http.Request) bool {
	l.mu.Lock()
	if l.polling {
		l.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		l.fail(rooms.Closed)
		return false
	}
	l.polling = true
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // it may take as long as a ping
	var wake chan struct{}
	if len(l.queue) == 0 && l.ws == nil && !l.dropped {
		wake = make(chan struct{})
		l.poll = wake
	}
	var patience <-chan time.Time
	if wake != nil && l.candidate != nil {
		timer := time.NewTimer(upgradePoll)
		defer timer.Stop()
		patience = timer.C
	}
	l.mu.Unlock()

	gone := false
	if wake != nil {
		select {
		case <-wake:
		case <-patience:
		case <-r.Context().Done():
			gone = true
		}
	}

	l.mu.Lock()
	l.poll = nil
	if gone {
		l.polling = false
	}
	l.mu.Unlock()
	if gone {
		l.drop()
	}
	return !gone
}

// abortPoll ends the writing of a poll's answer, if there is one, at a time.
func (l *link) abortPoll(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.abort != nil {
		l.abort(at)
	}
}

// maxAnswer is how much of the queue goes into one answer, since that is a copy: as
// much as this, but at least one run of frames. The rest waits for the next poll.
const maxAnswer = 256 << 10

// takeForPoll takes what a poll is answered with, and reports whether that is the
// last answer. l.mu is held.
func (l *link) takeForPoll() (runs []run, last bool) {
	if l.ws != nil { // the WebSocket has taken over
		return nil, l.closing
	}
	most := maxAnswer
	if n := len(l.queue); l.closing && l.fetching && n > 1 {
		// Clients of 4.x act on a close before the events that came with it, and
		// lose them: it goes with the next poll, as in Node.
		ending := l.queue[n-1]
		l.queue = l.queue[:n-1]
		runs = l.takeRuns(most)
		l.queue = append(l.queue, ending)
	} else {
		if l.closing && !l.fetching { // no poll will come for the rest
			most = math.MaxInt
		}
		runs = l.takeRuns(most)
	}
	for _, r := range runs {
		l.queued -= r.cost()
	}
	return runs, l.closing && len(l.queue) == 0
}

// respond writes a poll's answer.
func (l *link) respond(w http.ResponseWriter, runs []run) error {
	var body []byte
	frames := len(runs)
	for _, r := range runs {
		body = appendPayload(body, r.frames, l.encoding)
	}
	contentType := "text/plain; charset=UTF-8"
	switch {
	case l.jsonp:
		body = encodeJSONP(body, l.handshakeQuery().Get(jsonpIndex))
		contentType = "text/javascript; charset=UTF-8"
	case l.encoding == framed:
		contentType = "application/octet-stream"
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	l.answering(body)
	_, err := w.Write(body)
	l.srv.opts.Observer.Out(frames, len(body))
	return err
}

// answering counts an answer's bytes while they are written: the client may not
// read them.
func (l *link) answering(body []byte) {
	l.mu.Lock()
	over := false
	if !l.dropped && !l.discarded {
		answer := run{frames: body}
		l.inflight = append(l.inflight, answer)
		over = l.hold(answer)
	}
	l.mu.Unlock()
	if over {
		l.srv.evict()
	}
}

// servePost takes the packets in a request's body, in order and all of them,
// before it answers.
func (l *link) servePost(w http.ResponseWriter, r *http.Request) {
	switch begun, overlap := l.beginPost(); {
	case overlap:
		w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		l.fail(rooms.Closed)
		return
	case !begun:
		refuse(w, r, badRequest)
		return
	}
	defer l.endPost()
	binary := r.Header.Get("Content-Type") == "application/octet-stream"
	if binary && l.protocol == 4 {
		w.WriteHeader(http.StatusBadRequest) // without a body, as Node
		l.fail(rooms.Closed)
		return
	}
	body, release, err := l.srv.opts.Inbound.ReadBody(w, r, int64(l.srv.opts.MaxBody), postTimeout)
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		l.refuseTooLarge(w, r, "body_too_large", fmt.Sprintf("The body is larger than MAX_BODY, %d bytes", l.srv.opts.MaxBody))
		return
	case errors.Is(err, memory.ErrFull):
		w.Header().Set("Retry-After", "1")
		l.srv.refused(w, r, busy, "busy")
		return
	case err != nil:
		l.fail(rooms.Closed)
		panic(http.ErrAbortHandler)
	}
	defer release()
	if l.jsonp {
		body, err = decodeJSONP(body)
	}
	if err != nil {
		l.fail(rooms.Closed)
	} else {
		err = l.receiveAll(body, binary)
	}
	if errors.Is(err, errTooLarge) {
		l.refuseTooLarge(w, r, messageTooLarge, l.messageLimit())
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
// it, over the limit. An event says why, because few clients show the status of a
// POST, and none can over JSONP. A client that polls meanwhile gets it before the
// answer to the POST, at which it would close the connection and miss the event.
func (l *link) refuseTooLarge(w http.ResponseWriter, r *http.Request, code, message string) {
	l.srv.opts.Observer.Refusal(code)
	l.session.Load().Send(errorEvent("", code, message+"."))
	l.stopReceiving()
	l.close()
	wait(l.over, hangUpTime)
	l.drop()
	refuse(w, r, refusal{http.StatusRequestEntityTooLarge, 3, message})
}

const messageTooLarge = "message_too_large"

// messageLimit says that a message is over it.
func (l *link) messageLimit() string {
	return fmt.Sprintf("A message is larger than MAX_MESSAGE, %d bytes", l.srv.opts.MaxMessage)
}

// receiveAll handles a payload's packets, each before the next is looked at, until
// one ends the session. It returns errTooLarge for one that is over the limit: then
// ending the session is left to the caller.
func (l *link) receiveAll(body []byte, binary bool) error {
	for m, err := range packets(body, l.protocol, binary, l.srv.opts.MaxMessage) {
		if err != nil {
			if !errors.Is(err, errTooLarge) {
				l.srv.opts.Observer.Refusal("invalid_packet")
				l.fail(rooms.Closed)
			}
			return err
		}
		if !m.binary && len(m.data) > 0 && m.data[0] == '1' {
			l.drop()
			return nil
		}
		if !l.receive(m) {
			return nil
		}
		l.breathe(len(m.data))
	}
	return nil
}
