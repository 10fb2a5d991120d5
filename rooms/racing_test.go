package rooms_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

func track(ids ...string) func() []json.RawMessage {
	return func() []json.RawMessage { return raw(ids) }
}

func TestStage(t *testing.T) {
	inTown(t, 2, rooms.Options{Tracks: track(`7`)}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		watcher, other := w.connect(1, "w", "presence=none"), w.connect(0, "o", "presence=none")
		w.do(watcher, "watch_stage", `{"token":5}`)
		w.hears(watcher, `update_stage_5 []`)
		w.do(a, "join_stage", `{"token":"5","id":1, "n":1.0}`)
		w.hears(a, `update_stage_5 [{"token":"5","id":1, "n":1.0}]`)
		w.do(b, "join_stage", `{"token":"5","id":2}`)
		w.hears(a, `update_stage_5 [{"token":"5","id":1, "n":1.0},{"token":"5","id":2}]`)
		// An id that is there stays as it was.
		w.do(a, "join_stage", `{"token":"5","id":1,"n":2}`)
		w.hears(a, `update_stage_5 [{"token":"5","id":1, "n":1.0},{"token":"5","id":2}]`)
		second := w.connect(1, "a2", "presence=none")
		w.do(second, "join_stage", `{"token":"5","id":"1"}`)
		b.told()
		w.hears(second, `update_stage_5 [{"token":"5","id":1, "n":1.0},{"token":"5","id":2}]`)
		a.told()

		w.refused(watcher, "not_in_stage", "start_race_5")
		w.do(second, "start_race_5", `{"any":"thing"}`)
		for _, c := range []*fakeConn{a, second} {
			w.hears(c, `start_race_5 {"track_id":7}`)
		}
		w.disconnect(b)
		w.hears(a, `update_stage_5 [{"token":"5","id":1, "n":1.0}]`)
		w.disconnect(a) // the user has another socket there
		w.hears(second, `update_stage_5 [{"token":"5","id":1, "n":1.0}]`, `update_stage_5 [{"token":"5","id":"1"}]`)
		w.disconnect(second)
		w.settle()
		told := watcher.told()
		if last := told[len(told)-1]; last != `update_stage_5 []` {
			t.Error(told)
		}
		w.hears(other)
	})
}

func TestRace(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "add_car", `{"race_id":"r_speed","id":1}`)
		w.settle() // the other instance has heard of it
		w.do(b, "watch_race", `{"race_id":"r_speed"}`)
		w.hears(b, `race_r_speed_update [{"race_id":"r_speed","id":1}]`)
		w.refused(b, "not_in_race", "update_r_speed_speed", `{}`)
		w.do(b, "add_car", `{"race_id":"r_speed","id":2}`)
		w.hears(a,
			`race_r_speed_update [{"race_id":"r_speed","id":1}]`,
			`race_r_speed_update [{"race_id":"r_speed","id":1},{"race_id":"r_speed","id":2}]`)
		w.do(b, "add_car", `{"race_id":"r_speed","id":2}`) // appended again, as Node does
		w.hears(a,
			`race_r_speed_update [{"race_id":"r_speed","id":1},{"race_id":"r_speed","id":2},{"race_id":"r_speed","id":2}]`)
		b.told()
		w.do(b, "update_r_speed_speed", `{"id":2,"v":1.50}`)
		w.do(b, "update_r_speed_speed")
		w.hears(a, `update_r_speed_speed {"id":2,"v":1.50}`, `update_r_speed_speed null`)
		w.disconnect(a) // the car stays
		b.told()
		w.do(b, "watch_race", `{"race_id":"r_speed"}`)
		w.hears(b, `race_r_speed_update [{"race_id":"r_speed","id":1},{"race_id":"r_speed","id":2},{"race_id":"r_speed","id":2}]`)
		w.refused(b, "unknown_event", "update_r")
	})
}

