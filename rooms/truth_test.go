package rooms_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// A change of status, by choice, idleness or another socket, is no registration: the
// data of the latest one stay, in one socket or another, here or elsewhere.
func TestStatusIsNoRegistration(t *testing.T) {
	inTown(t, 2, rooms.Options{IdleAfter: time.Minute}, func(w *town) {
		older, newer := w.connect(0, "z", "presence=none"), w.connect(1, "a", "presence=none")
		watcher := w.connect(0, "w", "presence=changes")
		w.do(watcher, "sync")
		w.do(older, "register", `{"id":7,"name":"Ada"}`)
		w.settle()
		w.do(newer, "register", `{"id":7,"name":"Ada Lovelace"}`)
		w.settle()
		watcher.told()
		shown := func(want string) {
			w.t.Helper()
			synctest.Wait()
			for i, r := range w.instances {
				if got := string(r.OnlineUsers()); got != want {
					w.t.Errorf("instance %d shows %s, want %s", i, got, want)
				}
			}
		}
		const latest = `{"id":7,"name":"Ada Lovelace"}`
		time.Sleep(2 * time.Minute)
		w.hears(watcher, `update_user `+latest+` {"status":"away"}`)
		w.do(older, "heartbeat")
		w.hears(watcher, `update_user `+latest+` {"status":"active"}`)
		for _, c := range []*fakeConn{older, newer} {
			w.do(c, "status", `"away"`)
			w.hears(watcher, `update_user `+latest+` {"status":"away"}`)
			w.do(c, "status", `"active"`)
			w.hears(watcher, `update_user `+latest+` {"status":"active"}`)
		}
		shown("[" + latest + "]")
		// The older socket registers again: it is the latest now.
		w.do(older, "register", `{"id":7,"name":"Augusta"}`)
		w.hears(watcher, `update_user {"id":7,"name":"Augusta"}`)
		w.do(newer, "status", `"away"`)
		shown(`[{"id":7,"name":"Augusta"}]`)
		w.disconnect(older)
		shown("[" + latest + "]")
	})
}

// After hiding, the time of coming back counts, in every socket and on every
// instance; a socket that closes and one that comes keep the place.
func TestPlaceInTheList(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		tabs := []*fakeConn{w.connect(0, "1a", "presence=none"), w.connect(1, "1b", "presence=none")}
		other := w.connect(1, "2", "presence=none")
		list := func(want string) {
			w.t.Helper()
			w.settle()
			for i, r := range w.instances {
				if got := string(r.OnlineUsers()); got != want {
					w.t.Errorf("instance %d lists %s, want %s", i, got, want)
				}
			}
		}
		w.do(tabs[0], "register", one)
		w.do(other, "register", `{"id":2}`)
		w.do(tabs[1], "register", one)
		list(`[{"id":1},{"id":2}]`)
		w.disconnect(tabs[0])
		list(`[{"id":1},{"id":2}]`)
		tabs[0] = w.connect(0, "1c", "presence=none")
		w.do(tabs[0], "register", one)
		w.do(tabs[0], "status", `"away"`)
		w.do(tabs[1], "register", one)
		list(`[{"id":1},{"id":2}]`)
		w.do(tabs[0], "status", `"hidden"`)
		list(`[{"id":2}]`)
		w.do(tabs[1], "status", `"active"`)
		list(`[{"id":2},{"id":1}]`)
		w.disconnect(tabs[1])
		list(`[{"id":2},{"id":1}]`)
	})
}
