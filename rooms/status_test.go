package rooms_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

const (
	one     = `{"id":1}`
	isAway  = ` {"status":"away"}`
	isBack  = ` {"status":"active"}`
	hiding  = ` {"reason":"hidden"}`
	watches = "presence=changes"
)

func TestAwayAndBack(t *testing.T) {
	inTown(t, 2, rooms.Options{IdleAfter: time.Minute}, func(w *town) {
		watcher := w.connect(1, "w", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		lists := w.connect(1, "l", "presence=list")
		full := w.connect(1, "f", "")
		tab, other := w.connect(0, "t1", "presence=none"), w.connect(1, "t2", "presence=none")
		w.do(tab, "register", one)
		w.do(other, "register", one)
		w.hears(watcher, `add_user {"id":1}`)
		lists.told()
		full.told()
		time.Sleep(40 * time.Second)
		w.do(tab, "heartbeat")
		time.Sleep(40 * time.Second)
		w.hears(watcher) // one socket is enough
		time.Sleep(30 * time.Second)
		w.hears(watcher, `update_user {"id":1}`+isAway)
		w.hears(lists, `online_users [{"id":1}] {"1":"away"}`)
		w.hears(full, `update_user {"id":1}`+isAway) // a list would tell nothing else
		if got := w.instances[0].User(context.Background(), "1"); !got.Online || got.Status != rooms.Away {
			t.Error(got)
		}
		late := w.connect(0, "late", watches)
		w.do(late, "sync")
		w.hears(late, `online_users [{"id":1}] {"1":"away"}`)
		w.do(other, "sync") // any event
		w.hears(watcher, `update_user {"id":1}`+isBack)
		w.hears(lists, `online_users [{"id":1}]`)
	})
}

func TestNeverAwayByDefault(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		watcher := w.connect(0, "w", watches)
		w.do(watcher, "register", one)
		w.hears(watcher, `online_users [{"id":1}]`)
		time.Sleep(48 * time.Hour)
		w.hears(watcher)
	})
}

// A choice is the user's: all sockets on all instances follow the latest.
func TestChosenStatus(t *testing.T) {
	inTown(t, 2, rooms.Options{IdleAfter: time.Hour}, func(w *town) {
		watcher := w.connect(0, "w", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "register", one)
		w.do(b, "register", one)
		w.hears(watcher, `add_user {"id":1}`)
		for _, status := range []string{``, `null`, `7`, `"invisible"`, `["away"]`} {
			if status == "" {
				w.refused(a, "bad_status", "status")
			} else {
				w.refused(a, "bad_status", "status", status)
			}
		}
		if reply := w.do(a, "status", `"away"`); reply["status"] != rooms.Away {
			t.Error(reply)
		}
		w.hears(watcher, `update_user {"id":1}`+isAway)
		w.disconnect(a)
		w.hears(watcher) // b has followed
		w.do(b, "heartbeat")
		w.hears(watcher, `update_user {"id":1}`+isBack)

		w.do(b, "status", `"hidden"`)
		w.hears(watcher, `remove_user {"id":1}`+hiding)
		c := w.connect(0, "c", "presence=none") // a further socket is as hidden
		w.do(c, "register", `{"id":1,"v":2}`)
		w.do(c, "heartbeat")
		w.do(b, "register", `{"id":1,"v":3}`)
		w.disconnect(b)
		w.hears(watcher)
		w.do(c, "status", `"active"`)
		w.hears(watcher, `add_user {"id":1,"v":2}`)
		w.do(c, "status", `"hidden"`)
		w.do(c, "unregister") // the choice was that user's
		w.do(c, "register", `{"id":2}`)
		w.hears(watcher, `remove_user {"id":1,"v":2}`+hiding, `add_user {"id":2}`)
	})
}

// What another instance's socket has in a room is hidden at once, and not only
// when that socket has followed.
func TestHiddenInRoomsAtOnce(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "register", one)
		w.do(b, "register", one)
		w.do(b, "join", `{"room":"r","username":"u"}`)
		w.settle()
		w.do(a, "status", `"hidden"`)
		if got := w.instances[0].RoomUsers("r"); len(got) != 0 {
			t.Error(got)
		}
		w.do(a, "status", `"active"`)
		w.settle()
		if got := w.instances[0].RoomUsers("r"); len(got) != 1 {
			t.Error(got)
		}
	})
}

