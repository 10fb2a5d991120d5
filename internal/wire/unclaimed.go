package wire

import (
	"context"
	"time"
)

// A session over polling holds no connection, so making one and forgetting it
// costs a client nothing. Until the first poll it is unclaimed, and of those
// there are so many at most: one too many ends the oldest. Clients poll at once,
// so that none of theirs is the oldest for long.
const maxUnclaimed = 5000

// A crowd is so many unclaimed sessions that somebody makes them for their own
// sake, or that a thousand clients come at once: the next one waits a moment for
// its session, which the former feel and the latter do not.
const aCrowd = 100

// holdTime is how long those wait, and whoever is refused, who may be back at
// once.
const holdTime = 100 * time.Millisecond

// crowded tells whether there is a crowd.
func (s *Server) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unclaimed.Len() >= s.crowd
}

// hold keeps a request waiting for a moment, and reports whether its client has
// waited.
func (s *Server) hold(ctx context.Context) bool { return wait(ctx.Done(), s.holdTime) }

// await takes a new polling session among the unclaimed ones, and ends the oldest
// if there are too many.
func (s *Server) await(l *link) {
	s.mu.Lock()
	if s.links[l.sid] == l { // else it has ended
		l.unclaimed = s.unclaimed.PushBack(l)
	}
	var oldest *link
	if s.unclaimed.Len() > s.maxUnclaimed {
		oldest = s.unclaimed.Front().Value.(*link)
		s.claimed(oldest)
	}
	s.mu.Unlock()
	if oldest != nil {
		s.opts.Observer.Refusal("unclaimed")
		oldest.drop()
	}
}

// claim notes that a session's client goes on with it, by a poll.
func (s *Server) claim(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed(l)
	s.removeDetached(l)
}

// claimed takes a link from the unclaimed ones, if it is there. s.mu is held.
func (s *Server) claimed(l *link) {
	if l.unclaimed != nil {
		s.unclaimed.Remove(l.unclaimed)
		l.unclaimed = nil
	}
}
