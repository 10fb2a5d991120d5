package rooms_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"rollcall/rooms"
)

// Each change is sent at once and by itself, as Node does.
func TestStrict(t *testing.T) {
	runInstances(t, 1, rooms.Options{Strict: true, Tracks: track(`"x"`)}, func(f *fixture) {
		a, b, mute := f.connect(0, "a", ""), f.connect(0, "b", ""), f.connect(0, "m", "")
		quiet := f.connect(0, "q", none)
		// A client of Node's does not know the deltas.
		expect := func(c *conn, want ...string) {
			f.t.Helper()
			synctest.Wait()
			got := slices.DeleteFunc(c.received(), func(line string) bool { return strings.Contains(line, "_user ") })
			c.compare(got, want)
		}
		expectBoth := func(want ...string) {
			f.t.Helper()
			expect(a, want...)
			expect(b, want...)
		}
		a.do("register", `{"id":1}`)
		b.do("register", `{"id":1,"tab":2}`)
		a.do("register", `{"id":1}`)
		a.do("register", `{"id":3}`)
		expectBoth(`online_users [{"id":1}]`,
			`online_users [{"id":1},{"id":1,"tab":2}]`,
			`online_users [{"id":1},{"id":1,"tab":2}]`,
			`online_users [{"id":3},{"id":1,"tab":2}]`)
		mute.disconnect() // never registered: Node sends the list all the same
		expectBoth(`online_users [{"id":3},{"id":1,"tab":2}]`)
		a.do("invite", `{"id":9}`)
		a.do("invite")
		a.do("join_stage", `{"token":"t","id":1}`)
		b.do("join_stage", `{"token":"t","id":1}`)
		b.do("join_stage", `{"token":"t","id":2}`)
		b.do("join_stage", `{"token":"t","id":2,"again":true}`)
		b.do("start_race_t", `{}`)
		a.do("add_car", `{"race_id":1,"id":1}`)
		a.do("update_1_speed", `{"v":1}`)
		forAll := []string{`invite {"id":9}`, `invite null`,
			`update_stage_t [{"token":"t","id":1}]`,
			`update_stage_t [{"token":"t","id":1}]`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2}]`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2}]`,
			`start_race_t {"track_id":"x"}`,
			`race_1_update [{"race_id":1,"id":1}]`,
			`update_1_speed {"v":1}`}
		expectBoth(forAll...)
		b.disconnect() // the stage keeps its racers
		expect(a, `online_users [{"id":3}]`)
		a.do("join_stage", `{"token":"t","id":3}`)
		const last = `update_stage_t [{"token":"t","id":1},{"token":"t","id":2},{"token":"t","id":3}]`
		expect(a, last)
		f.settle()
		expect(a)
		expect(quiet, append(forAll, last)...)
	})
}

// Deltas still come, and hold as ever.
func TestStrictDeltas(t *testing.T) {
	runInstances(t, 1, rooms.Options{Strict: true}, func(f *fixture) {
		watcher := f.watcher(0)
		a := f.register(0, "a", one)
		watcher.expect(`add_user {"id":1}`)
		a.disconnect()
		watcher.expect(`remove_user {"id":1} {"reason":"closed"}`)
	})
}
