package rooms_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

const notice = `notice {"b":1,"a":12345678901234567890}`

func message(name string, to, except []string) rooms.Broadcast {
	return rooms.Broadcast{Event: rooms.Event{Name: name, Args: raw(`{"b":1,"a":12345678901234567890}`)}, Rooms: to, Except: except}
}

// connectAs connects a client that takes another id for its own, as those of
// protocol 3 do.
func (f *fixture) connectAs(id, clientID, query string) *conn {
	f.t.Helper()
	c := &conn{id: id, clientID: clientID, fixture: f}
	if err := c.connect(f.rooms, handshake(query, nil)); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func TestReceiversOfAMessage(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	all := []*conn{f.register(0, "a1", `{"id":5}`), f.register(0, "a2", `{"id":"5"}`), f.connect(0, "b1", changes),
		f.connect(0, "guest", ""), f.connect(0, "nameless", "presence=list"), f.connectAs("public", "secret", "")}
	all[2].do("register", `{"id":"b1/user:5"}`)
	all[4].do("register", `{"name":"?"}`)
	f.settle(all...)
	for _, c := range []struct{ to, except, want []string }{
		{nil, nil, []string{"a1", "a2", "b1", "guest", "nameless", "public"}},
		{[]string{"user:5"}, nil, []string{"a1", "a2"}},
		{[]string{"a1"}, nil, []string{"a1"}},
		{[]string{"guest"}, nil, []string{"guest"}},
		{[]string{"a1", "user:5", "a1", "user:5", "guest"}, nil, []string{"a1", "a2", "guest"}},
		{nil, []string{"user:5"}, []string{"b1", "guest", "nameless", "public"}},
		{nil, []string{"guest", "nobody", "b1"}, []string{"a1", "a2", "nameless", "public"}},
		{[]string{"user:5", "guest"}, []string{"a2"}, []string{"a1", "guest"}},
		{[]string{"user:5"}, []string{"user:5"}, nil},
		{[]string{"user:6", ""}, nil, nil},
		{[]string{"user:"}, nil, nil},
		{[]string{"user:nameless"}, nil, nil}, // that is not a user's id
		{[]string{"user:b1/user:5"}, nil, []string{"b1"}},
		// A client may be known by the id that it takes for its own.
		{[]string{"secret"}, nil, []string{"public"}},
		{[]string{"public"}, nil, []string{"public"}},
		{[]string{"public", "secret"}, nil, []string{"public"}},
		{[]string{"public"}, []string{"secret"}, nil},
		{[]string{"secret"}, []string{"public"}, nil},
		{nil, []string{"secret"}, []string{"a1", "a2", "b1", "guest", "nameless"}},
	} {
		f.sender.encoded.Store(0)
		f.publish(message("notice", c.to, c.except))
		var got []string
		for _, conn := range all {
			if lines := conn.received(); slices.Equal(lines, []string{notice}) {
				got = append(got, conn.id)
			} else if lines != nil {
				t.Errorf("to %q except %q: %s received %q", c.to, c.except, conn.id, lines)
			}
		}
		if encoded := f.sender.encoded.Load(); !slices.Equal(got, c.want) || int(encoded) != min(1, len(c.want)) {
			t.Errorf("to %q except %q: %q received it, want %q; encoded %d times", c.to, c.except, got, c.want, encoded)
		}
	}
}

// The room of a user is left with the registration, and that of the client's own id
// with the connection.
func TestLeavingAUserRoom(t *testing.T) {
	for name, leave := range map[string]func(*conn){
		"unregister":      func(c *conn) { c.do("unregister") },
		"another user":    func(c *conn) { c.do("register", `{"id":6}`) },
		"no user's id":    func(c *conn) { c.do("register", `{}`) },
		"disconnect":      (*conn).disconnect,
		"after a refusal": func(c *conn) { c.do("unregister"); c.refused("bad_user", "register", `5`) },
	} {
		for _, grace := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s, grace %s", name, grace), func(t *testing.T) {
				f := newFixture(t, rooms.Options{Grace: grace})
				leaver, stayer := f.connectAs("leaver", "secret", none), f.register(0, "stayer", `{"id":5}`)
				leaver.do("register", `{"id":5}`)
				leaver.do("register", `{"id":5,"again":true}`)
				f.publish(message("notice", []string{"user:5"}, nil))
				leave(leaver)
				f.publish(message("notice", []string{"user:5"}, nil))
				leaver.expectNow(notice)
				stayer.expectNow(notice, notice)
				leaver.disconnect()
				before := leaver.session
				f.publish(message("notice", []string{"secret", "leaver"}, nil))
				leaver.expectNow()
				stayer.disconnect()
				if n, _, _ := f.rooms.Held(); n != 0 {
					t.Errorf("%d rooms are left with nobody connected", n)
				}
				// It has left the namespace and is back, under the same ids.
				if err := leaver.connect(f.rooms, rooms.Handshake{}); err != nil {
					t.Fatal(err)
				}
				before.Disconnect(rooms.Closed) // again: that is not the end of the new session
				f.publish(message("notice", []string{"secret"}, nil))
				leaver.expectNow(notice)
			})
		}
	}
}

