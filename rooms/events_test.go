package rooms_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

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

// A recorder is an observer that keeps all. Only the flush loop calls it while
// it runs.
type recorder struct {
	sent    map[string]int
	flushes map[string][]time.Duration
	pauses  map[string][]time.Duration
}

func newRecorder() *recorder {
	return &recorder{map[string]int{}, map[string][]time.Duration{}, map[string][]time.Duration{}}
}

func (r *recorder) Presence(int, int)             {}
func (r *recorder) Sent(kind string, sockets int) { r.sent[kind] += sockets }
func (r *recorder) Flush(kind string, cost time.Duration) {
	r.flushes[kind] = append(r.flushes[kind], cost)
}
func (r *recorder) Pause(kind string, pause time.Duration) {
	r.pauses[kind] = append(r.pauses[kind], pause)
}

// The observer gets what the sockets receive, and how long the loop pauses.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cost = 400 * time.Millisecond
		observed := newRecorder()
		f := newFixture(t, rooms.Options{Observer: observed})
		f.sender.cost = func() time.Duration { return cost }
		both, changes, count := f.connect(0, "b", ""), f.connect(0, "c", changes), f.connect(0, "n", "presence=count")
		stop := f.run()
		synctest.Wait()
		for _, c := range []*conn{both, changes} {
			c.do("register", `{"id":"`+c.id+`"}`)
			time.Sleep(time.Minute) // whatever is due has been sent
		}
		both.do("join", `{"room":"x"}`)
		time.Sleep(time.Minute)
		stop()

		got := map[string]int{}
		for _, c := range []*conn{both, changes, count} {
			events, _ := c.take()
			for _, e := range events {
				got[e.Name]++
			}
		}
		if diff := cmp.Diff(got, observed.sent); diff != "" || got["add_user"] == 0 || got["online_count"] == 0 || got["user_list"] == 0 {
			t.Errorf("sent (-to the sockets +observed):\n%s", diff)
		}
		if kinds := slices.Sorted(maps.Keys(observed.pauses)); !slices.Equal(kinds, []string{"changes", "list", "rosters"}) {
			t.Errorf("pauses of %v", kinds)
		}
		if !slices.Contains(observed.flushes["list"], cost) || len(observed.flushes["rosters"]) == 0 {
			t.Errorf("flushes %v", observed.flushes)
		}
		// 400 ms: as long again for deltas, three times that for lists, 1 s at most.
		if !slices.Contains(observed.pauses["changes"], cost) || !slices.Contains(observed.pauses["list"], time.Second) {
			t.Errorf("pauses %v", observed.pauses)
		}
	})
}

// Every event that is sent has one of the names that the metrics know, whatever
// is in its name; what others send keeps its own, which they do not know.
func TestEventsSent(t *testing.T) {
	known := rooms.EventsSent()
	for event, want := range map[string]string{
		"online_users": "online_users", "update_stage_7": "update_stage_*", "race_7_update": "race_*_update",
		"start_race_7": "start_race_*", "update_7_speed": "update_*_speed", "notice": "notice", "race_": "race_",
	} {
		observed := newRecorder()
		f := newFixture(t, rooms.Options{Observer: observed})
		f.connect(0, "a", "")
		f.publish(message(event, nil, nil))
		if diff := cmp.Diff(map[string]int{want: 1}, observed.sent); diff != "" {
			t.Errorf("%s: %s", event, diff)
		}
		if event != want && !slices.Contains(known, want) {
			t.Errorf("%s is not among %v", want, known)
		}
	}
}
