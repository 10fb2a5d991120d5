package rooms_test

import (
	"slices"
	"strings"
	"testing"

	"rollcall/rooms"
)

// strictly is what a Node client would hear: without the deltas.
func strictly(w *town, c *fakeConn) []string {
	return slices.DeleteFunc(w.told(c), func(line string) bool { return strings.Contains(line, "_user ") })
}

// Everything is told at once, each change by itself.
func TestStrict(t *testing.T) {
	inTown(t, 1, rooms.Options{Strict: true, Tracks: track(`"x"`)}, func(w *town) {
		a, b, mute := w.connect(0, "a", ""), w.connect(0, "b", ""), w.connect(0, "m", "")
		quiet := w.connect(0, "q", "presence=none")
		hear := func(want ...string) {
			t.Helper()
			for _, c := range []*fakeConn{a, b} {
				expect(t, strictly(w, c), want...)
			}
		}
		w.do(a, "register", `{"id":1}`)
		w.do(b, "register", `{"id":1,"tab":2}`)
		w.do(a, "register", `{"id":1}`)
		w.do(a, "register", `{"id":3}`)
		hear(`online_users [{"id":1}]`,
			`online_users [{"id":1},{"id":1,"tab":2}]`,
			`online_users [{"id":1},{"id":1,"tab":2}]`,
			`online_users [{"id":3},{"id":1,"tab":2}]`)
		w.disconnect(mute) // never registered: Node sends the list all the same
		hear(`online_users [{"id":3},{"id":1,"tab":2}]`)
		w.do(a, "invite", `{"id":9}`)
		w.do(a, "invite")
		hear(`invite {"id":9}`, `invite null`)
		w.do(a, "join_stage", `{"token":"t","id":1}`)
		w.do(b, "join_stage", `{"token":"t","id":1}`)
		w.do(b, "join_stage", `{"token":"t","id":2}`)
		w.do(b, "join_stage", `{"token":"t","id":2,"again":true}`)
		w.do(b, "start_race_t", `{}`)
		w.do(a, "add_car", `{"race_id":1,"id":1}`)
		w.do(a, "update_1_speed", `{"v":1}`)
		hear(`update_stage_t [{"token":"t","id":1}]`,
			`update_stage_t [{"token":"t","id":1}]`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2}]`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2}]`,
			`start_race_t {"track_id":"x"}`,
			`race_1_update [{"race_id":1,"id":1}]`,
			`update_1_speed {"v":1}`)
		w.disconnect(b) // the stage keeps its racers
		expect(t, strictly(w, a), `online_users [{"id":3}]`)
		w.do(a, "join_stage", `{"token":"t","id":3}`)
		expect(t, strictly(w, a), `update_stage_t [{"token":"t","id":1},{"token":"t","id":2},{"token":"t","id":3}]`)
		w.settle()
		expect(t, strictly(w, a))
		expect(t, quiet.told(), `invite {"id":9}`, `invite null`, `update_stage_t [{"token":"t","id":1}]`,
			`update_stage_t [{"token":"t","id":1}]`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2}]`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2}]`,
			`start_race_t {"track_id":"x"}`, `race_1_update [{"race_id":1,"id":1}]`, `update_1_speed {"v":1}`,
			`update_stage_t [{"token":"t","id":1},{"token":"t","id":2},{"token":"t","id":3}]`)
	})
}

// Increments still come, and hold as ever.
func TestStrictIncrements(t *testing.T) {
	inTown(t, 1, rooms.Options{Strict: true}, func(w *town) {
		changes := w.connect(0, "c", "presence=changes")
		w.do(changes, "sync")
		w.hears(changes, `online_users []`)
		a := w.connect(0, "a", "presence=none")
		w.do(a, "register", `{"id":1}`)
		w.hears(changes, `add_user {"id":1}`)
		w.disconnect(a)
		w.hears(changes, `remove_user {"id":1} {"reason":"closed"}`)
	})
}
