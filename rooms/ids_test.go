package rooms_test

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// connectAs connects a client that takes another id for its own, as those of
// protocol 3 do.
func (h *house) connectAs(id, clientID string, query url.Values) *fakeConn {
	h.t.Helper()
	c := &fakeConn{id: id, clientID: clientID}
	if _, err := h.rooms.Connect(c, rooms.Handshake{Query: query}); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// What the app sends to the id that a client knows as its own arrives, and to
// nobody else, until the client is gone.
func TestMessagesToTheClientsOwnID(t *testing.T) {
	h, bus, _ := newHall(t, 0)
	old, other := h.connectAs("public", "secret", nil), h.connect("other", "")
	for _, c := range []struct {
		to, except []string
		want       int
	}{
		{[]string{"secret"}, nil, 1},
		{[]string{"public"}, nil, 1},
		{[]string{"public", "secret"}, nil, 1},
		{[]string{"public"}, []string{"secret"}, 0},
		{[]string{"secret"}, []string{"public"}, 0},
	} {
		bus.Publish(message("notice", c.to, c.except))
		if got := len(old.told()); got != c.want {
			t.Errorf("to %q except %q: %d", c.to, c.except, got)
		}
		if got := other.told(); len(got) > 0 {
			t.Errorf("to %q: another one was told %q", c.to, got)
		}
	}
	bus.Publish(message("notice", nil, []string{"secret"}))
	if got, others := old.told(), other.told(); len(got) != 0 || len(others) != 1 {
		t.Errorf("to all but it: it was told %q, another one %q", got, others)
	}

	h.rooms.Disconnect(old, rooms.Closed)
	bus.Publish(message("notice", []string{"secret", "public"}, nil))
	if got := old.told(); len(got) > 0 {
		t.Errorf("gone, it was told %q", got)
	}
	// It has left the namespace and is back, under the same ids.
	if _, err := h.rooms.Connect(old, rooms.Handshake{}); err != nil {
		t.Fatal(err)
	}
	bus.Publish(message("notice", []string{"secret"}, nil))
	if got := old.told(); len(got) != 1 {
		t.Errorf("back, it was told %q", got)
	}
}

// The app can sign a user without an id out by either.
func TestSignOutByTheClientsOwnID(t *testing.T) {
	for _, id := range []string{"public", "secret"} {
		h, _, _ := newHall(t, 0)
		c, other := h.connectAs("public", "secret", nil), h.connectAs("public2", "secret2", nil)
		h.do(c, "register", `{"name":"Bob"}`)
		h.do(other, "register", `{"id":"secret"}`) // who says so is not Bob
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { h.rooms.Run(ctx); close(ended) }()
		h.rooms.SignOut(id)
		for deadline := time.Now().Add(10 * time.Second); !c.closed() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		stop()
		<-ended
		if !c.closed() {
			t.Errorf("by %q: it is still there", id)
		}
	}
}

// No client is told another one's socket id, and nothing that is kept or passed
// between instances has the id that a client takes for its own in it.
func TestSocketIDsAreToldToNobody(t *testing.T) {
	for name, strict := range map[string]bool{"by default": false, "strict": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, bus := &recordingStore{Store: memory.New()}, &memory.Bus{}
				var passed []rooms.Broadcast
				defer bus.Subscribe(func(m rooms.Broadcast) { passed = append(passed, m) })()
				r := rooms.New(rooms.Options{Bus: bus, Strict: strict, IdleAfter: time.Minute, Tracks: func() []json.RawMessage { return []json.RawMessage{[]byte("1")} }}, store, &fakeSender{})
				h := &house{t: t, rooms: r}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { r.Run(ctx); close(ended) }()
				defer func() { stop(); <-ended }()

				spies := []*fakeConn{
					h.connectAs("spy-both", "spy-1", url.Values{"userId": {"spy"}}),
					h.connectAs("spy-changes", "spy-2", url.Values{"userId": {"spy2"}, "presence": {"changes"}}),
					h.connectAs("spy-list", "spy-3", url.Values{"userId": {"spy3"}, "presence": {"list"}}),
				}
				for _, spy := range spies {
					h.do(spy, "join", `{"room":"lobby","username":"spy"}`)
					h.do(spy, "watch_stage", `{"token":"s"}`)
					h.do(spy, "watch_race", `{"race_id":"r"}`)
				}
				victim := h.connectAs("public-of-bob", "secret-of-bob", nil)
				for _, step := range [][]string{
					{"register", `{"name":"Bob"}`},
					{"join", `{"room":"lobby","username":"Bob"}`}, {"typing", `{"room":"lobby"}`},
					{"message", `{"room":"lobby","content":"hello"}`},
					{"join_stage", `{"token":"s"}`}, {"start_race_s", `{}`},
					{"add_car", `{"race_id":"r"}`}, {"update_r_speed", `{"speed":1}`},
					{"invite", `{"id":"spy"}`},
					{"status", `"away"`}, {"status", `"hidden"`}, {"status", `"active"`},
					{"register", `{"name":"Robert"}`}, {"unregister"}, {"register", `{"name":"Bob"}`},
				} {
					if err := h.try(victim, step[0], step[1:]...); err != nil {
						t.Fatal(step, err)
					}
					for _, spy := range spies {
						h.do(spy, "sync")
					}
					time.Sleep(2 * time.Second)
				}
				time.Sleep(2 * time.Minute) // until it is away
				r.Disconnect(victim, rooms.Timeout)
				time.Sleep(2 * time.Second)

				var told []string
				for _, spy := range spies {
					told = append(told, spy.told()...)
				}
				if !slices.ContainsFunc(told, func(line string) bool { return strings.HasPrefix(line, "updateOnlineUsers ") }) ||
					!slices.Contains(told, `remove_user {"name":"Bob"} {"reason":"timeout"}`) {
					t.Errorf("the spies were told little: %.2000q", told)
				}
				for _, line := range told {
					if strings.Contains(line, "of-bob") {
						t.Errorf("told: %s", line)
					}
				}
				for _, kept := range append(store.kept, encodeAll(passed)...) {
					if strings.Contains(kept, "secret-of-bob") {
						t.Errorf("kept or passed on: %s", kept)
					}
				}
				if len(store.kept) == 0 || len(passed) == 0 {
					t.Error("nothing was kept or passed on: it proves nothing")
				}
			})
		})
	}
}

// A recordingStore notes what it is given.
type recordingStore struct {
	rooms.Store
	kept []string
}

func (s *recordingStore) Put(e rooms.Entry) {
	s.kept = append(s.kept, encodeAll([]rooms.Entry{e})...)
	s.Store.Put(e)
}

func (s *recordingStore) Remove(p rooms.EntryKey, reason rooms.Reason) {
	s.kept = append(s.kept, encodeAll([]rooms.EntryKey{p})...)
	s.Store.Remove(p, reason)
}

func (s *recordingStore) Touch(user string, at int64) {
	s.kept = append(s.kept, user)
	s.Store.Touch(user, at)
}

func encodeAll[T any](values []T) (out []string) {
	for _, v := range values {
		text, _ := json.Marshal(v)
		out = append(out, string(text))
	}
	return out
}
