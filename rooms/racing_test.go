package rooms_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

func track(ids ...string) func() []json.RawMessage {
	return func() []json.RawMessage { return raw(ids...) }
}

func TestStage(t *testing.T) {
	runInstances(t, 2, rooms.Options{Tracks: track(`7`)}, func(f *fixture) {
		a, b, second := f.connect(0, "a", none), f.connect(1, "b", none), f.connect(1, "a2", none)
		watcher, other := f.connect(1, "w", none), f.connect(0, "o", none)
		watcher.do("watch_stage", `{"token":5}`)
		watcher.expect(`update_stage_5 []`)
		a.do("join_stage", `{"token":"5","id":1, "n":1.0}`)
		a.expect(`update_stage_5 [{"token":"5","id":1, "n":1.0}]`)
		const both = `update_stage_5 [{"token":"5","id":1, "n":1.0},{"token":"5","id":2}]`
		b.do("join_stage", `{"token":"5","id":2}`)
		a.expect(both)
		// An id that is there stays as it was.
		a.do("join_stage", `{"token":"5","id":1,"n":2}`)
		a.expect(both)
		second.do("join_stage", `{"token":"5","id":"1"}`)
		second.expect(both)
		f.settle(a)

		watcher.refused("not_in_stage", "start_race_5")
		second.do("start_race_5", `{"any":"thing"}`)
		for _, c := range []*conn{a, second} {
			c.expect(`start_race_5 {"track_id":7}`)
		}
		b.disconnect()
		a.expect(`update_stage_5 [{"token":"5","id":1, "n":1.0}]`)
		a.disconnect() // the user has another socket there
		second.expect(`update_stage_5 [{"token":"5","id":1, "n":1.0}]`, `update_stage_5 [{"token":"5","id":"1"}]`)
		second.disconnect()
		watcher.expectLast(`update_stage_5 []`)
		other.expect()
	})
}

func TestRace(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(1, "b", none)
		a.do("add_car", `{"race_id":"r_speed","id":1}`)
		f.settle() // the other instance knows
		b.do("watch_race", `{"race_id":"r_speed"}`)
		b.expect(`race_r_speed_update [{"race_id":"r_speed","id":1}]`)
		b.refused("not_in_race", "update_r_speed_speed", `{}`)
		b.do("add_car", `{"race_id":"r_speed","id":2}`)
		a.expect(
			`race_r_speed_update [{"race_id":"r_speed","id":1}]`,
			`race_r_speed_update [{"race_id":"r_speed","id":1},{"race_id":"r_speed","id":2}]`)
		b.do("add_car", `{"race_id":"r_speed","id":2}`) // appended again, as Node does
		const three = `race_r_speed_update [{"race_id":"r_speed","id":1},{"race_id":"r_speed","id":2},{"race_id":"r_speed","id":2}]`
		a.expect(three)
		b.do("update_r_speed_speed", `{"id":2,"v":1.50}`)
		b.do("update_r_speed_speed")
		a.expect(`update_r_speed_speed {"id":2,"v":1.50}`, `update_r_speed_speed null`)
		a.disconnect() // the car stays
		f.settle(b)
		b.do("watch_race", `{"race_id":"r_speed"}`)
		b.expect(three)
	})
}

// A list of cars is sent when it changes only: sent again it would set cars that
// have moved since back to where they started.
func TestRegisteringSendsNoCarsAgain(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(1, "b", none)
		a.do("add_car", `{"race_id":"r","id":"car"}`)
		b.do("watch_race", `{"race_id":"r"}`)
		f.settle(a, b)
		a.do("register", `{"id":1}`) // the car is this user's from here on
		a.expect()
		b.expect()
		a.do("status", `"hidden"`)
		b.expect(`race_r_update []`)
	})
}

func TestCarComesBeforeItsSpeed(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(0, "b", none)
		b.do("watch_race", `{"race_id":1}`)
		b.expect(`race_1_update []`)
		a.do("add_car", `{"race_id":1,"id":1}`)
		a.do("update_1_speed", `{"v":1}`)
		synctest.Wait() // and not for a flush
		b.expectNow(`race_1_update [{"race_id":1,"id":1}]`, `update_1_speed {"v":1}`)
	})
}

func TestInvite(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		b, c := f.register(1, "b", `{"id":5}`), f.register(1, "c", `{"id":6}`)
		b.do("status", `"hidden"`) // and is invited all the same
		f.connect(0, "a", none).do("invite", `{"id":"5","url":"/x","nickname":"A"}`)
		b.expect(`invite {"id":"5","url":"/x","nickname":"A"}`)
		c.expect()
	})
}

