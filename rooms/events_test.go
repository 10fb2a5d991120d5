package rooms_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/rooms"
)

func TestBadArgumentsAreRefused(t *testing.T) {
	f := newFixture(t, rooms.Options{MaxUser: 100})
	c := f.member(0, "c", "", "c")
	text := func(n int) string { return `"` + strings.Repeat("é", n) + `"` }
	long := strings.Repeat("x", 129)
	nameless := []string{"", `null`, `{}`, `[]`, `{"token":null,"race_id":null}`, `{"token":"","race_id":""}`,
		`{"token":[],"race_id":[]}`, `{"token":"` + long + `","race_id":"` + long + `"}`}
	for _, r := range []struct {
		code, event string
		args        []string // "": none is sent
	}{
		{"bad_user", "register", []string{"", `null`, `[]`, `{"id":true}`}},
		{"user_too_large", "register", []string{`{"id":"` + strings.Repeat("x", 92) + `"}`}}, // 101 bytes
		{"bad_status", "status", []string{"", `null`, `7`, `"invisible"`, `["away"]`}},
		{"bad_room", "join", []string{"", `"lobby"`, `[]`, `{}`, `{"room":""}`, `{"room":null}`, `{"room":true}`, `{"Room":"x"}`,
			`{"room":` + text(65) + `}`}},
		{"bad_username", "join", []string{`{"room":"x","username":7}`, `{"room":"x","username":` + text(65) + `}`,
			`{"room":"x","user":{"name":` + text(65) + `}}`}},
		{"bad_message", "message", []string{`{"room":"r","content":null}`, `{"room":"r","content":7}`, `{"room":"r","content":""}`,
			`{"room":"r","content":"  \n"}`, `{"room":"r","content":` + text(4001) + `}`}},
		{"bad_message", "message", []string{`{"room":"r","content":"x","nonce":` + text(65) + `}`, `{"room":"r","content":"x","nonce":{}}`,
			`{"room":"r","content":"x","nonce":[1]}`, `{"room":"r","content":"x","nonce":true}`, `{"room":"r","content":"x","nonce":"\ud800"}`}},
		{"not_in_room", "message", []string{`{"room":"x","content":"x"}`}},
		{"not_in_room", "typing", []string{`{"room":"x"}`}},
		{"not_in_room", "leave", []string{`{"room":"x"}`}},
		{"bad_invite", "invite", []string{"", `null`, `{}`, `{"id":null}`, `{"id":{}}`, `[5]`, `"5"`}},
		{"bad_stage", "join_stage", nameless},
		{"bad_stage", "watch_stage", nameless},
		{"bad_car", "add_car", append([]string{`{"race_id":"t","id":[]}`}, nameless...)},
		{"bad_race", "watch_race", nameless},
		{"too_large", "join_stage", []string{`{"token":"t","x":"` + strings.Repeat("x", 100) + `"}`}},
		{"not_in_stage", "start_race_t", []string{""}},
		{"not_in_race", "update_t_speed", []string{`{}`}},
		{"unknown_event", "update_r", []string{""}},
		{"unknown_event", "Register", []string{""}},
		{"unknown_event", "", []string{""}},
		{"unknown_event", strings.Repeat("x", 100_000), []string{""}},
	} {
		for _, arg := range r.args {
			args := []string{arg}
			if arg == "" {
				args = nil
			}
			if _, err := c.handle(r.event, args...); code(err) != r.code || len(err.Error()) > 300 {
				t.Errorf("%.40s %.80s: got %.400v, want %s", r.event, arg, err, r.code)
			}
		}
	}
	_, lists, _ := f.rooms.Held()
	if users := f.rooms.Counts().Users; lists != 1 || users != 0 {
		t.Errorf("refused events left %d users and %d lists, want only the room", users, lists)
	}
	// What is at the limits, or more than asked for, is accepted.
	c.do("register", `{"id":"`+strings.Repeat("x", 91)+`"}`)
	c.do("register", one, `"more"`)
	c.do("unregister", `1`)
	c.do("sync", `1`)
	c.do("join", `{"room":`+text(64)+`,"username":`+text(64)+`}`)
	c.do("message", `{"room":"r","content":`+text(4000)+`,"nonce":`+text(64)+`}`)
	c.do("message", `{"room":"r","content":"x","nonce":null}`)
	c.do("join_stage", `{"token":"t","id":1}`)
	c.refused("no_tracks", "start_race_t")
	c.disconnect()
	c.refused("not_connected", "register", one)
}

// Whatever a client has us keep or pass on is checked, and refused with the code
// that fits.
func TestUnreadableValuesAreRefused(t *testing.T) {
	for _, strict := range []bool{false, true} {
		f := newFixture(t, rooms.Options{Strict: strict, MaxUser: 64 << 10})
		c := f.member(0, "c", "", "c")
		c.do("add_car", `{"race_id":"x"}`)
		f.settle(c)
		for _, value := range unreadable {
			for _, r := range []struct{ code, event, arg string }{
				{"bad_user", "register", `{"id":1,"x":%s}`},
				{"bad_user", "register", `{"id":%s}`},
				{"bad_invite", "invite", `{"id":1,"x":%s}`},
				{"bad_stage", "join_stage", `{"token":"t","x":%s}`},
				{"bad_car", "add_car", `{"race_id":"x","x":%s}`},
				{"bad_speed", "update_x_speed", `{"x":%s}`},
				{"bad_room", "join", `{"room":%s}`},
				{"bad_room", "message", `{"room":%s,"content":"x"}`},
				{"bad_room", "typing", `{"room":%s}`},
				{"bad_user", "join", `{"room":"r","user":{"x":%s}}`},
				{"bad_username", "join", `{"room":"r","username":%s}`},
				{"bad_message", "message", `{"room":"r","content":%s}`},
			} {
				c.refused(r.code, r.event, fmt.Sprintf(r.arg, value))
			}
		}
		c.expect()
		f.expectList("[]")
	}
	// The user of a token is no exception.
	f := newFixture(t, rooms.Options{AllowGuests: true, Authenticate: asSigned})
	_, err := f.open(0, "c", handshake(token(`1h {"id":1,"x":`+nested(rooms.MaxDepth)+`}`), nil))
	if code(err) != "bad_user" {
		t.Errorf("of a token: %v", err)
	}
}

// A refused register leaves the entry before, and its room, as they were.
func TestRefusedRegisterChangesNothing(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	c := f.watcher(0)
	c.do("register", one)
	f.settle(c)
	c.refused("bad_user", "register", `{"id":[]}`)
	c.expect()
	f.expectList("[" + one + "]")
	f.publish(message("notice", []string{"user:1"}, nil))
	c.expect(notice)
}
