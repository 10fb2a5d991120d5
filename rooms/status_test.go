package rooms_test

import (
	"testing"
	"time"

	"rollcall/rooms"
)

const (
	one    = `{"id":1}`
	isAway = ` {"status":"away"}`
	isBack = ` {"status":"active"}`
	hiding = ` {"reason":"hidden"}`
)

func TestAwayAndBack(t *testing.T) {
	runInstances(t, 2, rooms.Options{IdleAfter: time.Minute}, func(f *fixture) {
		watcher, lists, both := f.watcher(1), f.connect(1, "l", "presence=list"), f.connect(1, "f", "")
		socket, other := f.register(0, "t1", one), f.register(1, "t2", one)
		watcher.expect(`add_user {"id":1}`)
		f.settle(lists, both)
		time.Sleep(40 * time.Second)
		socket.do("heartbeat")
		time.Sleep(40 * time.Second)
		watcher.expect() // one socket is enough
		time.Sleep(30 * time.Second)
		watcher.expect(`update_user {"id":1}` + isAway)
		lists.expect(`online_users [{"id":1}] {"1":"away"}`)
		both.expect(`update_user {"id":1}` + isAway) // a list would add nothing
		if got := f.rooms.User(t.Context(), "1"); !got.Online || got.Status != rooms.Away {
			f.t.Error(got)
		}
		late := f.connect(0, "late", changes)
		late.do("sync")
		late.expect(`online_users [{"id":1}] {"1":"away"}`)
		other.do("sync") // any event
		watcher.expect(`update_user {"id":1}` + isBack)
		lists.expect(`online_users [{"id":1}]`)
	})
}

// A choice is the user's: all sockets on all instances follow the latest.
func TestChosenStatus(t *testing.T) {
	runInstances(t, 2, rooms.Options{IdleAfter: time.Hour}, func(f *fixture) {
		watcher := f.watcher(0)
		a, b := f.register(0, "a", one), f.register(1, "b", one)
		watcher.expect(`add_user {"id":1}`)
		if reply := a.do("status", `"away"`); reply["status"] != rooms.Away {
			f.t.Error(reply)
		}
		watcher.expect(`update_user {"id":1}` + isAway)
		a.disconnect()
		watcher.expect() // b has followed
		b.do("heartbeat")
		watcher.expect(`update_user {"id":1}` + isBack)

		b.do("status", `"hidden"`)
		watcher.expect(`remove_user {"id":1}` + hiding)
		c := f.register(0, "c", `{"id":1,"v":2}`) // a further socket is as hidden
		c.do("heartbeat")
		b.do("register", `{"id":1,"v":3}`)
		b.disconnect()
		watcher.expect()
		c.do("status", `"active"`)
		watcher.expect(`add_user {"id":1,"v":2}`)
		c.do("status", `"hidden"`)
		c.do("unregister") // the choice was that user's
		c.do("register", `{"id":2}`)
		watcher.expect(`remove_user {"id":1,"v":2}`+hiding, `add_user {"id":2}`)
	})
}

// A user who hides before registering is never seen, and one who chooses away is
// away from the beginning.
func TestStatusBeforeRegister(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		watcher := f.watcher(0)
		a, b := f.connect(0, "a", none), f.connect(0, "b", none)
		a.do("status", `"hidden"`)
		a.do("register", one)
		watcher.expect()
		b.do("status", `"away"`)
		b.do("register", `{"id":2}`)
		watcher.expect(`add_user {"id":2}` + isAway)
		anonymous := f.register(0, "c", `{}`)
		watcher.expect(`add_user {}`)
		time.Sleep(48 * time.Hour)
		watcher.expect() // without IdleAfter nobody becomes away
		anonymous.do("status", `"hidden"`)
		watcher.expect(`remove_user {}` + hiding)
	})
}

// A change of status, by choice, idleness or another socket, is no registration: the
// data of the latest one stay, in one socket or another, here or elsewhere.
func TestStatusIsNoRegistration(t *testing.T) {
	runInstances(t, 2, rooms.Options{IdleAfter: time.Minute}, func(f *fixture) {
		watcher, older := f.watcher(0), f.register(0, "z", `{"id":7,"name":"Ada"}`)
		f.settle()
		newer := f.register(1, "a", `{"id":7,"name":"Ada Lovelace"}`)
		f.settle(watcher)
		const latest = `{"id":7,"name":"Ada Lovelace"}`
		time.Sleep(2 * time.Minute)
		watcher.expect(`update_user ` + latest + isAway)
		older.do("heartbeat")
		watcher.expect(`update_user ` + latest + isBack)
		for _, c := range []*conn{older, newer} {
			c.do("status", `"away"`)
			watcher.expect(`update_user ` + latest + isAway)
			c.do("status", `"active"`)
			watcher.expect(`update_user ` + latest + isBack)
		}
		f.expectList("[" + latest + "]")
		// The older socket registers again: it is the latest now.
		older.do("register", `{"id":7,"name":"Augusta"}`)
		watcher.expect(`update_user {"id":7,"name":"Augusta"}`)
		newer.do("status", `"away"`)
		f.expectList(`[{"id":7,"name":"Augusta"}]`)
		older.disconnect()
		f.expectList("[" + latest + "]")
	})
}

// After hiding, the time of becoming visible gives the place in the list, in every
// socket and on every instance; a socket that closes and one that comes keep the place.
func TestPlaceInTheList(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		a, b := f.register(0, "1a", one), f.connect(1, "1b", none)
		f.register(1, "2", `{"id":2}`)
		b.do("register", one)
		f.expectList(`[{"id":1},{"id":2}]`)
		a.disconnect()
		f.expectList(`[{"id":1},{"id":2}]`)
		a = f.register(0, "1c", one)
		a.do("status", `"away"`)
		b.do("register", one)
		f.expectList(`[{"id":1},{"id":2}]`)
		a.do("status", `"hidden"`)
		f.expectList(`[{"id":2}]`)
		b.do("status", `"active"`)
		f.expectList(`[{"id":2},{"id":1}]`)
		b.disconnect()
		f.expectList(`[{"id":2},{"id":1}]`)
	})
}
