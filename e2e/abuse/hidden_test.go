package abuse

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"rollcall/e2e/program"
)

// Somebody looks for a hidden user by everything that takes an id, and gets for
// it what comes for an id that nobody has; the hidden user loses nothing.
func TestHiddenUserIsLookedFor(t *testing.T) {
	t.Parallel()
	s := serve(t, "EVENTS_PER_SECOND=0")
	ada := s.client(t, "presence=none&status=hidden")
	ada.expect(t, "", "register", `{"id":"seven","name":"Ada"}`)
	ada.expect(t, "", "join", `{"room":"r","username":"seven"}`)
	seen := func(id string) string {
		c := s.client(t, "presence=both")
		var told strings.Builder
		fill := func(text string) string { return strings.ReplaceAll(text, "ID", id) }
		for _, try := range [][2]string{
			{"register", `{"id":"mallory"}`}, {"watch_race", `{"race_id":"r-ID"}`}, {"watch_stage", `{"token":"t-ID"}`},
			{"add_car", `{"race_id":"r-ID","id":"ID"}`}, {"join_stage", `{"token":"t-ID","id":"ID"}`}, {"update_r-ID_speed", `{"id":"ID"}`},
			{"start_race_t-ID", `{}`}, {"invite", `{"id":"ID"}`}, {"join", `{"room":"r","username":"ID"}`}, {"typing", `{"room":"r"}`},
			{"leave", `{"room":"r"}`}, {"sync", ""},
		} {
			r, err := c.Ask(fill(try[0]), fill(try[1]))
			fmt.Fprintln(&told, try, r, err)
		}
		program.Eventually(t, patience, "the last list has come", func() bool { return c.received("online_users") > 0 && c.received(fill("race_r-ID_update")) > 0 })
		for _, path := range []string{"/api/users/ID", "/api/online_users", "/api/online_users/count", "/api/rooms/r/users"} {
			got := s.ask("GET", fill(path), "")
			fmt.Fprintln(&told, path, got.status, strings.ReplaceAll(got.body, id, "ID"))
		}
		// Which events came at all: how often, the flushes decide.
		c.mu.Lock()
		events := maps.Clone(c.events)
		c.mu.Unlock()
		for _, name := range []string{"race_r-ID_update", "update_stage_t-ID", "update_r-ID_speed", "invite", "user_joined", "user_left", "typing", "add_user", "remove_user"} {
			fmt.Fprintln(&told, name, events[fill(name)] > 0)
		}
		c.Conn.Close()
		<-c.Gone
		program.Eventually(t, patience, "the seeker is gone", func() bool { return s.ask("GET", "/api/online_users", "").body == "[]" })
		return told.String()
	}
	if hidden, absent := seen("seven"), seen("eight"); hidden != absent {
		t.Errorf("for a hidden user\n%s\nfor one who is not there\n%s", hidden, absent)
	}
	if n := s.metric("rollcall_users"); n != 0 {
		t.Errorf("the metrics count %v users", n)
	}
	if log := s.Log.String(); strings.Contains(log, "seven") || strings.Contains(log, "Ada") {
		t.Errorf("the log names the hidden user:\n%s", log)
	}
	ada.expect(t, "", "status", `"active"`)
	if list := s.ask("GET", "/api/online_users", "").body; list != `[{"id":"seven","name":"Ada"}]` {
		t.Errorf("the user is back as %s", list)
	}
	if n := ada.received("invite"); n != 1 {
		t.Errorf("%d invitations came, want 1", n)
	}
}
