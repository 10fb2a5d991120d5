package rooms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// A countingSender counts how often something is encoded.
type countingSender struct {
	fakeSender
	encoded int
}

func (s *countingSender) Encode(events ...rooms.Event) rooms.Frames {
	s.encoded++
	return s.fakeSender.Encode(events...)
}

// newHall is a house with a bus.
func newHall(t *testing.T, grace time.Duration) (*house, deliveringBus, *countingSender) {
	h, sender := &house{t: t}, &countingSender{}
	bus := deliveringBus{&memory.Bus{}, h}
	h.rooms = rooms.New(rooms.Options{Bus: bus, Grace: grace}, memory.New(), sender)
	return h, bus, sender
}

// A deliveringBus stands in for the loop of a house.
type deliveringBus struct {
	*memory.Bus
	h *house
}

func (b deliveringBus) Publish(m rooms.Broadcast) {
	b.Bus.Publish(m)
	b.h.rooms.Deliver()
}

func message(name string, to, except []string) rooms.Broadcast {
	return rooms.Broadcast{Event: rooms.Event{Name: name, Args: raw([]string{`{"b":1,"a":12345678901234567890}`})}, Rooms: to, Except: except}
}

func TestWhoGetsAMessage(t *testing.T) {
	h, bus, sender := newHall(t, 0)
	all := map[string]*fakeConn{}
	for id, presence := range map[string]string{"a1": "", "a2": "none", "b1": "changes", "guest": "", "nameless": "list"} {
		all[id] = h.connect(id, presence)
	}
	h.do(all["a1"], "register", `{"id":5}`)
	h.do(all["a2"], "register", `{"id":"5"}`)
	h.do(all["b1"], "register", `{"id":"b1/user:5"}`)
	h.do(all["nameless"], "register", `{"name":"?"}`)

	for _, c := range []struct{ to, except, want []string }{
		{nil, nil, []string{"a1", "a2", "b1", "guest", "nameless"}},
		{[]string{"user:5"}, nil, []string{"a1", "a2"}},
		{[]string{"a1"}, nil, []string{"a1"}},
		{[]string{"guest"}, nil, []string{"guest"}},
		{[]string{"a1", "user:5", "a1", "user:5", "guest"}, nil, []string{"a1", "a2", "guest"}},
		{nil, []string{"user:5"}, []string{"b1", "guest", "nameless"}},
		{nil, []string{"guest", "nobody", "b1"}, []string{"a1", "a2", "nameless"}},
		{[]string{"user:5", "guest"}, []string{"a2"}, []string{"a1", "guest"}},
		{[]string{"user:5"}, []string{"user:5"}, nil},
		{[]string{"user:6", ""}, nil, nil},
		{[]string{"user:"}, nil, nil},
		{[]string{"user:nameless"}, nil, nil}, // it is nobody's id
		{[]string{"user:b1/user:5"}, nil, []string{"b1"}},
	} {
		before := sender.encoded
		bus.Publish(message("notice", c.to, c.except))
		var got []string
		for id, conn := range all {
			switch told := conn.told(); {
			case len(told) == 1 && told[0] == `notice {"b":1,"a":12345678901234567890}`:
				got = append(got, id)
			case len(told) != 0:
				t.Errorf("to %q except %q: %s was told %q", c.to, c.except, id, told)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("to %q except %q: %q got it, want %q", c.to, c.except, got, c.want)
		}
		if times := sender.encoded - before; times != min(1, len(c.want)) {
			t.Errorf("to %q except %q: encoded %d times", c.to, c.except, times)
		}
	}
}

// The room of a user is left with the registration, in whatever way it ends.
func TestLeavingAUserRoom(t *testing.T) {
	for name, leave := range map[string]func(*house, *fakeConn){
		"unregister":      func(h *house, c *fakeConn) { h.do(c, "unregister") },
		"another user":    func(h *house, c *fakeConn) { h.do(c, "register", `{"id":6}`) },
		"no user's id":    func(h *house, c *fakeConn) { h.do(c, "register", `{}`) },
		"disconnect":      func(h *house, c *fakeConn) { h.rooms.Disconnect(c, rooms.Closed) },
		"after a refusal": func(h *house, c *fakeConn) { h.do(c, "unregister"); _ = h.try(c, "register", `5`) },
	} {
		for _, grace := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s, grace %s", name, grace), func(t *testing.T) {
				h, bus, _ := newHall(t, grace)
				leaver, stayer := h.connect("leaver", "none"), h.connect("stayer", "none")
				h.do(leaver, "register", `{"id":5}`)
				h.do(stayer, "register", `{"id":5}`)
				h.do(leaver, "register", `{"id":5,"again":true}`)
				bus.Publish(message("one", []string{"user:5"}, nil))
				leave(h, leaver)
				bus.Publish(message("two", []string{"user:5"}, nil))
				if n := len(leaver.told()); n != 1 {
					t.Errorf("who left was told %d events, want 1", n)
				}
				if n := len(stayer.told()); n != 2 {
					t.Errorf("who stayed was told %d events, want 2", n)
				}
				h.rooms.Disconnect(leaver, rooms.Closed)
				h.rooms.Disconnect(stayer, rooms.Closed)
				if n := h.rooms.RoomsWithMembers(); n != 0 {
					t.Errorf("%d rooms are left with nobody connected", n)
				}
			})
		}
	}
}

