package wire

import "rollcall/rooms"

// receive handles one inbound Engine.IO packet. It reports whether reading goes
// on. One goroutine at a time calls it: that of a POST, or, when there is none
// any more, that which reads the WebSocket.
func (l *link) receive(m message) bool {
	if l.isClosing() {
		return false
	}
	var err error
	if !m.binary && len(m.data) > 0 && m.data[0] == 'b' { // over WebSocket: of a POST's it is undone
		err = m.unbase64(l.protocol)
	}
	if err != nil || len(m.data) == 0 && !(m.binary && l.protocol == 4) {
		l.srv.opts.Observer.Refusal("invalid_packet")
		l.fail(rooms.Closed)
		return false
	}
	data := m.data
	if m.binary {
		if l.protocol == 3 {
			if data[0] != 4 {
				l.fail(rooms.Closed)
				return false
			}
			data = data[1:]
		}
		l.session.Load().binary(data)
		return !l.isClosing()
	}
	if data[0] == '4' {
		l.session.Load().text(data[1:])
		return !l.isClosing()
	}
	l.countOther(len(data))
	switch data[0] {
	case '2', '3':
		if !l.isClosing() {
			l.hear(data[0])
		}
	case '0', '1', '5', '6': // mean nothing here
	default:
		l.fail(rooms.Closed)
	}
	return !l.isClosing()
}

// isClosing reports whether the end has begun: nothing is received any more.
func (l *link) isClosing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing || l.deaf
}

func (l *link) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}
