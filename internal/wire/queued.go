package wire

import (
	"maps"
	"slices"
)

// Queued is how many bytes wait to be sent to clients, in all and to the one
// for whom most wait: over Options.MaxQueue that one would be cut off. It looks
// at each connection in turn, so it is for now and then.
func (s *Server) Queued() (all, most int) {
	s.mu.Lock()
	links := slices.Collect(maps.Values(s.links))
	s.mu.Unlock()
	for _, l := range links {
		l.mu.Lock()
		queued := l.queued
		l.mu.Unlock()
		all, most = all+queued, max(most, queued)
	}
	return all, most
}