// A room that somebody asks for, just when another's socket is hidden in it, tells
// the others of that all the same.
func TestHiddenWhileOneLooks(t *testing.T) {
	h := newHouse(t)
	member := h.connect("m", "none")
	h.do(member, "join", `{"room":"r","username":"m"}`)
	// A socket on another instance, whose user hides by a socket that has no room.
	far := rooms.Entry{EntryKey: rooms.EntryKey{Key: "far"}, Instance: "far", UserID: "1", Data: []byte(one), JoinedAt: 1}
	h.far.Put(far)
	h.far.Put(rooms.Entry{EntryKey: rooms.EntryKey{List: rooms.RoomList("r"), Key: "far"}, Instance: "far", UserID: "far", Data: []byte(`"u"`), JoinedAt: 1})
	h.cluster.Deliver()
	h.rooms.FlushMembers()
	member.told()
	far.Key, far.Status, far.StatusAt = "far2", rooms.Hidden, 5
	h.far.Put(far)
	h.cluster.Deliver()
	hidden := h.connect("x", "none")
	h.do(hidden, "status", `"hidden"`)
	h.do(hidden, "join", `{"room":"r"}`)
	h.rooms.FlushMembers()
	expect(t, member.told(), `user_left {"room":"r","username":"u","users":["m"],"count":1}`)
	expect(t, hidden.told(), `user_list {"room":"r","users":["m"],"count":1}`)
}

// Who hides before registering is never seen; who chooses away is.
func TestStatusBeforeRegister(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		watcher := w.connect(0, "w", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		a := w.connect(0, "a", "presence=none")
		w.do(a, "status", `"hidden"`)
		w.do(a, "register", one)
		w.hears(watcher)
		b := w.connect(0, "b", "presence=none")
		w.do(b, "status", `"away"`)
		w.do(b, "register", `{"id":2}`)
		w.hears(watcher, `add_user {"id":2}`+isAway)
		anonymous := w.connect(0, "c", "presence=none")
		w.do(anonymous, "register", `{}`)
		w.hears(watcher, `add_user {}`)
		w.do(anonymous, "status", `"hidden"`)
		w.hears(watcher, `remove_user {} {"reason":"hidden"}`)
	})
}

func TestLastActive(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		user := func() rooms.UserInfo {
			synctest.Wait() // the other instance hears of it
			return w.instances[1].User(context.Background(), "1")
		}
		if got := user(); got.Online || got.LastActive != 0 {
			t.Error("before:", got)
		}
		a := w.connect(0, "a", "")
		start := time.Now().UnixMilli()
		w.do(a, "register", one)
		if got := user(); got != (rooms.UserInfo{ID: "1", Online: true, Status: rooms.Active, Since: start, LastActive: start}) {
			t.Error("registered:", got)
		}
		time.Sleep(time.Minute)
		w.do(a, "heartbeat")
		if got := user(); got.LastActive != start+60_000 || got.Since != start {
			t.Error("a minute later:", got)
		}
		w.do(a, "status", `"hidden"`)
		time.Sleep(time.Minute)
		w.do(a, "heartbeat")
		w.do(a, "register", `{"id":1,"again":true}`)
		hidden := rooms.UserInfo{ID: "1", LastActive: start + 60_000}
		if got := user(); got != hidden {
			t.Error("hidden:", got)
		}
		w.do(a, "status", `"active"`)
		if got := user(); !got.Online || got.Since != start+120_000 {
			t.Error("shown again:", got)
		}
		w.disconnect(a)
		time.Sleep(29 * 24 * time.Hour)
		if got := user(); got.Online || got.LastActive < start+60_000 {
			t.Error("a month later:", got)
		}
		time.Sleep(2 * 24 * time.Hour)
		if got := user(); got.LastActive != 0 {
			t.Error("31 days later:", got)
		}
	})
}

// A leak is an event that names a user who is hidden.
func leak(c *fakeConn, hidden map[string]bool) string {
	for _, line := range c.told() {
		for id := range hidden {
			if strings.Contains(line, id) && !strings.HasPrefix(line, "remove_user") && !strings.HasPrefix(line, "user_left") {
				return line
			}
		}
	}
	return ""
}

