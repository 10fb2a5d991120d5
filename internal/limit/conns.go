package limit

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// Conns bounds the connections that carry no session: those that wait for a
// request, or have sent a part of one, or ask for something else. A request that
// belongs to a session says so (CarriesSession), and a WebSocket is not the HTTP
// server's any more. Over the bound the connection that has waited for longest is
// closed; if none waits, the one whose request is oldest.
type Conns struct {
	most   int
	closed func() // told of each that is closed; must not block

	mu      sync.Mutex // guards all below, and the conns' fields
	conns   map[net.Conn]*conn
	waiting list.List // of *conn, the longest first
	asking  list.List // of *conn, the longest first
}

type conn struct {
	net.Conn
	list  *list.List // nil: it carries a session
	place *list.Element
}

// NewConns makes a bound of so many connections. Closed is told of each one that
// is closed, and must not block.
func NewConns(most int, closed func()) *Conns {
	return &Conns{most: most, closed: closed, conns: make(map[net.Conn]*conn)}
}

type connKey struct{}

// Watch makes a server's connections count. Call it before the server serves.
func (c *Conns) Watch(server *http.Server) {
	server.ConnState = c.state
	server.ConnContext = func(ctx context.Context, netConn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, netConn)
	}
}

// CarriesSession takes the connection of a request out of the bound, until the
// request has been answered.
func (c *Conns) CarriesSession(r *http.Request) {
	netConn, _ := r.Context().Value(connKey{}).(net.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.conns[netConn]; one != nil {
		one.move(nil)
	}
}

// state follows a connection's life.
func (c *Conns) state(netConn net.Conn, state http.ConnState) {
	c.mu.Lock()
	one := c.conns[netConn]
	var fresh *conn
	switch state {
	case http.StateNew:
		fresh = &conn{Conn: netConn}
		c.conns[netConn] = fresh
		fresh.move(&c.waiting)
	case http.StateIdle, http.StateActive:
		if one == nil { // it is being closed
			break
		}
		if state == http.StateIdle {
			one.move(&c.waiting)
		} else {
			one.move(&c.asking)
		}
	case http.StateHijacked, http.StateClosed:
		if one != nil {
			c.remove(one)
		}
	}
	longest := c.overBound(fresh)
	c.mu.Unlock()
	if longest != nil {
		longest.Close()
		c.closed()
	}
}

// overBound takes the connection to be closed out, if there are too many: not the
// fresh one, if there is another. c.mu is held.
func (c *Conns) overBound(fresh *conn) *conn {
	if c.waiting.Len()+c.asking.Len() <= c.most {
		return nil
	}
	front := c.waiting.Front()
	if oldest := c.asking.Front(); oldest != nil && (front == nil || front.Value.(*conn) == fresh) {
		front = oldest
	}
	longest := front.Value.(*conn)
	c.remove(longest)
	return longest
}

// remove forgets a connection. c.mu is held.
func (c *Conns) remove(one *conn) {
	one.move(nil)
	delete(c.conns, one.Conn)
}

// move puts a connection at the end of a list, or in none. The Conns' mu is held.
func (o *conn) move(to *list.List) {
	if o.list != nil {
		o.list.Remove(o.place)
	}
	if o.list, o.place = to, nil; to != nil {
		o.place = to.PushBack(o)
	}
}

// Count is how many connections carry no session now.
func (c *Conns) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting.Len() + c.asking.Len()
}
