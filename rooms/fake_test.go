package rooms_test

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"sync"
	"testing"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// A fakeSender encodes events so that fakeConns can read them again, each byte
// as it was.
type fakeSender struct {
	// tamper changes what is encoded; nil: nothing is.
	tamper func([]rooms.Event) []rooms.Event
	// cost is how long a fan-out sleeps; nil: not at all.
	cost func([]rooms.Delivery) time.Duration
}

func (s *fakeSender) Encode(events ...rooms.Event) rooms.Frames {
	if s.tamper != nil {
		events = s.tamper(events)
	}
	var out []byte
	text := func(b []byte) {
		out = binary.AppendUvarint(out, uint64(len(b)))
		out = append(out, b...)
	}
	for _, e := range events {
		text([]byte(e.Name))
		out = binary.AppendUvarint(out, uint64(len(e.Args)))
		for _, arg := range e.Args {
			text(arg)
		}
	}
	return out
}

func (s *fakeSender) Fanout(deliveries []rooms.Delivery) time.Duration {
	for _, d := range deliveries {
		for _, c := range d.To {
			c.Send(d.Frames)
		}
	}
	if s.cost == nil {
		return 0
	}
	cost := s.cost(deliveries)
	time.Sleep(cost)
	return cost
}

func decode(frames rooms.Frames) (events []rooms.Event) {
	number := func() int {
		n, width := binary.Uvarint(frames)
		frames = frames[width:]
		return int(n)
	}
	text := func() []byte {
		n := number()
		b := frames[:n:n]
		frames = frames[n:]
		return []byte(b)
	}
	for len(frames) > 0 {
		e := rooms.Event{Name: string(text())}
		for range number() {
			e.Args = append(e.Args, text())
		}
		events = append(events, e)
	}
	return events
}

// A fakeConn keeps what it is sent.
type fakeConn struct {
	id string
	// clientID is what the client takes for its id, if that is another.
	clientID string
	// see, if set, is called with each event instead.
	see func(rooms.Event)

	// mu guards the fields below.
	mu     sync.Mutex
	events []rooms.Event
	sends  int
	shut   bool
	again  bool
}

func (c *fakeConn) ID() string       { return c.id }
func (c *fakeConn) ClientID() string { return cmp.Or(c.clientID, c.id) }

func (c *fakeConn) Close(again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut, c.again = true, again
}

func (c *fakeConn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

func (c *fakeConn) Send(frames rooms.Frames) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sends++
	for _, e := range decode(frames) {
		if c.see != nil {
			c.see(e)
			continue
		}
		c.events = append(c.events, e)
	}
}

// take returns what was sent since the last time, and in how many sends.
func (c *fakeConn) take() ([]rooms.Event, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	events, sends := c.events, c.sends
	c.events, c.sends = nil, 0
	return events, sends
}

// told is what was sent since the last time, as text.
func (c *fakeConn) told() []string {
	events, _ := c.take()
	out := []string{}
	for _, e := range events {
		line := e.Name
		for _, arg := range e.Args {
			line += " " + string(arg)
		}
		out = append(out, line)
	}
	return out
}

// A house is a Rooms without its flush loop, with what surrounds it.
type house struct {
	t       *testing.T
	rooms   *rooms.Rooms
	cluster *adaptertest.Cluster
	far     rooms.Store // of another instance
}

func newHouse(t *testing.T) *house { return newHouseWith(t, rooms.Options{}) }

func newHouseWith(t *testing.T, options rooms.Options) *house {
	cluster := newCluster()
	store := cluster.Open("local")
	if options.Records == nil {
		options.Records = store
	}
	return &house{t, rooms.New(options, store, &fakeSender{}), cluster, cluster.Open("far")}
}

func newCluster() *adaptertest.Cluster { return adaptertest.NewCluster(memory.New()) }

func (h *house) connect(id, presence string) *fakeConn {
	h.t.Helper()
	c := &fakeConn{id: id}
	if _, err := h.rooms.Connect(c, handshake(presence)); err != nil {
		h.t.Fatal(err)
	}
	return c
}

func handshake(presence string) rooms.Handshake {
	if presence == "" {
		return rooms.Handshake{}
	}
	return rooms.Handshake{Query: url.Values{"presence": {presence}}}
}

// do sends an event that must be accepted.
func (h *house) do(c *fakeConn, event string, args ...string) {
	h.t.Helper()
	if err := h.try(c, event, args...); err != nil {
		h.t.Fatalf("%s %s: %v", event, args, err)
	}
}

func (h *house) try(c *fakeConn, event string, args ...string) error {
	_, err := h.rooms.Handle(c, event, raw(args))
	h.rooms.Deliver()
	return err
}

func raw(args []string) (out []json.RawMessage) {
	for _, arg := range args {
		out = append(out, json.RawMessage(arg))
	}
	return out
}