// A car is known before its speed is.
// A list of cars is told when it changes only: told again it would set cars that
// have moved since back to where they started.
func TestRegisteringTellsNoCarsAgain(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "add_car", `{"race_id":"r","id":"car"}`)
		w.do(b, "watch_race", `{"race_id":"r"}`)
		w.settle()
		a.told()
		b.told()
		w.do(a, "register", `{"id":1}`) // the car is this user's from here on
		w.hears(a)
		w.hears(b)
		w.do(a, "status", `"hidden"`)
		w.hears(b, `race_r_update []`)
	})
}

func TestCarComesBeforeItsSpeed(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(0, "b", "presence=none")
		w.do(b, "watch_race", `{"race_id":1}`)
		w.hears(b, `race_1_update []`)
		w.do(a, "add_car", `{"race_id":1,"id":1}`)
		w.do(a, "update_1_speed", `{"v":1}`)
		expect(t, w.told(b), `race_1_update [{"race_id":1,"id":1}]`, `update_1_speed {"v":1}`)
	})
}

func TestInvite(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		a, b, c := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none"), w.connect(1, "c", "presence=none")
		w.do(b, "register", `{"id":5}`)
		w.do(c, "register", `{"id":6}`)
		w.do(a, "invite", `{"id":"5","url":"/x","nickname":"A"}`)
		w.hears(b, `invite {"id":"5","url":"/x","nickname":"A"}`)
		w.hears(c)
		for _, args := range []string{`null`, `{}`, `{"id":null}`, `{"id":{}}`, `[5]`, `"5"`} {
			w.refused(a, "bad_invite", "invite", args)
		}
		w.refused(a, "bad_invite", "invite")
	})
}

func TestRacingRefusals(t *testing.T) {
	inTown(t, 1, rooms.Options{MaxUser: 100}, func(w *town) {
		a := w.connect(0, "a", "presence=none")
		for event, code := range map[string]string{"join_stage": "bad_stage", "watch_stage": "bad_stage", "add_car": "bad_car", "watch_race": "bad_race"} {
			w.refused(a, code, event)
			for _, args := range []string{`null`, `{}`, `[]`, `{"token":null,"race_id":null}`, `{"token":"","race_id":""}`, `{"token":[],"race_id":[]}`,
				`{"token":"` + strings.Repeat("x", 129) + `","race_id":"` + strings.Repeat("x", 129) + `"}`} {
				w.refused(a, code, event, args)
			}
		}
		w.refused(a, "too_large", "join_stage", `{"token":"t","x":"`+strings.Repeat("x", 100)+`"}`)
		w.refused(a, "bad_car", "add_car", `{"race_id":"t","id":[]}`)
		w.do(a, "join_stage", `{"token":"t","id":1}`)
		w.refused(a, "no_tracks", "start_race_t")
		if n := w.instances[0].MemberLists(); n != 1 {
			t.Error(n, "rosters")
		}
	})
}

func TestRacingIsBounded(t *testing.T) {
	element := func(i int) string { return fmt.Sprintf(`{"token":"t","race_id":"t","id":%d}`, i) }
	for event, code := range map[string]string{"join_stage": "stage_full", "add_car": "race_full"} {
		inTown(t, 1, rooms.Options{}, func(w *town) {
			for i := range 500 {
				w.do(w.connect(0, fmt.Sprint(i), "presence=none"), event, element(i))
			}
			w.refused(w.connect(0, "late", "presence=none"), code, event, element(500))
		})
	}
	// A socket takes part in 50 of each: one more makes it leave the oldest.
	inTown(t, 1, rooms.Options{Tracks: track("1")}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(0, "b", "presence=none")
		w.do(b, "watch_stage", `{"token":0}`)
		for i := range 51 {
			w.do(a, "join_stage", fmt.Sprintf(`{"token":%d,"id":1}`, i))
			w.do(a, "add_car", fmt.Sprintf(`{"race_id":%d,"id":1}`, i))
		}
		w.refused(a, "not_in_stage", "start_race_0")
		w.refused(a, "not_in_race", "update_0_speed", `{}`)
		w.do(a, "start_race_1")
		w.do(a, "update_1_speed", `{}`)
		w.settle()
		told := b.told()
		if told[len(told)-1] != "update_stage_0 []" {
			t.Error(told)
		}
		for i := range 51 {
			w.do(b, "watch_race", fmt.Sprintf(`{"race_id":"w%d"}`, i))
		}
		w.settle()
		b.told()
		w.do(a, "add_car", `{"race_id":"w0","id":1}`)
		w.hears(b)
		w.do(a, "add_car", `{"race_id":"w1","id":1}`)
		w.hears(b, `race_w1_update [{"race_id":"w1","id":1}]`)
	})
}

