package wire

import (
	"context"
	"time"
)

// A session over polling holds no connection between two polls, so a client can
// make any number of them over a few connections. When Options.MaxConnections is
// reached, a new client takes the place of the session that has been without an
// open transport (a WebSocket, or a poll that is being handled) for longest. A
// session that has been so for less than betweenPolls is not displaced: its
// client may be about to poll again.
const betweenPolls = time.Second

// attached notes that a session has an open transport.
func (s *Server) attached(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeDetached(l)
}

// detached notes that a session has no open transport any more, if that is so.
func (s *Server) detached(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.mu.Lock()
	open := l.ws != nil || l.polling
	l.mu.Unlock()
	if open || l.detached != nil || s.links[l.sid] != l {
		return
	}
	l.detachedAt = time.Now()
	l.detached = s.withoutTransport.PushBack(l)
}

// removeDetached takes a link from the list, if it is there. s.mu is held.
func (s *Server) removeDetached(l *link) {
	if l.detached != nil {
		s.withoutTransport.Remove(l.detached)
		l.detached = nil
	}
}

// takeDisplaced takes the session that has been without a transport for longest
// from the list, if that is long enough. s.mu is held.
func (s *Server) takeDisplaced() *link {
	front := s.withoutTransport.Front()
	if front == nil || time.Since(front.Value.(*link).detachedAt) < s.betweenPolls {
		return nil
	}
	l := front.Value.(*link)
	s.removeDetached(l)
	return l
}

// awaitDisplaced waits until a session may be displaced, for betweenPolls at most.
// It reports false when there is none to wait for, or the client has gone.
func (s *Server) awaitDisplaced(ctx context.Context) bool {
	s.mu.Lock()
	front := s.withoutTransport.Front()
	var in time.Duration
	if front != nil {
		in = s.betweenPolls - time.Since(front.Value.(*link).detachedAt)
	}
	s.mu.Unlock()
	return front != nil && wait(ctx.Done(), in)
}
