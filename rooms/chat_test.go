package rooms_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/rooms"
)

func TestRoom(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		ann, bob := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		reply := w.do(ann, "join", `{"room":"lobby","username":" ann "}`)
		if reply["room"] != "lobby" || reply["username"] != "ann" {
			t.Error(reply)
		}
		w.hears(ann, `user_list {"room":"lobby","users":["ann"],"count":1}`)
		w.do(bob, "join", `{"room":"lobby"}`)
		w.hears(bob, `user_list {"room":"lobby","users":["ann","Guest"],"count":2}`)
		w.hears(ann, `user_joined {"room":"lobby","username":"Guest","users":["ann","Guest"],"count":2}`)

		w.do(bob, "typing", `{"room":"lobby","username":"ann"}`)
		w.hears(ann, `typing {"room":"lobby","username":"Guest"}`)
		w.hears(bob)
		w.do(bob, "message", `{"room":"lobby","username":"ann","content":"hi"}`)
		w.settle()
		told := ann.told()
		if len(told) != 1 || !strings.Contains(told[0], `"username":"Guest","content":"hi","timestamp":"2000-01-01T00:00:0`) {
			t.Error(told)
		}
		expect(t, bob.told(), told...)

		// Another name for the same socket.
		w.do(bob, "join", `{"room":"lobby","username":"bob"}`)
		w.hears(ann,
			`user_left {"room":"lobby","username":"Guest","users":["ann"],"count":1}`,
			`user_joined {"room":"lobby","username":"bob","users":["ann","bob"],"count":2}`)
		w.hears(bob, `user_list {"room":"lobby","users":["ann","bob"],"count":2}`)

		// One name, two sockets: it comes with the first and goes with the last.
		second := w.connect(1, "b2", "presence=none")
		w.do(second, "join", `{"room":"lobby","user":{"nickname":"bob","name":"x"}}`)
		w.hears(second, `user_list {"room":"lobby","users":["ann","bob"],"count":2}`)
		w.disconnect(bob)
		w.hears(ann)
		if got := w.instances[0].RoomUsers("lobby"); !slices.Equal(got, []string{"ann", "bob"}) {
			t.Error(got)
		}
		w.do(second, "leave", `{"room":"lobby"}`)
		w.hears(ann, `user_left {"room":"lobby","username":"bob","users":["ann"],"count":1}`)
		w.hears(second)
		w.refused(second, "not_in_room", "typing", `{"room":"lobby"}`)
		w.refused(second, "not_in_room", "message", `{"room":"lobby","content":"x"}`)
		w.refused(second, "not_in_room", "leave", `{"room":"lobby"}`)
	})
}

// Who hears a message knows already who is in the room.
func TestJoinedComesBeforeTheirMessage(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		ann, bob := w.connect(0, "a", "presence=none"), w.connect(0, "b", "presence=none")
		w.do(ann, "join", `{"room":1,"username":"ann"}`)
		w.settle()
		ann.told()
		w.do(bob, "join", `{"room":"1","username":"bob"}`)
		w.do(bob, "typing", `{"room":1}`)
		w.do(bob, "message", `{"room":1,"content":"x"}`)
		told := w.told(ann)
		if len(told) != 3 || !strings.HasPrefix(told[0], "user_joined") || !strings.HasPrefix(told[2], "message") {
			t.Error(told)
		}
	})
}

func TestChatLimits(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		c := w.connect(0, "c", "presence=none")
		long := func(n int) string { return strings.Repeat("é", n) }
		for _, args := range []string{``, `"lobby"`, `[]`, `{}`, `{"room":""}`, `{"room":null}`, `{"room":true}`, `{"Room":"x"}`, `{"room":"` + long(65) + `"}`} {
			if args == "" {
				w.refused(c, "bad_room", "join")
			} else {
				w.refused(c, "bad_room", "join", args)
			}
		}
		w.refused(c, "bad_username", "join", `{"room":"x","username":7}`)
		w.refused(c, "bad_username", "join", `{"room":"x","username":"`+long(65)+`"}`)
		w.refused(c, "bad_username", "join", `{"room":"x","user":{"name":"`+long(65)+`"}}`)
		w.do(c, "join", `{"room":"`+long(64)+`","username":"`+long(64)+`"}`)
		for i := range 49 {
			w.do(c, "join", fmt.Sprintf(`{"room":"r%d"}`, i))
		}
		w.refused(c, "too_many_rooms", "join", `{"room":"one more"}`)
		w.do(c, "join", `{"room":"r1","username":"again"}`)
		w.do(c, "leave", `{"room":"r1"}`)
		w.do(c, "join", `{"room":"one more"}`)
		for _, content := range []string{`null`, `7`, `""`, `"  \n"`, `"` + long(4001) + `"`} {
			w.refused(c, "bad_message", "message", `{"room":"r0","content":`+content+`}`)
		}
		w.do(c, "message", `{"room":"r0","content":"`+long(4000)+`"}`)
		w.settle()
		if n := w.instances[0].MemberLists(); n != 50 {
			t.Error(n, "rosters")
		}
		w.disconnect(c)
		w.settle()
		if n := w.instances[0].MemberLists(); n != 0 {
			t.Error(n, "rosters are left")
		}
	})
}

