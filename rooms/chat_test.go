package rooms_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

func TestRoom(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		ann, bob := f.connect(0, "a", none), f.connect(1, "b", none)
		reply := ann.do("join", `{"room":"lobby","username":" ann "}`)
		if reply["room"] != "lobby" || reply["username"] != "ann" {
			f.t.Error(reply)
		}
		ann.expect(`user_list {"room":"lobby","users":["ann"],"count":1}`)
		bob.do("join", `{"room":"lobby"}`)
		bob.expect(`user_list {"room":"lobby","users":["ann","Guest"],"count":2}`)
		ann.expect(`user_joined {"room":"lobby","username":"Guest","users":["ann","Guest"],"count":2}`)

		bob.do("typing", `{"room":"lobby","username":"ann"}`)
		ann.expect(`typing {"room":"lobby","username":"Guest"}`)
		bob.expect()
		bob.do("message", `{"room":"lobby","username":"ann","content":"hi"}`)
		f.settle()
		lines := ann.received()
		if len(lines) != 1 || !strings.Contains(lines[0], `"username":"Guest","content":"hi","timestamp":"2000-01-01T00:00:0`) {
			f.t.Error(lines)
		}
		bob.expectNow(lines...)

		// Another name for the same socket.
		bob.do("join", `{"room":"lobby","username":"bob"}`)
		ann.expect(
			`user_left {"room":"lobby","username":"Guest","users":["ann"],"count":1}`,
			`user_joined {"room":"lobby","username":"bob","users":["ann","bob"],"count":2}`)
		bob.expect(`user_list {"room":"lobby","users":["ann","bob"],"count":2}`)

		// One name, two sockets: it comes with the first and goes with the last.
		second := f.connect(1, "b2", none)
		second.do("join", `{"room":"lobby","user":{"nickname":"bob","name":"x"}}`)
		second.expect(`user_list {"room":"lobby","users":["ann","bob"],"count":2}`)
		bob.disconnect()
		ann.expect()
		f.expectMembers("lobby", "ann", "bob")
		second.do("leave", `{"room":"lobby"}`)
		ann.expect(`user_left {"room":"lobby","username":"bob","users":["ann"],"count":1}`)
		second.expect()
		second.refused("not_in_room", "leave", `{"room":"lobby"}`)
	})
}

// A client that is sent a message knows already who is in the room.
func TestJoinedComesBeforeTheirMessage(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		ann, bob := f.connect(0, "a", none), f.connect(0, "b", none)
		ann.do("join", `{"room":1,"username":"ann"}`)
		f.settle(ann)
		bob.do("join", `{"room":"1","username":"bob"}`)
		bob.do("typing", `{"room":1}`)
		bob.do("message", `{"room":1,"content":"x"}`)
		synctest.Wait() // and not for a flush
		events, _ := ann.take()
		if len(events) != 3 || events[0].Name != "user_joined" || events[1].Name != "typing" || events[2].Name != "message" {
			f.t.Errorf("%q", events)
		}
	})
}

func TestRoomsOfASocketAreBounded(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	c := f.connect(0, "c", none)
	for i := range 50 {
		c.do("join", fmt.Sprintf(`{"room":"r%d"}`, i))
	}
	c.refused("too_many_rooms", "join", `{"room":"one more"}`)
	c.do("join", `{"room":"r1","username":"again"}`)
	c.do("leave", `{"room":"r1"}`)
	c.do("join", `{"room":"one more"}`)
	f.settle()
	if _, n, _ := f.rooms.Held(); n != 50 {
		t.Error(n, "rosters")
	}
	c.disconnect()
	f.settle()
	if _, n, _ := f.rooms.Held(); n != 0 {
		t.Error(n, "lists are left")
	}
}

// Many joins are sent as one list, and not one by one to each other.
func TestRoomStorm(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	watcher := f.member(0, "w", "", "w")
	f.settle(watcher)
	join := func(from, to int) []string {
		for i := from; i < to; i++ {
			f.member(0, fmt.Sprint(i), "", fmt.Sprint("u", i))
		}
		f.settle()
		return watcher.received()
	}
	if got := join(0, 16); len(got) != 16 || !strings.HasPrefix(got[15], `user_joined {"room":"r","username":"u15"`) {
		t.Errorf("%d events: %q", len(got), got)
	}
	if got := join(16, 500); len(got) != 1 || !strings.HasPrefix(got[0], "user_list") || !strings.HasSuffix(got[0], `"count":501}`) {
		t.Errorf("%d events: %.40q", len(got), got)
	}
}

