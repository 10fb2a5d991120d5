package rooms_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/rooms"
)

// A conn is the connection of a client, which keeps what it receives.
type conn struct {
	fixture *fixture // nil: of none
	id      string
	// clientID is what the client takes for its id, if that is another.
	clientID string
	// see, if set, is called with each event, which is not kept then.
	see     func(rooms.Event)
	session rooms.Session // once it is connected

	// mu guards the fields below.
	mu     sync.Mutex
	events []rooms.Event
	sends  int
	shut   bool
	again  bool // it was closed so that the client comes back
}

func (c *conn) ID() string       { return c.id }
func (c *conn) ClientID() string { return cmp.Or(c.clientID, c.id) }

func (c *conn) Close(again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut, c.again = true, again
}

func (c *conn) Send(frames rooms.Frames) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sends++
	for _, e := range decode(frames) {
		if c.see != nil {
			c.see(e)
		} else {
			c.events = append(c.events, e)
		}
	}
}

// closed reports whether the server closed the connection.
func (c *conn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

// take returns what came since the last time, and in how many sends.
func (c *conn) take() ([]rooms.Event, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	events, sends := c.events, c.sends
	c.events, c.sends = nil, 0
	return events, sends
}

// received is what came since the last time, as text.
func (c *conn) received() (lines []string) {
	events, _ := c.take()
	for _, e := range events {
		lines = append(lines, line(e))
	}
	return lines
}

// line is an event as text: its name and its arguments.
func line(e rooms.Event) string {
	text := e.Name
	for _, arg := range e.Args {
		text += " " + string(arg)
	}
	return text
}

// expect checks what came since the last time, when all is settled.
func (c *conn) expect(want ...string) {
	c.fixture.t.Helper()
	c.fixture.settle()
	c.expectNow(want...)
}

// expectLast checks the last events that came, when all is settled.
func (c *conn) expectLast(want ...string) {
	c.fixture.t.Helper()
	c.fixture.settle()
	got := c.received()
	c.compare(got[max(0, len(got)-len(want)):], want)
}

// expectNow checks what has come already since the last time.
func (c *conn) expectNow(want ...string) {
	c.fixture.t.Helper()
	c.compare(c.received(), want)
}

func (c *conn) compare(got, want []string) {
	c.fixture.t.Helper()
	if !slices.Equal(got, want) {
		c.fixture.t.Errorf("%s received %q, want %q", c.id, got, want)
	}
}

func (c *conn) connect(r *rooms.Rooms, h rooms.Handshake) (err error) {
	c.session, err = r.Connect(c, h)
	return err
}

func (c *conn) disconnect() { c.session.Disconnect(rooms.Closed) }

// handle has the server answer an event.
func (c *conn) handle(event string, args ...string) (map[string]any, error) {
	reply, err := c.session.Handle(event, raw(args...), nil)
	if c.fixture != nil {
		c.fixture.deliver()
	}
	return reply, err
}

// do sends an event that must be accepted.
func (c *conn) do(event string, args ...string) map[string]any {
	c.fixture.t.Helper()
	reply, err := c.handle(event, args...)
	if err != nil {
		c.fixture.t.Fatalf("%s: %s %.80q: %v", c.id, event, args, err)
	}
	return reply
}

// refused sends an event that must be refused with this code.
func (c *conn) refused(want, event string, args ...string) {
	c.fixture.t.Helper()
	if _, err := c.handle(event, args...); code(err) != want {
		c.fixture.t.Errorf("%s: %s %.80q: got %v, want %s", c.id, event, args, err, want)
	}
}

// code is a refusal's code, "" for anything else.
func code(err error) string {
	var refusal *rooms.Refusal
	if errors.As(err, &refusal) && refusal.Message != "" {
		return refusal.Code
	}
	return ""
}

func raw(args ...string) (out []json.RawMessage) {
	for _, arg := range args {
		out = append(out, json.RawMessage(arg))
	}
	return out
}

// A sender encodes events so that a conn can decode them, each byte as it was.
type sender struct {
	encoded atomic.Int32 // calls of Encode
	// tamper, if set, changes what is encoded.
	tamper func([]rooms.Event) []rooms.Event
	// cost, if set, is how long a fan-out takes.
	cost func() time.Duration
}

// Encode ends each event with a byte, and begins each argument with another, that
// JSON does not have.
func (s *sender) Encode(events ...rooms.Event) rooms.Frames {
	s.encoded.Add(1)
	if s.tamper != nil {
		events = s.tamper(events)
	}
	var out []byte
	for _, e := range events {
		out = append(out, e.Name...)
		for _, arg := range e.Args {
			out = append(append(out, 0), arg...)
		}
		out = append(out, 1)
	}
	return out
}

func decode(frames rooms.Frames) (events []rooms.Event) {
	for frame := range bytes.SplitSeq(bytes.TrimSuffix(frames, []byte{1}), []byte{1}) {
		parts := bytes.Split(frame, []byte{0})
		e := rooms.Event{Name: string(parts[0])}
		for _, arg := range parts[1:] {
			e.Args = append(e.Args, arg)
		}
		events = append(events, e)
	}
	return events
}

func (s *sender) Fanout(deliveries []rooms.Delivery) time.Duration {
	for _, d := range deliveries {
		for _, c := range d.To {
			c.Send(d.Frames)
		}
	}
	if s.cost == nil {
		return 0
	}
	cost := s.cost()
	time.Sleep(cost)
	return cost
}