// A storm is told as one list and not as its square.
func TestRoomStorm(t *testing.T) {
	h := newHouse(t) // without its loop: the flush comes when we say
	watcher := h.connect("w", "none")
	h.do(watcher, "join", `{"room":"r","username":"w"}`)
	h.rooms.FlushMembers()
	watcher.told()
	join := func(from, to int) {
		for i := from; i < to; i++ {
			h.do(h.connect(fmt.Sprint(i), "none"), "join", fmt.Sprintf(`{"room":"r","username":"u%d"}`, i))
		}
		h.rooms.FlushMembers()
	}
	join(0, 16)
	if told := watcher.told(); len(told) != 16 || !strings.HasPrefix(told[15], `user_joined {"room":"r","username":"u15"`) {
		t.Errorf("%d events: %q", len(told), told)
	}
	join(16, 500)
	told := watcher.told()
	if len(told) != 1 || !strings.HasPrefix(told[0], "user_list") || !strings.HasSuffix(told[0], `"count":501}`) {
		t.Errorf("%d events, the first %.40q", len(told), told[0])
	}
}

// A chatter is somebody who keeps the names of the rooms as an application may:
// from user_list, user_joined and user_left alone.
type chatter struct {
	*fakeConn
	users map[string][]string
}

type roomEvent struct {
	Room, Username string
	Users          []string
	Count          int
}

// follow applies what came since, and checks that each event says the same.
func (c *chatter) follow() error {
	events, _ := c.take()
	for _, e := range events {
		var r roomEvent
		if err := json.Unmarshal(e.Args[0], &r); err != nil {
			return err
		}
		switch e.Name {
		case "user_list":
			c.users[r.Room] = r.Users
		case "user_joined":
			c.users[r.Room] = append(slices.Clone(c.users[r.Room]), r.Username)
		case "user_left":
			c.users[r.Room] = slices.DeleteFunc(slices.Clone(c.users[r.Room]), func(u string) bool { return u == r.Username })
		default:
			continue
		}
		if !slices.Equal(c.users[r.Room], r.Users) || r.Count != len(r.Users) {
			return fmt.Errorf("%s: after %s %s it should be %q", c.id, e.Name, e.Args[0], c.users[r.Room])
		}
	}
	return nil
}

// The invariant of rooms, over five of them, three instances and random joins,
// renames, leaves, hides and disconnects: user_list, user_joined and user_left
// always give the room.
func TestRoomEventsAreTheRoom(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		inTown(t, 3, rooms.Options{}, func(w *town) {
			var all []*chatter
			in := map[*chatter]map[string]string{}
			opened := 0
			for range 400 {
				if len(all) < 4 || random.IntN(20) == 0 {
					opened++
					c := &chatter{w.connect(random.IntN(3), fmt.Sprint("s", opened), "presence=none"), map[string][]string{}}
					w.do(c.fakeConn, "register", fmt.Sprintf(`{"id":%d}`, opened))
					all, in[c] = append(all, c), map[string]string{}
				}
				c := all[random.IntN(len(all))]
				room := fmt.Sprint("r", random.IntN(5))
				switch random.IntN(10) {
				case 0, 1, 2, 3:
					name := fmt.Sprint("n", random.IntN(6))
					w.do(c.fakeConn, "join", fmt.Sprintf(`{"room":%q,"username":%q}`, room, name))
					in[c][room] = name
				case 4, 5:
					if _, ok := in[c][room]; ok {
						w.do(c.fakeConn, "leave", fmt.Sprintf(`{"room":%q}`, room))
						delete(in[c], room)
					}
				case 6:
					w.do(c.fakeConn, "status", []string{`"hidden"`, `"active"`, `"away"`}[random.IntN(3)])
				case 7:
					if random.IntN(4) == 0 {
						w.disconnect(c.fakeConn)
						all = slices.DeleteFunc(all, func(x *chatter) bool { return x == c })
						delete(in, c)
					}
				default:
					w.settle()
				}
			}
			w.settle()
			for _, c := range all {
				if err := c.follow(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				for room := range in[c] {
					for _, instance := range w.instances {
						if got := instance.RoomUsers(room); !slices.Equal(sorted(got), sorted(c.users[room])) {
							t.Fatalf("seed %d: %s has %q in %s, the room is %q", seed, c.id, c.users[room], room, got)
						}
					}
				}
			}
		})
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
