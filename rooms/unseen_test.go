package rooms_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// A hidden user and one who is not there at all look the same: the same history
// is told twice, with user 7 hidden all the time and without, and everything
// that others can see is compared: answers, events in their order, what the API
// says.
func TestHiddenIsLikeAbsent(t *testing.T) {
	for _, options := range []rooms.Options{{}, {Strict: true}, {Authenticate: secretly}, {Authenticate: secretly, Strict: true}} {
		options.IdleAfter, options.Tracks = 20*time.Second, track(`"x"`)
		for range 8 {
			seed := rand.Uint64()
			with, without := seenBeside(t, options, seed, true), seenBeside(t, options, seed, false)
			if !slices.Equal(with, without) {
				at := 0
				for at < min(len(with), len(without)) && with[at] == without[at] {
					at++
				}
				t.Fatalf("strict %v, tokens %v, seed %d: from line %d on, with a hidden user\n%q\nwithout\n%q", options.Strict, options.Authenticate != nil, seed, at,
					with[at:min(at+4, len(with))], without[at:min(at+4, len(without))])
			}
		}
	}
}

// secretly knows the tokens 7, whose user is to start hidden, and 666.
func secretly(token string) (rooms.Identity, error) {
	switch token {
	case "7":
		return rooms.Identity{User: []byte(`{"id":7}`), Status: rooms.Hidden}, nil
	case "666", "777":
		return rooms.Identity{User: []byte(`{"id":` + token + `}`)}, nil
	}
	return rooms.Identity{}, errors.New("unknown")
}

// seenBeside tells a random history and returns what others than user 7 saw. It
// flushes by itself after each step, so that only the history counts.
func seenBeside(t *testing.T, options rooms.Options, seed uint64, present bool) (seen []string) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouseWith(t, options)
		random := rand.New(rand.NewPCG(seed, 1))
		pick := func(from ...string) string { return from[random.IntN(len(from))] }
		flush := func() {
			h.cluster.Deliver()
			h.rooms.Flush(true)
			h.rooms.FlushMembers()
			time.Sleep(time.Second)
		}
		open := func(id, user, query string) *fakeConn {
			c := &fakeConn{id: id}
			auth := map[string]any{"token": user}
			if user == "7" {
				auth["status"] = "hidden"
			}
			if _, err := h.rooms.Connect(c, handshakeOf(query, auth)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		ask := func(c *fakeConn, event string, args ...string) {
			reply, err := h.rooms.Handle(c, event, raw(args))
			seen = append(seen, fmt.Sprint(c.id, " ", event, args, ": ", reply, err))
		}
		var others, hidden []*fakeConn
		for _, presence := range []string{"both", "changes", "list", "count"} {
			c := open("w-"+presence, "777", "presence="+presence)
			others = append(others, c)
			ask(c, "join", `{"room":"r","username":"w"}`)
			ask(c, "watch_stage", `{"token":"t"}`)
			ask(c, "watch_race", `{"race_id":"x"}`)
		}
		mallory := open("m", "666", "")
		others = append(others, mallory)
		for step := range 120 {
			// Drawn in any case, so that the rest of the history is the same.
			id, what := fmt.Sprint("h", step), random.IntN(10)
			element := `{"token":"t","race_id":"x","id":7}`
			if present {
				hidden = step7(h, hidden, what, func() *fakeConn { return open(id, "7", "") }, element)
			}
			flush()
			switch event := pick("register", "add_car", "join_stage", "start_race_t", "update_x_speed", "invite", "join", "leave", "typing", "message", "sync", "status", "unregister", "back", "wait"); event {
			case "register":
				ask(mallory, event, fmt.Sprintf(`{"id":666,"step":%d}`, step))
			case "add_car", "join_stage", "update_x_speed":
				ask(mallory, event, pick(element, `{"token":"t","race_id":"x","id":666}`, `{"token":"t","race_id":"x"}`))
			case "invite":
				ask(mallory, event, `{"id":7}`)
			case "join":
				ask(mallory, event, pick(`{"room":"r","username":"ada"}`, `{"room":"r","username":"m"}`))
			case "leave", "typing":
				ask(mallory, event, `{"room":"r"}`)
			case "message":
				ask(mallory, event, `{"room":"r","content":"x"}`)
			case "status":
				ask(mallory, event, pick(`"active"`, `"away"`, `"hidden"`))
			case "back":
				h.rooms.Disconnect(mallory, rooms.Closed)
				others = slices.DeleteFunc(others, func(c *fakeConn) bool { return c == mallory })
				mallory = open(fmt.Sprint("m", step), "666", "")
				others = append(others, mallory)
			case "wait":
				time.Sleep(25 * time.Second)
			default:
				ask(mallory, event)
			}
			flush()
			for _, c := range others {
				told := c.told()
				slices.Sort(told) // which room is told first is chance
				for _, line := range told {
					seen = append(seen, c.id+" heard "+line)
				}
			}
			counts := h.rooms.Counts()
			seen = append(seen, fmt.Sprint(string(h.rooms.OnlineUsers()), h.rooms.User(t.Context(), "7"), h.rooms.RoomUsers("r"), counts.Users, counts.Sockets))
		}
	})
	return seen
}

