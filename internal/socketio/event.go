package socketio

import (
	"encoding/json"
	"errors"
	"maps"
	"runtime/debug"
	"strings"

	"rollcall/internal/engineio"
	"rollcall/rooms"
)

// This file is what a session does with its events: counts them, hands them to the
// domain and answers them.

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

var (
	errNoEvent = &rooms.Refusal{Code: "bad_event", Message: "The event has no name."}
	errRate    = &rooms.Refusal{Code: "rate_limited", Message: "Too many events; some were not taken."}
)

// receive handles a complete EVENT or ACK.
func (s *session) receive(p *packet) {
	if p.kind == typeAck || p.kind == typeBinaryAck {
		return // we ask for none
	}
	if len(p.data) == 0 {
		s.client.srv.answer(s, p, "", nil, errNoEvent)
		return
	}
	if !s.client.conn.Limit(max(p.size, len(p.data))) {
		name := eventName(p.data)
		s.client.srv.opts.Observer.EventIn(name)
		s.client.srv.answer(s, p, name, nil, errRate)
		s.client.conn.Throttle()
		return
	}
	name, args, err := decodeEvent(p.data)
	if err != nil {
		s.client.conn.Violation()
		return
	}
	s.client.srv.opts.Observer.EventIn(name)
	reply, err := s.handle(name, args, p.attachments)
	s.client.srv.answer(s, p, name, reply, err)
	if errors.Is(err, errPanic) {
		s.client.conn.Violation()
	}
}

var errPanic = errors.New("panic in a handler")

// handle calls the domain; a panic there costs one connection, not the process.
func (s *session) handle(name string, args []json.RawMessage, attachments [][]byte) (reply map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.client.srv.opts.Log.Error("panic in a handler", "event", shorten(name), "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return s.domain.Handle(name, args, attachments)
}

// answer acknowledges an event, or reports its refusal if nobody waits for an
// acknowledgement.
func (s *session) answer(p *packet, name string, reply map[string]any, err error) {
	answer := map[string]any{"ok": err == nil}
	maps.Copy(answer, reply)
	code, message := "", ""
	if err != nil {
		code, message = explain(err)
		s.client.srv.opts.Observer.Refusal(code)
		answer["error"], answer["message"] = code, message
		if code == internalError {
			s.client.srv.opts.Log.Error("event failed", "event", shorten(name), "error", err)
		}
	}
	switch {
	case p.hasID:
		s.client.conn.Write(engineio.NewRun(ackFrame(p.id, encode(answer))), nil)
	case err != nil:
		s.client.conn.Write(engineio.NewRun(errorEvent(shorten(name), code, message)), nil)
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

const internalError = "internal"

// explain is what a client is told of an error.
func explain(err error) (code, message string) {
	if r := (*rooms.Refusal)(nil); errors.As(err, &r) {
		return r.Code, r.Message
	}
	return internalError, "Something went wrong on our side."
}
