package abuse

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// What one client sends is refused, or does not harm others.

// unreadable are JSON values that parsers of other languages refuse, or that
// they cannot write again.
var unreadable = map[string]string{
	"nested 33 deep":      strings.Repeat("[", 33) + strings.Repeat("]", 33),
	"nested 101 deep":     strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101),
	"nested 1900 deep":    strings.Repeat("[", 1900) + strings.Repeat("]", 1900),
	"half an emoji":       `"x\ud83d"`,
	"halves in disorder":  `{"a":["\ude00\ud83d"]}`,
	"a key of half one":   `{"\ud83d":1}`,
	"infinity":            `1e999`,
	"minus infinity":      `[-1e999]`,
	"an enormous integer": `1` + strings.Repeat("0", 3000),
}

// One client sends what the JSON parsers of apps stop at. It is refused on every
// path, its sender stays connected, nobody receives it, and Ruby can still read the
// list.
func TestUnreadableValues(t *testing.T) {
	t.Parallel()
	s := serve(t, "API_KEY="+apiKey, "EVENTS_PER_SECOND=0")
	other := s.client(t, "presence=changes")
	other.expect(t, "", "register", `{"id":"other"}`)
	other.expect(t, "", "join", `{"room":"r","username":"other"}`)
	other.expect(t, "", "watch_stage", `{"token":"t"}`)
	other.expect(t, "", "watch_race", `{"race_id":"x"}`)
	c := s.client(t, "presence=none")
	c.expect(t, "", "register", `{"id":"poisoner"}`)
	c.expect(t, "", "join", `{"room":"r","username":"poisoner"}`)
	c.expect(t, "", "add_car", `{"race_id":"x"}`)
	other.expect(t, "", "sync", "")
	told := func() int {
		return other.received("update_user", "invite", "update_stage_t", "update_x_speed", "message")
	}
	before := told()
	for name, value := range unreadable {
		for _, try := range []struct{ code, event, arg string }{
			{"bad_user", "register", `{"id":"poisoner","x":%s}`},
			{"bad_invite", "invite", `{"id":"other","x":%s}`},
			{"bad_stage", "join_stage", `{"token":"t","x":%s}`},
			{"bad_car", "add_car", `{"race_id":"x","x":%s}`},
			{"bad_speed", "update_x_speed", `%s`},
			{"bad_user", "join", `{"room":"r","user":{"x":%s}}`},
			{"bad_username", "join", `{"room":"r","username":%s}`},
			{"bad_message", "message", `{"room":"r","content":%s}`},
			{"bad_room", "typing", `{"room":%s}`},
		} {
			c.expect(t, try.code, try.event, fmt.Sprintf(try.arg, value))
		}
		if got := s.Ask("POST", "/api/emit", fmt.Sprintf(`{"event":"x","args":[%s]}`, value), withKey); got.Status != 400 || !strings.Contains(got.Body, "bad_args") {
			t.Errorf("%s: POST /api/emit answers %d %.100s", name, got.Status, got.Body)
		}
	}
	c.expect(t, "", "message", `{"room":"r","content":"done"}`) // comes after all else
	other.expect(t, "", "heartbeat", "")
	if n := told() - before; n != 1 {
		t.Errorf("the other client received %d events, want the last message alone", n)
	}
	s.countsRefusal("bad_user", float64(2*len(unreadable)))
	list := s.online()
	if want := `[{"id":"other"},{"id":"poisoner"}]`; list != want {
		t.Errorf("online are %.300s, want %s", list, want)
	}
	if _, err := exec.LookPath("ruby"); err != nil {
		t.Skip("ruby is not installed")
	}
	for program, text := range map[string]string{
		`require "json"; print JSON.parse(STDIN.read).to_json`:                         list,
		`require "json"; begin JSON.parse(STDIN.read); rescue; print "unreadable" end`: `[{"x":` + unreadable["nested 101 deep"] + `}]`,
	} {
		ruby := exec.CommandContext(t.Context(), "ruby", "-e", program)
		ruby.Stdin = strings.NewReader(text)
		if out, err := ruby.CombinedOutput(); err != nil || string(out) != list && string(out) != "unreadable" {
			t.Errorf("Ruby: %v: %.300s", err, out)
		}
	}
}

