package abuse

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

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
// path, its sender stays connected, nobody hears of it, and Ruby goes on reading
// the list.
func TestUnreadableValues(t *testing.T) {
	t.Parallel()
	s := serve(t, "API_KEY=0123456789abcdef", "EVENTS_PER_SECOND=0")
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
	told := func() (n int) {
		for _, event := range []string{"update_user", "invite", "update_stage_t", "update_x_speed", "message"} {
			n += other.received(event)
		}
		return n
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
		body := fmt.Sprintf(`{"event":"x","args":[%s]}`, value)
		if got := s.ask("POST", "/api/emit", body, "Authorization: Bearer 0123456789abcdef"); got.status != 400 || !strings.Contains(got.body, "bad_args") {
			t.Errorf("%s: POST /api/emit answers %d %.100s", name, got.status, got.body)
		}
	}
	c.expect(t, "", "message", `{"room":"r","content":"done"}`) // comes after all else
	other.expect(t, "", "heartbeat", "")
	if n := told() - before; n != 1 {
		t.Errorf("the other heard of %d things, want the last message alone", n)
	}
	s.countsRefusal("bad_user", float64(2*len(unreadable)))
	list := s.ask("GET", "/api/online_users", "").body
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
