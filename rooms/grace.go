package rooms

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// leaving holds the entries of sockets that are gone and whose users may be
// back in a moment: a page that reloads, a client that moves to another
// instance. The entry stays in the shared map for the grace, so that nobody
// anywhere sees a flicker. When its user is back on this instance, or the
// grace is over, it goes.
type leaving struct {
	grace  time.Duration
	remove func(socket string, reason Reason)

	// mu guards the fields below. Nothing is called under it.
	mu    sync.Mutex
	held  map[string]held // by socket
	users map[userKey]map[string]bool
	ended bool
}

// held is one entry whose socket is gone.
type held struct {
	user  userKey
	timer *time.Timer
}

func newLeaving(grace time.Duration, remove func(string, Reason)) *leaving {
	return &leaving{
		grace:  grace,
		remove: remove,
		held:   make(map[string]held),
		users:  make(map[userKey]map[string]bool),
	}
}

// hold keeps a socket's entry for the grace.
func (l *leaving) hold(k userKey, socket string, reason Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return // the process ends: the entry is left to whoever comes after
	}
	timer := time.AfterFunc(l.grace, func() {
		l.mu.Lock()
		mine := l.letGo(socket)
		l.mu.Unlock()
		if mine {
			l.remove(socket, reason)
		}
	})
	l.held[socket] = held{k, timer}
	if l.users[k] == nil {
		l.users[k] = make(map[string]bool)
	}
	l.users[k][socket] = true
}

// letGo forgets a socket and reports whether it was held. l.mu is held.
func (l *leaving) letGo(socket string) bool {
	h, ok := l.held[socket]
	if !ok {
		return false
	}
	h.timer.Stop()
	delete(l.held, socket)
	delete(l.users[h.user], socket)
	if len(l.users[h.user]) == 0 {
		delete(l.users, h.user)
	}
	return true
}

// back tells that a socket has registered a user: what else is held of the
// user is removed, so that a page reloaded again and again holds one entry at
// most. The socket itself may have been held too (a 2.x client that left the
// namespace comes back under its old id): its entry is a new one.
func (l *leaving) back(k userKey, socket string) {
	l.mu.Lock()
	l.letGo(socket)
	l.mu.Unlock()
	l.release(k, Closed)
}

// release removes what is held of a user, now and for another reason.
func (l *leaving) release(k userKey, reason Reason) {
	l.mu.Lock()
	sockets := slices.Collect(maps.Keys(l.users[k]))
	for _, socket := range sockets {
		l.letGo(socket)
	}
	l.mu.Unlock()
	for _, socket := range sockets {
		l.remove(socket, reason)
	}
}

// end forgets everything that is held without removing it.
func (l *leaving) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for socket := range l.held {
		l.letGo(socket)
	}
}
