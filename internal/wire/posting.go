package wire

// This file is which goroutine handles the packets of a session: that of a POST
// or that which reads the WebSocket, never both.

// beginPost lets a POST be handled, unless one is already, or the WebSocket has
// taken over.
func (l *link) beginPost() (begun, overlap bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.posted != nil || l.ws != nil {
		return false, l.posted != nil
	}
	l.posted = make(chan struct{})
	return true, false
}

func (l *link) endPost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.posted)
	l.posted = nil
}

// awaitPost waits until no POST is being handled, or the connection ends: what
// the client sends behind it over WebSocket comes after it, and no two goroutines
// handle packets of one session.
func (l *link) awaitPost() {
	l.mu.Lock()
	posted := l.posted
	l.mu.Unlock()
	if posted == nil {
		return
	}
	select {
	case <-posted:
	case <-l.over:
	}
}