// Hidden at any time and never seen: random histories on two instances, looked
// at by every kind of observer after each step.
func TestHiddenIsNeverSeen(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 2))
		inTown(t, 2, rooms.Options{IdleAfter: 20 * time.Second}, func(w *town) {
			var observers []*fakeConn
			for i := range 2 {
				for _, kind := range []string{"both", "changes", "list"} {
					o := w.connect(i, fmt.Sprint("watch", i, kind), "userId=o&presence="+kind)
					w.do(o, "join", `{"room":"r","username":"watcher"}`)
					w.do(o, "watch_stage", `{"token":"t"}`)
					w.do(o, "watch_race", `{"race_id":"x"}`)
					observers = append(observers, o)
				}
			}
			tabs := map[string][]*fakeConn{}
			hidden := map[string]bool{}
			for step := range 200 {
				id := fmt.Sprintf("secret-%d", random.IntN(3))
				user := fmt.Sprintf(`{"id":%q,"step":%d}`, id, step)
				name := fmt.Sprintf(`{"room":"r","username":%q}`, id)
				if len(tabs[id]) == 0 || random.IntN(8) == 0 {
					c := w.connect(random.IntN(2), fmt.Sprint("tab", step), "presence=none")
					if len(tabs[id]) == 0 && random.IntN(2) == 0 {
						w.do(c, "status", `"hidden"`)
						hidden[id] = true
					}
					w.do(c, "register", user)
					w.do(c, "join", name)
					tabs[id] = append(tabs[id], c)
				} else {
					switch c := tabs[id][random.IntN(len(tabs[id]))]; random.IntN(9) {
					case 0, 1:
						w.do(c, "status", `"hidden"`)
						hidden[id] = true
					case 2:
						w.do(c, "status", []string{`"active"`, `"away"`}[random.IntN(2)])
						delete(hidden, id)
					case 3:
						w.do(c, "register", user)
						w.do(c, "join", name)
					case 4:
						w.do(c, "heartbeat")
						w.do(c, "typing", `{"room":"r"}`)
					case 5:
						element := fmt.Sprintf(`{"token":"t","race_id":"x","id":%q}`, id)
						for _, event := range []string{"join_stage", "add_car"} {
							if hidden[id] {
								w.refused(c, "hidden", event, element)
							} else {
								w.do(c, event, element)
							}
						}
					case 6:
						w.disconnect(c)
						tabs[id] = slices.DeleteFunc(tabs[id], func(x *fakeConn) bool { return x == c })
						// Nobody is left to be seen; the next socket chooses anew.
					case 7:
						time.Sleep(25 * time.Second)
					case 8: // everybody looks again
						w.do(observers[0], "register", fmt.Sprintf(`{"id":"o","step":%d}`, step))
						for _, o := range observers {
							w.do(o, "sync")
							w.do(o, "watch_stage", `{"token":"t"}`)
							w.do(o, "watch_race", `{"race_id":"x"}`)
						}
					}
				}
				w.settle()
				for _, o := range observers {
					if line := leak(o, hidden); line != "" {
						t.Fatalf("seed %d, step %d: %s heard %s, hidden are %v", seed, step, o.id, line, hidden)
					}
				}
				for id := range hidden {
					for _, instance := range w.instances {
						if strings.Contains(string(instance.OnlineUsers()), id) || instance.User(context.Background(), id).Online ||
							slices.Contains(instance.RoomUsers("r"), id) {
							t.Fatalf("seed %d, step %d: %s is hidden and listed", seed, step, id)
						}
					}
					if len(tabs[id]) == 0 {
						delete(hidden, id)
					}
				}
			}
		})
	}
}

// The control: a leak is noticed.
func TestLeakIsNoticed(t *testing.T) {
	for line, leaks := range map[string]bool{
		`add_user {"id":"secret-1"}`:                    true,
		`race_x_update [{"id":"secret-1"}]`:             true,
		`user_list {"users":["w","secret-1"]}`:          true,
		`remove_user {"id":"secret-1"}` + hiding:        false,
		`add_user {"id":"secret-2"}`:                    false,
		`online_users [{"id":"o"}] {"secret-1":"away"}`: true,
	} {
		name, arg, _ := strings.Cut(line, " ")
		c := &fakeConn{id: "c"}
		c.Send((&fakeSender{}).Encode(rooms.Event{Name: name, Args: raw([]string{arg})}))
		if got := leak(c, map[string]bool{"secret-1": true}) != ""; got != leaks {
			t.Errorf("%s: %v", line, got)
		}
	}
}