func TestStagesAndRacesAreBounded(t *testing.T) {
	element := func(i int) string { return fmt.Sprintf(`{"token":"t","race_id":"t","id":%d}`, i) }
	for event, code := range map[string]string{"join_stage": "stage_full", "add_car": "race_full"} {
		runInstances(t, 1, rooms.Options{}, func(f *fixture) {
			for i := range 500 {
				f.connect(0, fmt.Sprint(i), none).do(event, element(i))
			}
			f.connect(0, "late", none).refused(code, event, element(500))
		})
	}
}

// A socket takes part in 50 stages and 50 races: one more makes it leave the oldest.
func TestStagesAndRacesOfASocketAreBounded(t *testing.T) {
	runInstances(t, 1, rooms.Options{Tracks: track("1")}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(0, "b", none)
		b.do("watch_stage", `{"token":0}`)
		for i := range 51 {
			a.do("join_stage", fmt.Sprintf(`{"token":%d,"id":1}`, i))
			a.do("add_car", fmt.Sprintf(`{"race_id":%d,"id":1}`, i))
		}
		a.refused("not_in_stage", "start_race_0")
		a.refused("not_in_race", "update_0_speed", `{}`)
		a.do("start_race_1")
		a.do("update_1_speed", `{}`)
		b.expectLast("update_stage_0 []")
		for i := range 51 {
			b.do("watch_race", fmt.Sprintf(`{"race_id":"w%d"}`, i))
		}
		f.settle(b)
		a.do("add_car", `{"race_id":"w0","id":1}`)
		b.expect()
		a.do("add_car", `{"race_id":"w1","id":1}`)
		b.expect(`race_w1_update [{"race_id":"w1","id":1}]`)
	})
}

// What is left of sockets that are gone is removed 24 hours after the last change.
func TestRacesExpire(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(1, "b", none)
		a.do("add_car", `{"race_id":1,"id":1}`)
		a.do("join_stage", `{"token":1,"id":1}`)
		time.Sleep(23 * time.Hour)
		b.do("add_car", `{"race_id":1,"id":2}`)
		b.expect(`race_1_update [{"race_id":1,"id":1},{"race_id":1,"id":2}]`)
		time.Sleep(23 * time.Hour)
		f.settle()
		if _, n, _ := f.rooms.Held(); n != 1 {
			f.t.Error(n, "lists: the stage is old, the race is not")
		}
		time.Sleep(2 * time.Hour)
		b.expectLast(`race_1_update []`) // each instance removes its part, perhaps with a flush between
		for i, r := range f.instances {
			if _, n, _ := r.Held(); n != 0 {
				f.t.Error(n, "lists are left on", i)
			}
		}
	})
}

// Of the races that weigh too much, those used least recently are removed.
func TestRacesWeigh(t *testing.T) {
	runInstances(t, 1, rooms.Options{MaxUser: 64 << 10}, func(f *fixture) {
		used := f.connect(0, "used", none)
		used.do("add_car", `{"race_id":"used","id":1}`)
		filler := strings.Repeat("x", 60<<10)
		for i := range 400 { // 24 MB
			c := f.connect(0, fmt.Sprint(i), none)
			c.do("add_car", fmt.Sprintf(`{"race_id":"r%d","id":1,"x":%q}`, i/10, filler))
			c.disconnect()
			if i%10 == 0 {
				used.do("update_used_speed", `{}`)
			}
		}
		f.settle(used)
		if _, _, weight := f.rooms.Held(); weight > 16<<20 || weight < 14<<20 {
			f.t.Error("it weighs", weight)
		}
		used.do("watch_race", `{"race_id":"used"}`)
		used.do("watch_race", `{"race_id":"r0"}`)
		used.expect(`race_used_update [{"race_id":"used","id":1}]`, `race_r0_update []`)
	})
}

// Whatever order the entries of others come in, all instances show one order: that
// of joining.
func TestOneOrderOfRacers(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	watcher := f.connect(0, "w", none)
	for _, e := range []struct {
		instance, key string
		joinedAt      int64
	}{{"X", "x1", 5}, {"Y", "y1", 7}, {"X", "x2", 6}, {"Y", "y2", 7}, {"X", "x3", 7}, {"Z", "z", 1}} {
		f.stores.Open(e.instance).Put(rooms.Entry{EntryKey: rooms.EntryKey{List: "stage:t", Key: e.key}, UserID: e.key,
			Data: []byte(fmt.Sprintf(`{"id":%q}`, e.key)), JoinedAt: e.joinedAt})
		f.settle()
	}
	watcher.do("watch_stage", `{"token":"t"}`)
	watcher.expect(`update_stage_t [{"id":"z"},{"id":"x1"},{"id":"x2"},{"id":"x3"},{"id":"y1"},{"id":"y2"}]`)
}