// The app can sign out a user by the id, and one without an id by either id of the
// socket. This instance's sockets have been sent it when SignOut returns: what follows may be
// the end of the process, which must not come first.
func TestSignOutIsDoneAtOnce(t *testing.T) {
	for id, user := range map[string]string{"1": one, "public": `{"name":"Bob"}`, "secret": `{"name":"Bob"}`} {
		f := newFixture(t, rooms.Options{})
		c, other := f.connectAs("public", "secret", none), f.connectAs("public2", "secret2", none)
		c.do("register", user)
		other.do("register", `{"id":"secret"}`) // that does not make it Bob
		if n := f.rooms.SignOut(id); n < 1 || !c.closed() {
			t.Errorf("by %q: it is still there", id)
		}
		c.expectNow("signed_out")
	}
}

// No client is sent another one's socket id, and nothing that is kept or passed
// between instances has the id in it that a client takes for its own.
func TestSocketIDsAreSecret(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			options := rooms.Options{Strict: strict, IdleAfter: time.Minute, Tracks: track("1")}
			f := newFixture(t, options)
			store := &recordingStore{Store: f.stores.Open("recorded")}
			defer f.remote.Watch(func(changes []rooms.Change) { store.record(changes) })()
			defer f.bus.Subscribe(func(m rooms.Broadcast) { store.record(m) })()
			options.Bus = f.bus
			f.rooms = rooms.New(options, store, f.sender)
			f.instances = []*rooms.Rooms{f.rooms}
			defer f.run()()

			spies := []*conn{
				f.connectAs("spy-both", "spy-1", "userId=spy"),
				f.connectAs("spy-changes", "spy-2", "userId=spy2&presence=changes"),
				f.connectAs("spy-list", "spy-3", "userId=spy3&presence=list"),
			}
			for _, spy := range spies {
				spy.do("join", `{"room":"lobby","username":"spy"}`)
				spy.do("watch_stage", `{"token":"s"}`)
				spy.do("watch_race", `{"race_id":"r"}`)
			}
			victim := f.connectAs("public-of-bob", "secret-of-bob", "")
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
				victim.do(step[0], step[1:]...)
				for _, spy := range spies {
					spy.do("sync")
				}
				f.settle()
			}
			time.Sleep(2 * time.Minute) // until it is away
			victim.session.Disconnect(rooms.Timeout)
			f.settle()

			var sent []string
			for _, spy := range spies {
				sent = append(sent, spy.received()...)
			}
			if !slices.ContainsFunc(sent, func(line string) bool { return strings.HasPrefix(line, "updateOnlineUsers ") }) ||
				!slices.Contains(sent, `remove_user {"name":"Bob"} {"reason":"timeout"}`) {
				t.Errorf("strict %v: the spies were sent little: %.2000q", strict, sent)
			}
			for _, line := range sent {
				if strings.Contains(line, "of-bob") {
					t.Errorf("strict %v: sent: %s", strict, line)
				}
			}
			kept := strings.Join(store.kept, "\n")
			if strings.Contains(kept, "secret-of-bob") || !strings.Contains(kept, "public-of-bob") || !strings.Contains(kept, "speed") {
				t.Errorf("strict %v: kept or passed on: %s", strict, kept)
			}
		})
	}
}

// A recordingStore notes what is kept or passed on.
type recordingStore struct {
	rooms.Store
	mu   sync.Mutex // guards kept
	kept []string
}

func (s *recordingStore) record(what any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _ := json.Marshal(what)
	s.kept = append(s.kept, string(text))
}

func (s *recordingStore) Touch(user string, at int64) {
	s.record(user)
	s.Store.Touch(user, at)
}
