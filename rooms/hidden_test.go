package rooms_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/rooms"
)

// What another instance's socket has in a room is hidden before that socket follows.
func TestHiddenInRoomsAtOnce(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		a := f.register(0, "a", one)
		f.member(1, "b", one, "u")
		f.expectMembers("r", "u")
		a.do("status", `"hidden"`)
		if got := f.rooms.RoomUsers("r"); len(got) != 0 {
			f.t.Error(got)
		}
		a.do("status", `"active"`)
		f.expectMembers("r", "u")
	})
}

// A room that a socket joins, just when another's is hidden in it, tells the others.
func TestHiddenWhileAnotherJoins(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	member, hidden := f.member(0, "m", "", "m"), f.connect(0, "x", none)
	hidden.do("status", `"hidden"`)
	// A socket on another instance, whose user hides by a socket that has no room.
	remote := rooms.Entry{EntryKey: rooms.EntryKey{Key: "far"}, UserID: "1", Data: []byte(one), JoinedAt: 1}
	f.remote.Put(remote)
	f.remote.Put(rooms.Entry{EntryKey: rooms.EntryKey{List: rooms.RoomList("r"), Key: "far"}, UserID: "far", Data: []byte(`"u"`), JoinedAt: 1})
	f.settle(member)
	remote.Key, remote.Status, remote.StatusAt = "far2", rooms.Hidden, 5
	f.remote.Put(remote)
	f.stores.Deliver()
	hidden.do("join", `{"room":"r"}`)
	member.expect(`user_left {"room":"r","username":"u","users":["m"],"count":1}`)
	hidden.expect(`user_list {"room":"r","users":["m"],"count":1}`)
}

// A socket that connects when a user has hidden is not told of that user.
func TestHiddenBeforeConnect(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	a, before := f.register(0, "a", one), f.watcher(0)
	a.do("status", `"hidden"`)
	f.connect(0, "after", "").expect("online_users []")
	before.expect("remove_user " + one + ` {"reason":"hidden"}`)
}

// An away socket that is used just when its user hides in another one shows nobody.
func TestUseOfAwayTabDoesNotShowHidden(t *testing.T) {
	runInstances(t, 2, rooms.Options{IdleAfter: time.Minute}, func(f *fixture) {
		a, b := f.register(0, "a", one), f.register(1, "b", one)
		time.Sleep(2 * time.Minute)
		f.settle()
		a.do("status", `"hidden"`)
		b.do("heartbeat") // before its instance has had it follow
		f.expectList("[]")
	})
}

// What others put into a stage or race under a user's id is theirs: hiding neither
// shows nor deletes it. The user's own goes, also of sockets that are gone.
func TestHidingTouchesOnlyOwnCars(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		const watchRace, watchStage = `{"race_id":"x"}`, `{"token":"t"}`
		watcher := f.connect(0, "w", none)
		watcher.do("watch_race", watchRace)
		watcher.do("watch_stage", watchStage)
		mallory, early := f.register(0, "m", `{"id":666}`), f.connect(0, "early", none)
		early.do("add_car", `{"race_id":"x","id":7,"by":"early"}`)
		early.do("register", `{"id":7}`)
		gone, ada := f.register(0, "gone", `{"id":7}`), f.register(1, "ada", `{"id":7}`)
		gone.do("add_car", `{"race_id":"x","id":7,"by":"gone"}`)
		ada.do("add_car", `{"race_id":"x","id":7,"by":"ada"}`)
		gone.disconnect()
		early.disconnect()
		mallory.do("add_car", `{"race_id":"x","id":7,"by":"mallory"}`)
		mallory.do("join_stage", `{"token":"t","id":7}`)
		f.settle(watcher)
		ada.do("status", `"hidden"`)
		const left = `race_x_update [{"race_id":"x","id":7,"by":"mallory"}]`
		watcher.expectLast(left)
		watcher.do("watch_stage", watchStage)
		watcher.expect(`update_stage_t [{"token":"t","id":7}]`)
		mallory.do("add_car", `{"race_id":"y","id":7}`)
		mallory.do("update_y_speed", `{"id":7}`)
		watcher.do("watch_race", `{"race_id":"y"}`)
		watcher.expect(`race_y_update [{"race_id":"y","id":7}]`)
		ada.do("status", `"active"`)
		watcher.expect()
		watcher.do("watch_race", watchRace)
		watcher.expect(left)
		nobody := f.connect(0, "n", none) // is known by the socket
		nobody.do("add_car", watchRace)
		f.settle(watcher)
		nobody.do("status", `"hidden"`)
		nobody.do("status", `"active"`)
		watcher.expect(left)
	})
}

