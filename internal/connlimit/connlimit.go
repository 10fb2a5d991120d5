// Package connlimit bounds the connections of an HTTP server that carry no
// session.
package connlimit

import (
	"context"
	"math"
	"net"
	"net/http"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Limiter bounds the connections that carry no session: idle ones, those that have
// sent a part of a request, and those that request something else. The handler of
// a session's request calls CarriesSession; a WebSocket does not belong to the
// HTTP server any more. Over the bound it closes the connection that has been idle
// for longest; if none is idle, the one with the oldest request. It is safe for
// concurrent use.
type Limiter struct {
	max    int
	closed func() // called for each connection that is closed; must not block

	mu               sync.Mutex // guards the fields below
	groups           map[net.Conn]*group
	idle, requesting *group
}

// A group has its connections in the order in which they were added. A connection
// with a session is in none.
type group = simplelru.LRU[net.Conn, struct{}]

// New makes a limiter of max connections. It calls closed for each one that it
// closes; closed must not block.
func New(max int, closed func()) *Limiter {
	l := &Limiter{max: max, closed: closed, groups: make(map[net.Conn]*group)}
	l.idle, _ = simplelru.NewLRU[net.Conn, struct{}](math.MaxInt, nil) // fails for a size below 1
	l.requesting, _ = simplelru.NewLRU[net.Conn, struct{}](math.MaxInt, nil)
	return l
}

type connKey struct{}

// Watch counts a server's connections. Call it before the server serves.
func (l *Limiter) Watch(server *http.Server) {
	server.ConnState = l.setState
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
}

// CarriesSession exempts the connection of a request from the bound until the
// request has been answered.
func (l *Limiter) CarriesSession(r *http.Request) {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move(conn, nil)
}

// setState follows a connection's life.
func (l *Limiter) setState(conn net.Conn, state http.ConnState) {
	var fresh net.Conn
	l.mu.Lock()
	switch state {
	case http.StateNew:
		fresh = conn
		l.groups[conn] = nil
		l.move(conn, l.idle)
	case http.StateIdle:
		l.move(conn, l.idle)
	case http.StateActive:
		l.move(conn, l.requesting)
	case http.StateHijacked, http.StateClosed:
		l.forget(conn)
	}
	excess := l.takeExcess(fresh)
	l.mu.Unlock()
	if excess != nil {
		excess.Close()
		l.closed()
	}
}

// takeExcess forgets and returns the connection to close, nil if there are not too
// many. It spares a fresh one if there is another. l.mu is held.
func (l *Limiter) takeExcess(fresh net.Conn) net.Conn {
	if l.idle.Len()+l.requesting.Len() <= l.max {
		return nil
	}
	oldest, _, ok := l.idle.GetOldest()
	if other, _, some := l.requesting.GetOldest(); some && (!ok || oldest == fresh) {
		oldest = other
	}
	l.forget(oldest)
	return oldest
}

// forget removes a connection. l.mu is held.
func (l *Limiter) forget(conn net.Conn) {
	l.move(conn, nil)
	delete(l.groups, conn)
}

// move puts a connection at the end of a group, nil: of none. It does nothing for
// a connection that is forgotten: that one is being closed. l.mu is held.
func (l *Limiter) move(conn net.Conn, to *group) {
	from, known := l.groups[conn]
	if !known {
		return
	}
	if from != nil {
		from.Remove(conn)
	}
	if to != nil {
		to.Add(conn, struct{}{})
	}
	l.groups[conn] = to
}
