package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"

	"rollcall/rooms"
)

// This file is what a session does with its events: counts them, hands them to the
// domain and answers them.

// await keeps of a binary packet what its refusal needs, until its attachments
// have come. Its arguments would be memory that a client holds for nothing.
func (s *session) await(p packet) {
	p.size = len(p.data)
	if p.kind == typeBinaryEvent && len(p.data) > 0 {
		name, _, err := decodeEvent(p.data)
		if err != nil {
			s.violation()
			return
		}
		p.data = encode([]string{shorten(name)})
	} else {
		p.data = bytes.Clone(p.data[:min(len(p.data), 1)])
	}
	s.partial, s.missing = &p, p.attachments
}

// maxName is how much of an event's name is kept, logged or sent back, in bytes. No
// event that there is has a longer one, and as JSON six times as much can come of
// it.
const maxName = 256

// shorten cuts an event's name, between two characters.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "")
}

// binary takes an attachment. Presence has no use for binary arguments, so only
// their number matters: the event is refused when it is complete.
func (s *session) binary(data []byte) {
	s.link.countOther(len(data))
	if s.missing == 0 {
		s.violation()
		return
	}
	if s.missing--; s.missing == 0 {
		p := *s.partial
		s.partial = nil
		s.packet(p)
	}
}

var (
	errNoEvent = &rooms.Refusal{Code: "bad_event", Message: "The event has no name."}
	errRate    = &rooms.Refusal{Code: "rate_limited", Message: "Too many events; some were not taken."}
)

// packet handles a complete EVENT or ACK.
func (s *session) packet(p packet) {
	if p.kind == typeAck || p.kind == typeBinaryAck {
		return // we ask for none
	}
	if len(p.data) == 0 {
		s.answer(p, "", nil, errNoEvent)
		return
	}
	if !s.link.count(&s.link.events, max(p.size, len(p.data))) {
		name := eventName(p.data)
		s.link.srv.opts.Observer.EventIn(name)
		s.answer(p, name, nil, errRate)
		s.link.rest()
		return
	}
	name, args, err := decodeEvent(p.data)
	if err != nil {
		s.violation()
		return
	}
	s.link.srv.opts.Observer.EventIn(name)
	// The attachments themselves are not kept: the domain refuses such events.
	reply, err := s.handle(name, args, make([][]byte, p.attachments))
	s.answer(p, name, reply, err)
	if errors.Is(err, errPanic) {
		s.violation()
	}
}

var errPanic = errors.New("panic in a handler")

// handle calls the domain; a panic there costs one connection, not the process.
func (s *session) handle(name string, args []json.RawMessage, attachments [][]byte) (reply map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.link.srv.opts.Log.Error("panic in a handler", "event", shorten(name), "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return s.domain.Handle(name, args, attachments)
}

// answer acknowledges an event, or reports its refusal if nobody waits for an
// acknowledgement.
func (s *session) answer(p packet, name string, reply map[string]any, err error) {
	answer := map[string]any{"ok": err == nil}
	for k, v := range reply {
		answer[k] = v
	}
	code, message := "", ""
	if err != nil {
		code, message = explain(err)
		s.link.srv.opts.Observer.Refusal(code)
		answer["error"], answer["message"] = code, message
		if code == internal {
			s.link.srv.opts.Log.Error("event failed", "event", shorten(name), "error", err)
		}
	}
	switch {
	case p.hasID:
		s.link.push(ackFrame(p.id, encode(answer)), nil)
	case err != nil:
		s.link.push(errorEvent(shorten(name), code, message), nil)
	}
}

// errorEvent tells a client of a refusal that no acknowledgement can; event is
// empty if it is not known.
func errorEvent(event, code, message string) rooms.Frames {
	refusal := encode(map[string]any{"ok": false, "event": event, "error": code, "message": message})
	return appendEvent(nil, rooms.Event{Name: "rollcall_error", Args: []json.RawMessage{refusal}})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // a reply of the domain that is not JSON: a bug
		return []byte(`{"ok":false,"error":"internal","message":"The answer could not be encoded."}`)
	}
	return b
}

const internal = "internal"

// explain is what a client is told of an error.
func explain(err error) (code, message string) {
	if r := (*rooms.Refusal)(nil); errors.As(err, &r) {
		return r.Code, r.Message
	}
	return internal, "Something went wrong on our side."
}