// A hidden user and an absent one look the same: all that others can see of a random
// history (answers, events in order, the API) is compared with user 7 hidden and without.
func TestHiddenIsLikeAbsent(t *testing.T) {
	for _, options := range []rooms.Options{{}, {Strict: true}, {Authenticate: asSigned}, {Authenticate: asSigned, Strict: true}} {
		options.IdleAfter, options.Tracks = 20*time.Second, track(`"x"`)
		for range 8 {
			seed := rand.Uint64()
			with, without := seenByOthers(t, options, seed, true), seenByOthers(t, options, seed, false)
			if diff := cmp.Diff(without, with); diff != "" {
				t.Fatalf("strict %v, tokens %v, seed %d (-without +with):\n%.4000s", options.Strict, options.Authenticate != nil, seed, diff)
			}
		}
	}
}

const element7 = `{"token":"t","race_id":"x","id":7}`

// seenByOthers plays a history and returns what others than user 7 see. It flushes
// by itself, after each step.
func seenByOthers(t *testing.T, options rooms.Options, seed uint64, present bool) (seen []string) {
	acts := [][]string{ // of Mallory: an event and one of its arguments
		{"register", `{"id":666,"step":1}`, `{"id":666,"step":2}`},
		{"add_car", element7, `{"race_id":"x","id":666}`, `{"race_id":"x"}`},
		{"join_stage", element7, `{"token":"t","id":666}`, `{"token":"t"}`},
		{"update_x_speed", element7, `{"id":666}`, `{}`},
		{"start_race_t"}, {"invite", `{"id":7}`},
		{"join", `{"room":"r","username":"ada"}`, `{"room":"r","username":"m"}`},
		{"leave", `{"room":"r"}`}, {"typing", `{"room":"r"}`}, {"message", `{"room":"r","content":"x"}`},
		{"sync"}, {"status", `"active"`, `"away"`, `"hidden"`}, {"unregister"}, {"reconnect"}, {"wait"},
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, options)
		random := rand.New(rand.NewPCG(seed, 1))
		connect := func(id, token, query string) *conn {
			c, err := f.open(0, id, handshake(query, map[string]any{"token": token}))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		handle := func(c *conn, event string, args ...string) {
			reply, err := c.handle(event, args...)
			seen = append(seen, fmt.Sprint(c.id, " ", event, args, ": ", reply, err))
		}
		var others, hidden []*conn
		for _, presence := range []string{"both", "changes", "list", "count"} {
			c := connect(presence, `1h {"id":777}`, "presence="+presence)
			others = append(others, c)
			handle(c, "join", `{"room":"r","username":"w"}`)
			handle(c, "watch_stage", `{"token":"t"}`)
			handle(c, "watch_race", `{"race_id":"x"}`)
		}
		mallory := connect("m", `1h {"id":666}`, "")
		for step := range 120 {
			// Drawn in any case, so that the rest of the history is the same.
			if what := random.IntN(10); present {
				if what == 0 || len(hidden) == 0 {
					c := connect(fmt.Sprint("h", step), `hidden {"id":7}`, "status=hidden")
					c.do("register", `{"id":7,"secret":1}`)
					hidden = append(hidden, c)
				} else if c := hidden[len(hidden)-1]; actHidden(c, what) {
					hidden = hidden[:len(hidden)-1]
				}
			}
			f.settle()
			time.Sleep(time.Second)
			act := acts[random.IntN(len(acts))]
			switch event, args := act[0], act[1:]; event {
			case "reconnect":
				mallory.disconnect()
				mallory = connect(fmt.Sprint("m", step), `1h {"id":666}`, "")
			case "wait":
				time.Sleep(25 * time.Second)
			default:
				from := random.IntN(max(1, len(args)))
				handle(mallory, event, args[from:min(from+1, len(args))]...)
			}
			f.settle()
			time.Sleep(time.Second)
			for _, c := range append(others, mallory) {
				lines := c.received()
				slices.Sort(lines) // which room is sent first is chance
				seen = append(seen, fmt.Sprint(c.id, " received ", lines))
			}
			counts := f.rooms.Counts()
			seen = append(seen, fmt.Sprint(string(f.rooms.OnlineUsers()), f.rooms.User(t.Context(), "7"),
				f.rooms.RoomUsers("r"), counts.Users, counts.Sockets))
		}
	})
	return seen
}

// actHidden is something that user 7 does, always hidden. It reports whether the
// socket is gone.
func actHidden(c *conn, what int) bool {
	switch what {
	case 1:
		c.disconnect()
	case 2:
		c.do("join", `{"room":"r","username":"ada"}`)
		c.do("typing", `{"room":"r"}`)
	case 3:
		_, _ = c.handle("leave", `{"room":"r"}`) // it may not be in it
	case 4:
		c.refused("hidden", "add_car", element7)
		c.refused("hidden", "join_stage", element7)
	case 5:
		c.do("watch_stage", `{"token":"t"}`)
		c.do("watch_race", `{"race_id":"x"}`)
	case 6:
		c.do("register", `{"id":7,"more":true}`)
	case 7:
		c.do("unregister")
		c.do("register", `{"id":7}`)
	case 8:
		c.do("status", `"hidden"`)
	case 9:
		c.do("heartbeat")
		c.do("sync")
	}
	return what == 1
}