// step7 is something that user 7 does, always hidden.
func step7(h *house, tabs []*fakeConn, what int, open func() *fakeConn, element string) []*fakeConn {
	if len(tabs) == 0 || what == 0 {
		c := open()
		h.do(c, "register", `{"id":7,"secret":1}`)
		return append(tabs, c)
	}
	c := tabs[len(tabs)-1]
	switch what {
	case 1:
		h.rooms.Disconnect(c, rooms.Closed)
		return tabs[:len(tabs)-1]
	case 2:
		h.do(c, "join", `{"room":"r","username":"ada"}`)
		h.do(c, "typing", `{"room":"r"}`)
	case 3:
		_ = h.try(c, "leave", `{"room":"r"}`)
	case 4:
		for _, event := range []string{"add_car", "join_stage"} {
			if err := h.try(c, event, element); code(err) != "hidden" {
				h.t.Fatal(err)
			}
		}
	case 5:
		h.do(c, "watch_stage", `{"token":"t"}`)
		h.do(c, "watch_race", `{"race_id":"x"}`)
	case 6:
		h.do(c, "register", `{"id":7,"more":true}`)
	case 7:
		h.do(c, "unregister")
		h.do(c, "register", `{"id":7}`)
	case 8:
		h.do(c, "status", `"hidden"`)
	case 9:
		h.do(c, "heartbeat")
		h.do(c, "sync")
	}
	return tabs
}

// What others put into a stage or race under a user's id is theirs: hiding
// neither shows nor deletes it. One's own goes, also of sockets that are gone.
func TestHidingTouchesOnlyOwnCars(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		watcher := w.connect(0, "w", "presence=none")
		w.do(watcher, "watch_race", `{"race_id":"x"}`)
		w.do(watcher, "watch_stage", `{"token":"t"}`)
		mallory := w.connect(0, "m", "presence=none")
		w.do(mallory, "register", `{"id":666}`)
		gone, early, ada := w.connect(0, "gone", "presence=none"), w.connect(0, "early", "presence=none"), w.connect(1, "ada", "presence=none")
		w.do(early, "add_car", `{"race_id":"x","id":7,"by":"early"}`) // registers later
		for _, c := range []*fakeConn{gone, early, ada} {
			w.do(c, "register", `{"id":7}`)
		}
		w.do(gone, "add_car", `{"race_id":"x","id":7,"by":"gone"}`)
		w.do(ada, "add_car", `{"race_id":"x","id":7,"by":"ada"}`)
		w.disconnect(gone)
		w.disconnect(early)
		w.do(mallory, "add_car", `{"race_id":"x","id":7,"by":"mallory"}`)
		w.do(mallory, "join_stage", `{"token":"t","id":7}`)
		w.settle()
		watcher.told()
		w.do(ada, "status", `"hidden"`)
		w.settle()
		told := watcher.told()
		expect(t, told[len(told)-1:], `race_x_update [{"race_id":"x","id":7,"by":"mallory"}]`)
		w.do(watcher, "watch_stage", `{"token":"t"}`)
		w.hears(watcher, `update_stage_t [{"token":"t","id":7}]`)
		w.do(mallory, "add_car", `{"race_id":"y","id":7}`)
		w.do(mallory, "update_y_speed", `{"id":7}`)
		w.do(watcher, "watch_race", `{"race_id":"y"}`)
		w.hears(watcher, `race_y_update [{"race_id":"y","id":7}]`)
		w.do(ada, "status", `"active"`)
		w.hears(watcher)
	})
}

// With tokens one acts only as oneself, whoever the other is.
func TestActingAsOthers(t *testing.T) {
	inTown(t, 1, rooms.Options{Authenticate: secretly, AllowGuests: true}, func(w *town) {
		for _, token := range []string{"666", ""} {
			c := &fakeConn{id: "c" + token}
			w.home[c] = w.instances[0]
			if _, err := w.home[c].Connect(c, handshakeOf("", map[string]any{"token": token})); err != nil {
				t.Fatal(err)
			}
			w.do(c, "add_car", `{"race_id":"x"}`)
			w.do(c, "join_stage", `{"token":"t"}`)
			for _, id := range []string{"7", `"7"`, "8", `"666 "`} {
				w.refused(c, "forbidden", "add_car", `{"race_id":"x","id":`+id+`}`)
				w.refused(c, "forbidden", "join_stage", `{"token":"t","id":`+id+`}`)
				w.refused(c, "forbidden", "update_x_speed", `{"id":`+id+`,"speed":1}`)
			}
			w.refused(c, "bad_speed", "update_x_speed", `{"id":[7]}`)
			w.do(c, "update_x_speed", `{"speed":1}`)
			w.do(c, "update_x_speed", `5`)
			if token != "" {
				w.do(c, "add_car", `{"race_id":"x","id":"666"}`)
				w.do(c, "update_x_speed", `{"id":666.0,"speed":1}`)
			}
		}
	})
}

// An away socket that is used just when its user hides in another one does not
// show the user again.
func TestUseOfAwayTabDoesNotShowHidden(t *testing.T) {
	inTown(t, 2, rooms.Options{IdleAfter: time.Minute}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "register", one)
		w.do(b, "register", one)
		time.Sleep(2 * time.Minute)
		w.settle()
		w.do(a, "status", `"hidden"`)
		w.do(b, "heartbeat") // before its instance has had it follow
		w.settle()
		for _, r := range w.instances {
			if list := string(r.OnlineUsers()); list != "[]" {
				t.Error(list)
			}
		}
	})
}