// A polling client that was signed out goes on POSTing. Until it has fetched
// signed_out its requests are answered, but nothing in them is done.
func TestSignedOutClientChangesNothing(t *testing.T) {
	s := serve(t, "API_KEY="+apiKey)
	p := s.poll("presence=none")
	p.post(`42["register",{"id":"bad","name":"Bad"}]` + "\x1e" + `42["join",{"room":"lobby","username":"Bad"}]`)
	listed := func() bool { return strings.Contains(s.online(), "bad") }
	program.Eventually(t, patience, "the user is listed", listed)
	if got := s.Ask("DELETE", "/api/users/bad", "", withKey); !strings.Contains(got.Body, `"sockets":1`) {
		t.Fatalf("signing out: %d %s", got.Status, got.Body)
	}
	program.Eventually(t, patience, "the user is gone", func() bool { return !listed() })
	began, posts := time.Now(), 0
	for ; time.Since(began) < time.Second; posts++ {
		if got := p.post(`42["register",{"id":"bad"}]` + "\x1e" + `42["join",{"room":"lobby","username":"Bad"}]` + "\x1e" +
			`42["message",{"room":"lobby","content":"still here"}]`); got.Status != 200 {
			t.Fatalf("a POST after the end: %d %s", got.Status, got.Body)
		}
		if listed() {
			t.Fatal("the user is listed again")
		}
	}
	for path, word := range map[string]string{"/api/rooms/lobby/users": "Bad", "/api/rooms/lobby/messages": "still here"} {
		if got := s.Get(path); strings.Contains(got.Body, word) {
			t.Errorf("%s after the end: %s", path, got.Body)
		}
	}
	t.Logf("%d POSTs after the end changed nothing", posts)
	goodbye := p.get().Body
	for !strings.HasSuffix(goodbye, "41") {
		goodbye += p.get().Body
	}
	if !strings.Contains(goodbye, `42["signed_out"]`) {
		t.Errorf("the client is told %q", goodbye)
	}
	if last := p.get().Body; last != "1" {
		t.Errorf("and then %q", last)
	}
	s.counts("rollcall_connections", 0)
}

// Every request and event that takes an id is answered for a hidden user as for an
// id that nobody has; the hidden user loses nothing.
func TestHiddenUserCannotBeFound(t *testing.T) {
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
			got := s.Get(fill(path))
			fmt.Fprintln(&told, path, got.Status, strings.ReplaceAll(got.Body, id, "ID"))
		}
		for _, name := range []string{"race_r-ID_update", "update_stage_t-ID", "update_r-ID_speed", "invite", "user_joined", "user_left", "typing", "add_user", "remove_user"} {
			fmt.Fprintln(&told, name, c.received(fill(name)) > 0) // how often depends on the flushes
		}
		c.Close()
		program.Eventually(t, patience, "the client that looked is gone", func() bool { return s.online() == "[]" })
		return told.String()
	}
	if hidden, absent := seen("seven"), seen("eight"); hidden != absent {
		t.Errorf("for a hidden user\n%s\nfor an id that nobody has\n%s", hidden, absent)
	}
	if n := s.metric("rollcall_users"); n != 0 {
		t.Errorf("the metrics count %v users", n)
	}
	if log := s.Log.String(); strings.Contains(log, "seven") || strings.Contains(log, "Ada") {
		t.Errorf("the log names the hidden user:\n%s", log)
	}
	ada.expect(t, "", "status", `"active"`)
	if list := s.online(); list != `[{"id":"seven","name":"Ada"}]` {
		t.Errorf("the user is back as %s", list)
	}
	if n := ada.received("invite"); n != 1 {
		t.Errorf("%d invitations came, want 1", n)
	}
}

// Forty anonymous connections fill room after room, more than all histories may
// take. The history of a room that they were never in stays, though it was made
// at the same address and nobody uses it meanwhile.
func TestHistoryIsNotPushedOut(t *testing.T) {
	t.Parallel()
	s := serve(t, "EVENTS_PER_SECOND=0")
	calm := s.client(t, "presence=none")
	calm.expect(t, "", "join", `{"room":"calm","username":"ann"}`)
	for n := range 50 {
		calm.expect(t, "", "message", fmt.Sprintf(`{"room":"calm","content":"message %d","nonce":"%d"}`, n, n))
	}
	kept := func(room string) int {
		var all []any
		if err := json.Unmarshal([]byte(s.Get("/api/rooms/"+room+"/messages").Body), &all); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := s.metric(resident)
	content := strings.Repeat("漢", 4000) // 12,000 bytes
	var talking sync.WaitGroup
	for k := range 40 {
		c := s.client(t, "presence=none")
		talking.Go(func() {
			for n := range 200 { // 96 MB in all
				room := fmt.Sprintf("loud-%d-%d", k, n/50)
				if n%50 == 0 {
					c.expect(t, "", "join", fmt.Sprintf(`{"room":%q}`, room))
				}
				c.expect(t, "", "message", fmt.Sprintf(`{"room":%q,"content":%q}`, room, content))
			}
		})
	}
	talking.Wait()
	if n := kept("calm"); n != 50 {
		t.Errorf("of the calm room %d messages are kept, want 50", n)
	}
	if n, m := kept("loud-0-0"), kept("loud-0-3"); n != 0 || m != 50 {
		t.Errorf("of the oldest and the latest room of one of them %d and %d messages are kept, want none and 50", n, m)
	}
	calm.expect(t, "", "message", `{"room":"calm","content":"and on","nonce":"49"}`) // sent again
	calm.expect(t, "", "message", `{"room":"calm","content":"and on"}`)
	if n := kept("calm"); n != 51 {
		t.Errorf("of the calm room %d messages are kept, want 51", n)
	}
	after := s.metric(resident)
	t.Logf("resident %.0f MiB before, %.0f MiB after", before/mib, after/mib)
	if after > before+250*mib {
		t.Errorf("the server has %.0f MiB", after/mib)
	}
}