// A message that is sent again with its nonce is kept and sent once, and answered
// with its id each time.
func TestNonce(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		ann, bob := f.member(0, "a", `{"id":7}`, "x"), f.member(1, "b", "", "x")
		again := f.member(1, "a2", `{"id":"7"}`, "x") // after a reconnect, on another instance
		f.settle(bob)
		const message = `{"room":"r","content":"hello","nonce":"n-1"}`
		first := ann.do("message", message)["id"]
		if id, ok := first.(int64); !ok || id <= 0 {
			f.t.Fatalf("the answer's id is %v", first)
		}
		expect := func(when string, from *conn, same bool) {
			f.t.Helper()
			if id := from.do("message", message)["id"]; same != (id == first) {
				f.t.Errorf("%s: the id is %v, at first it was %v", when, id, first)
			}
		}
		expect("sent again", again, true)
		expect("another user's", bob, false)
		time.Sleep(9*time.Minute + 50*time.Second)
		expect("before ten minutes are over", ann, true)
		time.Sleep(20 * time.Second)
		expect("after ten minutes", ann, false)
		f.settle()
		lines := bob.received()
		if len(lines) != 3 || !strings.Contains(lines[0], `"user_id":"7"`) || strings.Contains(lines[1], "user_id") {
			f.t.Error(lines)
		}
		ann.do("typing", `{"room":"r"}`)
		bob.expect(`typing {"room":"r","username":"x","user_id":"7"}`)
		kept, err := f.instances[1].Messages(t.Context(), "r")
		if err != nil || len(kept) != 3 || kept[0].UserID != "7" || kept[1].UserID != "" {
			f.t.Errorf("%+v, %v", kept, err)
		}
	})
}

// silent is a store that never learns the ids of messages.
type silent struct{ rooms.Store }

func (s silent) PostMessage(rooms.ChatPost) (<-chan int64, error) { return make(chan int64), nil }

// A message of which nobody knows whether it was kept is answered so, in time.
func TestMessageUnconfirmed(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		f.instances[0] = rooms.New(rooms.Options{Bus: f.bus}, silent{f.remote}, f.sender)
		c := f.member(0, "c", "", "c")
		began := time.Now()
		c.refused("unavailable", "message", `{"room":"r","content":"x"}`)
		if took := time.Since(began); took != 5*time.Second {
			f.t.Errorf("that took %v", took)
		}
	})
}

// A roomClient keeps the names of the rooms as an application may: from user_list,
// user_joined and user_left alone.
type roomClient struct {
	*conn
	joined map[string]bool
	users  map[string][]string
}

// follow applies what came since, and checks that each event agrees.
func (c *roomClient) follow() error {
	events, _ := c.take()
	for _, e := range events {
		var r struct {
			Room, Username string
			Users          []string
			Count          int
		}
		if err := json.Unmarshal(e.Args[0], &r); err != nil {
			return err
		}
		switch e.Name {
		case "user_list":
			c.users[r.Room] = slices.Clone(r.Users)
		case "user_joined":
			c.users[r.Room] = append(c.users[r.Room], r.Username)
		case "user_left":
			c.users[r.Room] = slices.DeleteFunc(c.users[r.Room], func(u string) bool { return u == r.Username })
		default:
			continue
		}
		if !slices.Equal(c.users[r.Room], r.Users) || r.Count != len(r.Users) {
			return fmt.Errorf("%s: after %s %s it should be %q", c.id, e.Name, e.Args[0], c.users[r.Room])
		}
	}
	return nil
}

// Over five rooms, three instances and random joins, renames, leaves, hides and
// disconnects, user_list, user_joined and user_left always give the room.
func TestRoomEventsAreTheRoom(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		runInstances(t, 3, rooms.Options{}, func(f *fixture) {
			var all []*roomClient
			for step := range 400 {
				if len(all) < 4 || random.IntN(20) == 0 {
					c := f.register(random.IntN(3), fmt.Sprint("s", step), fmt.Sprintf(`{"id":%d}`, step))
					all = append(all, &roomClient{c, map[string]bool{}, map[string][]string{}})
				}
				i := random.IntN(len(all))
				c, room := all[i], fmt.Sprint("r", random.IntN(5))
				switch what := random.IntN(40); {
				case what < 16:
					c.do("join", fmt.Sprintf(`{"room":%q,"username":"n%d"}`, room, random.IntN(6)))
					c.joined[room] = true
				case what < 24 && c.joined[room]:
					c.do("leave", fmt.Sprintf(`{"room":%q}`, room))
					delete(c.joined, room)
				case what < 28:
					c.do("status", []string{`"hidden"`, `"active"`, `"away"`}[random.IntN(3)])
				case what < 29:
					c.disconnect()
					all = slices.Delete(all, i, i+1)
				case what < 37:
					f.settle()
				}
			}
			f.settle()
			for _, c := range all {
				if err := c.follow(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				for room := range c.joined {
					for _, r := range f.instances {
						got, want := r.RoomUsers(room), slices.Clone(c.users[room])
						slices.Sort(got)
						slices.Sort(want)
						if !slices.Equal(got, want) {
							t.Fatalf("seed %d: %s has %q in %s, the room is %q", seed, c.id, want, room, got)
						}
					}
				}
			}
		})
	}
}