// leak returns a line that names a hidden user, other than of leaving.
func leak(lines []string, hidden map[string]bool) string {
	for _, line := range lines {
		leaves := strings.HasPrefix(line, "remove_user ") || strings.HasPrefix(line, "user_left ")
		for id := range hidden {
			if !leaves && strings.Contains(line, id) {
				return line
			}
		}
	}
	return ""
}

// The control of TestHiddenIsNeverSeen.
func TestLeakIsNoticed(t *testing.T) {
	for line, leaks := range map[string]bool{
		`add_user {"id":"secret-1"}`:                    true,
		`race_x_update [{"id":"secret-1"}]`:             true,
		`user_list {"users":["w","secret-1"]}`:          true,
		`remove_user {"id":"secret-1"}` + hiding:        false,
		`add_user {"id":"secret-2"}`:                    false,
		`online_users [{"id":"o"}] {"secret-1":"away"}`: true,
	} {
		if got := leak([]string{line}, map[string]bool{"secret-1": true}) != ""; got != leaks {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// Users hide and are seen again on two instances; all kinds of observers look each time.
func TestHiddenIsNeverSeen(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		runInstances(t, 2, rooms.Options{IdleAfter: 20 * time.Second}, func(f *fixture) {
			h := &hidingHistory{fixture: f, random: rand.New(rand.NewPCG(seed, 2)), sockets: map[string][]*conn{}, hidden: map[string]bool{}}
			for i := range 2 {
				for _, presence := range []string{"both", "changes", "list"} {
					o := f.connect(i, fmt.Sprint("watcher", i, presence), "userId=o&presence="+presence)
					o.do("join", `{"room":"r","username":"watcher"}`)
					h.observers = append(h.observers, o)
				}
			}
			h.lookAgain(0)
			for step := range 200 {
				h.step(step)
				f.settle()
				if leak := h.leak(); leak != "" {
					f.t.Fatalf("seed %d, step %d: %s, hidden are %v", seed, step, leak, h.hidden)
				}
			}
		})
	}
}

type hidingHistory struct {
	*fixture
	random    *rand.Rand
	observers []*conn
	sockets   map[string][]*conn // by the user's id
	hidden    map[string]bool
}

func (h *hidingHistory) step(step int) {
	id := fmt.Sprintf("secret-%d", h.random.IntN(3))
	user, name := fmt.Sprintf(`{"id":%q,"step":%d}`, id, step), fmt.Sprintf(`{"room":"r","username":%q}`, id)
	sockets := h.sockets[id]
	if len(sockets) == 0 || h.random.IntN(8) == 0 {
		c := h.connect(h.random.IntN(2), fmt.Sprint("tab", step), none)
		if len(sockets) == 0 && h.random.IntN(2) == 0 {
			c.do("status", `"hidden"`)
			h.hidden[id] = true
		}
		c.do("register", user)
		c.do("join", name)
		h.sockets[id] = append(sockets, c)
		return
	}
	switch c := sockets[h.random.IntN(len(sockets))]; h.random.IntN(9) {
	case 0, 1:
		c.do("status", `"hidden"`)
		h.hidden[id] = true
	case 2:
		c.do("status", []string{`"active"`, `"away"`}[h.random.IntN(2)])
		delete(h.hidden, id)
	case 3:
		c.do("register", user)
		c.do("join", name)
	case 4:
		c.do("heartbeat")
		c.do("typing", `{"room":"r"}`)
	case 5:
		for _, event := range []string{"join_stage", "add_car"} {
			element := fmt.Sprintf(`{"token":"t","race_id":"x","id":%q}`, id)
			if h.hidden[id] {
				c.refused("hidden", event, element)
			} else {
				c.do(event, element)
			}
		}
	case 6:
		c.disconnect()
		h.sockets[id] = slices.DeleteFunc(sockets, func(socket *conn) bool { return socket == c })
	case 7:
		time.Sleep(25 * time.Second)
	case 8:
		h.lookAgain(step)
	}
}

// lookAgain has all observers ask for everything.
func (h *hidingHistory) lookAgain(step int) {
	h.observers[0].do("register", fmt.Sprintf(`{"id":"o","step":%d}`, step))
	for _, o := range h.observers {
		o.do("sync")
		o.do("watch_stage", `{"token":"t"}`)
		o.do("watch_race", `{"race_id":"x"}`)
	}
}

// leak tells where a hidden user is seen, "" if nowhere. A user whose last socket is
// gone is not hidden any more: the next socket chooses anew.
func (h *hidingHistory) leak() string {
	for _, o := range h.observers {
		if line := leak(o.received(), h.hidden); line != "" {
			return o.id + " received " + line
		}
	}
	for id := range h.hidden {
		for i, r := range h.instances {
			if strings.Contains(string(r.OnlineUsers()), id) || r.User(h.t.Context(), id).Online || slices.Contains(r.RoomUsers("r"), id) {
				return fmt.Sprintf("instance %d lists %s", i, id)
			}
		}
		if len(h.sockets[id]) == 0 {
			delete(h.hidden, id)
		}
	}
	return ""
}