// What is left of sockets that are gone goes 24 hours after the last change, or
// when it weighs too much: then what was used least recently.
func TestRacesExpire(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "add_car", `{"race_id":1,"id":1}`)
		w.do(a, "join_stage", `{"token":1,"id":1}`)
		time.Sleep(23 * time.Hour)
		w.do(b, "add_car", `{"race_id":1,"id":2}`)
		time.Sleep(23 * time.Hour)
		w.settle()
		if n := w.instances[0].MemberLists(); n != 1 {
			t.Error(n, "rosters: the stage is old, the race is not")
		}
		time.Sleep(2 * time.Hour)
		w.settle()
		for i, instance := range w.instances {
			if n := instance.MemberLists(); n != 0 {
				t.Error(n, "rosters are left on", i)
			}
		}
		told := b.told() // each instance gives up its part, perhaps with a flush in between
		if len(told) > 3 || told[0] != `race_1_update [{"race_id":1,"id":1},{"race_id":1,"id":2}]` || told[len(told)-1] != `race_1_update []` {
			t.Error(told)
		}
	})
}

func TestRacesWeigh(t *testing.T) {
	inTown(t, 1, rooms.Options{MaxUser: 64 << 10}, func(w *town) {
		used := w.connect(0, "used", "presence=none")
		w.do(used, "add_car", `{"race_id":"used","id":1}`)
		filler := strings.Repeat("x", 60<<10)
		for i := range 400 { // 24 MB
			c := w.connect(0, fmt.Sprint(i), "presence=none")
			w.do(c, "add_car", fmt.Sprintf(`{"race_id":"r%d","id":1,"x":%q}`, i/10, filler))
			w.disconnect(c)
			if i%10 == 0 {
				w.do(used, "update_used_speed", `{}`)
			}
		}
		w.settle()
		weight := w.instances[0].RacingBytes()
		if weight > 16<<20 || weight < 14<<20 {
			t.Error("it weighs", weight)
		}
		used.told()
		w.do(used, "watch_race", `{"race_id":"used"}`)
		w.do(used, "watch_race", `{"race_id":"r0"}`)
		w.hears(used, `race_used_update [{"race_id":"used","id":1}]`, `race_r0_update []`)
	})
}

// What an instance hears of late has its place by when it joined: all instances
// show one order.
func TestOneOrderOfRacers(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		watcher := w.connect(0, "w", "presence=none")
		put := func(instance, key string, joinedAt int64) {
			w.cluster.Open(instance).Put(rooms.Entry{EntryKey: rooms.EntryKey{List: "stage:t", Key: key}, UserID: key,
				Data: []byte(fmt.Sprintf(`{"id":%q}`, key)), JoinedAt: joinedAt})
		}
		put("X", "x1", 5)
		put("Y", "y1", 7)
		put("X", "x2", 6)
		put("Y", "y2", 7)
		put("X", "x3", 7)
		put("Z", "z", 1)
		w.settle()
		w.do(watcher, "watch_stage", `{"token":"t"}`)
		w.hears(watcher, `update_stage_t [{"id":"z"},{"id":"x1"},{"id":"x2"},{"id":"x3"},{"id":"y1"},{"id":"y2"}]`)
	})
}
