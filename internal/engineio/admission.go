package engineio

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// This file is how many connections there may be: in all, of one address, without a
// poll yet, and between two polls. And it is what others are answered.

const (
	// maxPending bounds the sessions over polling without a first poll, which cost their
	// client nothing: one too many ends the oldest. Clients poll at once, so that none of
	// theirs is the oldest for long.
	maxPending = 5000
	// handshakeBacklog is the number of pending sessions from which on handshakes are
	// delayed. Of those that make sessions and leave them and a thousand clients that come
	// at once, the delay hurts the former only.
	handshakeBacklog = 100
	// refusalDelay is that delay, and the one before a refusal, after which clients
	// may be back at once.
	refusalDelay = 100 * time.Millisecond
	// betweenPolls is how long a session must have been without an open transport (a
	// WebSocket, or a poll that is being handled) to be displaced by a new client when
	// MaxConnections is reached: before, its client may be about to poll again.
	betweenPolls = time.Second
)

// enter counts a connection of an address, or tells why it may not be made. Where
// there is no room it displaces the session that has been without a transport for longest,
// if that is long enough.
func (s *Server) enter(address string) *refusal {
	network, limit := s.opts.Network(address), s.opts.MaxPerAddress
	var displaced *Conn
	defer func() { // without the lock
		if displaced != nil {
			s.opts.Observer.Refusal("displaced")
			displaced.CloseNow()
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return stopping
	case limit > 0 && s.addresses[network] >= limit:
		return tooMany
	case s.opts.MaxConnections > 0 && s.places >= s.opts.MaxConnections:
		c, since, ok := s.detachedAt.GetOldest()
		if !ok || time.Since(since) < s.betweenPolls {
			return full
		}
		s.detachedAt.Remove(c)
		displaced = c
	}
	if limit > 0 {
		s.addresses[network]++
	}
	s.places++
	return nil
}

// leave frees a connection's place.
func (s *Server) leave(address string) {
	address = s.opts.Network(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places--
	if s.opts.MaxPerAddress <= 0 {
		return
	}
	if s.addresses[address]--; s.addresses[address] <= 0 {
		delete(s.addresses, address)
	}
}

// isBacklogged reports whether handshakes over polling are to be delayed.
func (s *Server) isBacklogged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.Len() >= s.backlog
}

// addPending takes a new polling session among the pending ones, and ends the oldest
// if there are too many.
func (s *Server) addPending(c *Conn) {
	s.mu.Lock()
	if s.conns[c.id] == c { // else it has ended
		s.pending.Add(c, struct{}{})
	}
	var oldest *Conn
	if s.pending.Len() > s.maxPending {
		oldest, _, _ = s.pending.RemoveOldest()
	}
	s.mu.Unlock()
	if oldest != nil {
		s.opts.Observer.Refusal("unclaimed")
		oldest.CloseNow()
	}
}

// attached notes that a session has an open transport, with which its client goes on.
func (s *Server) attached(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.Remove(c)
	s.detachedAt.Remove(c)
}

// detached notes that a session has no open transport any more, if that is so.
func (s *Server) detached(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.mu.Lock()
	attached := c.carrier.ws != nil || c.carrier.polling
	c.mu.Unlock()
	if attached || s.detachedAt.Contains(c) || s.conns[c.id] != c {
		return
	}
	s.detachedAt.Add(c, time.Now())
}

// awaitDisplaced waits until a session may be displaced, for betweenPolls at most.
// It reports false when there is none to wait for, or the client has gone.
func (s *Server) awaitDisplaced(ctx context.Context) bool {
	s.mu.Lock()
	_, since, ok := s.detachedAt.GetOldest()
	s.mu.Unlock()
	return ok && wait(ctx.Done(), s.betweenPolls-time.Since(since))
}

// refusal is an answer to a request that no session takes, in Node's words.
type refusal struct {
	status  int
	metric  string // that it is counted under; "": it is not
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	unknownTransport = &refusal{http.StatusBadRequest, "", 0, "Transport unknown"}
	unknownSession   = &refusal{http.StatusBadRequest, "", 1, "Session ID unknown"}
	badMethod        = &refusal{http.StatusBadRequest, "", 2, "Bad handshake method"}
	badRequest       = &refusal{http.StatusBadRequest, "", 3, "Bad request"}
	forbiddenOrigin  = &refusal{http.StatusForbidden, "forbidden_origin", 4, "Origin not allowed"}
	noJSONP          = &refusal{http.StatusForbidden, "jsonp", 4, "JSONP is off"}
	tooMany          = &refusal{http.StatusTooManyRequests, "too_many_connections", 4, "Too many connections from this address"}
	full             = &refusal{http.StatusServiceUnavailable, "full", 4, "Too many connections"}
	busy             = &refusal{http.StatusServiceUnavailable, "busy", 4, "Too much is being received"}
	stopping         = &refusal{http.StatusServiceUnavailable, "stopping", 4, "Shutting down"}
)

// refuse answers a request that no session takes, byte for byte as Node does: a
// plain request with JSON, a WebSocket handshake with the message alone.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, no *refusal) {
	if no.metric != "" {
		s.opts.Observer.Refusal(no.metric)
	}
	if websocket.IsWebSocketUpgrade(r) {
		refuseUpgrade(w, no)
		return
	}
	body, _ := json.Marshal(no) // a number and a string always marshal
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	w.Write(body)
}

func refuseUpgrade(w http.ResponseWriter, no *refusal) {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Connection", "close")
	w.WriteHeader(no.status)
	io.WriteString(w, no.Message)
}