// A refused register changes nothing.
func TestRefusedRegisterKeepsTheRoom(t *testing.T) {
	h, bus, _ := newHall(t, 0)
	c := h.connect("a", "none")
	h.do(c, "register", `{"id":5}`)
	if h.try(c, "register", `{"id":[]}`) == nil {
		t.Fatal("a bad id was accepted")
	}
	bus.Publish(message("one", []string{"user:5"}, nil))
	if len(c.told()) != 1 {
		t.Error("the user of the accepted register gets nothing any more")
	}
}

// Disconnect may come from another goroutine than register: no room keeps the
// socket. Messages go out meanwhile, and each socket sees them in order.
func TestRoomsUnderConcurrency(t *testing.T) {
	h, bus, _ := newHall(t, 0)
	var publishing, using sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	watcher := &fakeConn{id: "watcher"}
	next := 0
	watcher.see = func(e rooms.Event) {
		if got := string(e.Args[0]); got != fmt.Sprint(next) {
			t.Errorf("message %s came when %d was next", got, next)
		}
		next++
	}
	if _, err := h.rooms.Connect(watcher, handshake("none")); err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(t.Context())
	publishing.Go(func() { _ = h.rooms.Run(running) })
	publishing.Go(func() {
		defer end()
		for i := 0; ctx.Err() == nil; i++ {
			n, _ := json.Marshal(i)
			bus.Bus.Publish(rooms.Broadcast{Event: rooms.Event{Name: "n", Args: []json.RawMessage{n}}, Rooms: []string{"user:5", "watcher"}})
		}
	})
	for i := range 8 {
		using.Go(func() {
			for j := range 300 {
				c := &fakeConn{id: fmt.Sprintf("s%d-%d", i, j), see: func(rooms.Event) {}}
				if _, err := h.rooms.Connect(c, handshake("none")); err != nil {
					t.Error(err)
				}
				var crossing sync.WaitGroup
				crossing.Go(func() { h.rooms.Disconnect(c, rooms.Closed) })
				_, _ = h.rooms.Handle(c, "register", raw([]string{`{"id":5}`})) // refused if it is gone
				crossing.Wait()
			}
		})
	}
	using.Wait()
	stop()
	publishing.Wait()
	if next == 0 {
		t.Error("nothing was published meanwhile")
	}
	if n := h.rooms.RoomsWithMembers(); n != 0 {
		t.Errorf("%d rooms are left", n)
	}
}

// The end of Run is the end of messages.
func TestRunEndsMessages(t *testing.T) {
	h, bus, _ := newHall(t, 0)
	c := h.connect("a", "none")
	bus.Publish(message("before", nil, nil))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := h.rooms.Run(ctx); err != nil {
		t.Fatal(err)
	}
	bus.Publish(message("after", nil, nil))
	if told := c.told(); len(told) != 1 {
		t.Errorf("was told %q", told)
	}
}
