package rooms_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// A step of a story: what is done, and what a bystander hears at the flush.
type step struct {
	socket, event, arg string
	want               []string
}

func TestStories(t *testing.T) {
	for name, story := range map[string][]step{
		"in and out": {
			{"a", "register", `{"id":1}`, []string{`add_user {"id":1}`, `online_users [{"id":1}]`}},
			{"b", "register", `{"id":2}`, []string{`add_user {"id":2}`, `online_users [{"id":1},{"id":2}]`}},
			{"a", "disconnect", "timeout", []string{`remove_user {"id":1} {"reason":"timeout"}`, `online_users [{"id":2}]`}},
			{"b", "unregister", ``, []string{`remove_user {"id":2} {"reason":"signed_out"}`, `online_users []`}},
			{"b", "unregister", ``, nil},
			{"b", "register", `{"id":2}`, []string{`add_user {"id":2}`, `online_users [{"id":2}]`}},
		},
		"two tabs": {
			{"a", "register", `{"id":1,"tab":"a"}`, []string{`add_user {"id":1,"tab":"a"}`, `online_users [{"id":1,"tab":"a"}]`}},
			{"b", "register", `{"id":2}`, []string{`add_user {"id":2}`, `online_users [{"id":1,"tab":"a"},{"id":2}]`}},
			{"c", "register", `{"id":"1","tab":"c"}`, []string{`update_user {"id":"1","tab":"c"}`, `online_users [{"id":"1","tab":"c"},{"id":2}]`}},
			{"d", "register", `{"id":1.0,"tab":"d"}`, []string{`update_user {"id":1.0,"tab":"d"}`, `online_users [{"id":1.0,"tab":"d"},{"id":2}]`}},
			{"a", "register", `{"id":1,"tab":"A"}`, []string{`update_user {"id":1,"tab":"A"}`, `online_users [{"id":1,"tab":"A"},{"id":2}]`}},
			{"c", "disconnect", "closed", nil},
			{"a", "disconnect", "closed", []string{`update_user {"id":1.0,"tab":"d"}`, `online_users [{"id":1.0,"tab":"d"},{"id":2}]`}},
			{"d", "disconnect", "closed", []string{`remove_user {"id":1.0,"tab":"d"} {"reason":"closed"}`, `online_users [{"id":2}]`}},
		},
		"somebody else on the same socket": {
			{"a", "register", `{"id":1}`, []string{`add_user {"id":1}`, `online_users [{"id":1}]`}},
			{"b", "register", `{"id":2}`, []string{`add_user {"id":2}`, `online_users [{"id":1},{"id":2}]`}},
			{"a", "register", `{"id":3}`, []string{`remove_user {"id":1} {"reason":"signed_out"}`, `add_user {"id":3}`, `online_users [{"id":2},{"id":3}]`}},
			{"a", "register", `{"id":2}`, []string{`remove_user {"id":3} {"reason":"signed_out"}`, `online_users [{"id":2}]`}},
			{"b", "disconnect", "closed", nil},
		},
		"without an id": {
			{"a", "register", `{}`, []string{`add_user {}`, `online_users [{}]`}},
			{"b", "register", `{}`, []string{`add_user {}`, `online_users [{},{}]`}},
			{"b", "register", `{"id":"a"}`, []string{`remove_user {} {"reason":"signed_out"}`, `add_user {"id":"a"}`, `online_users [{},{"id":"a"}]`}},
			{"a", "register", `{"x":1}`, []string{`update_user {"x":1}`, `online_users [{"x":1},{"id":"a"}]`}},
			{"b", "disconnect", "closed", []string{`remove_user {"id":"a"} {"reason":"closed"}`, `online_users [{"x":1}]`}},
			{"b2", "register", `{"id":"a","n":2}`, []string{`add_user {"id":"a","n":2}`, `online_users [{"x":1},{"id":"a","n":2}]`}},
			// Now the socket says itself that its id is the user's.
			{"a", "register", `{"id":"a","n":3}`, []string{`remove_user {"x":1} {"reason":"signed_out"}`, `update_user {"id":"a","n":3}`, `online_users [{"id":"a","n":3}]`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			bystander := h.connect("bystander", "both")
			conns := map[string]*fakeConn{}
			for i, s := range story {
				c := conns[s.socket]
				if c == nil {
					c = h.connect(s.socket, "none")
					conns[s.socket] = c
				}
				switch {
				case s.event == "disconnect":
					h.rooms.Disconnect(c, rooms.Reason(s.arg))
				case s.arg == "":
					h.do(c, s.event)
				default:
					h.do(c, s.event, s.arg)
				}
				h.rooms.Flush(true)
				if got := bystander.told(); !slices.Equal(got, s.want) {
					t.Fatalf("step %d, %s %s %s: heard\n%s\nwant\n%s", i, s.socket, s.event, s.arg,
						strings.Join(got, "\n"), strings.Join(s.want, "\n"))
				}
			}
		})
	}
}

// What happens between two flushes counts by its outcome alone.
func TestNetDifference(t *testing.T) {
	h := newHouse(t)
	bystander, a, b, c := h.connect("x", "both"), h.connect("a", "none"), h.connect("b", "none"), h.connect("c", "none")
	h.do(a, "register", `{"id":1,"v":1}`)
	h.do(b, "register", `{"id":2}`)
	h.rooms.Flush(true)
	bystander.take()

	h.do(c, "register", `{"id":3}`) // comes and goes
	h.do(c, "unregister")
	h.do(b, "register", `{"id":2,"v":2}`) // changes and changes back
	h.do(b, "register", `{"id":2}`)
	h.rooms.Flush(true)
	if got := bystander.told(); len(got) != 0 {
		t.Fatalf("heard %q of nothing", got)
	}

	h.do(a, "register", `{"id":1,"v":2}`) // was never shown
	h.do(a, "unregister")
	h.do(a, "register", `{"id":1,"v":3}`)
	h.do(b, "register", `{"id":2,"v":4}`)
	h.rooms.Flush(false)
	want := []string{
		`remove_user {"id":1,"v":1} {"reason":"signed_out"}`,
		`update_user {"id":2,"v":4}`,
		`add_user {"id":1,"v":3}`,
	}
	if got := bystander.told(); !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
	h.rooms.Flush(true)
	if got, want := bystander.told(), []string{`online_users [{"id":2,"v":4},{"id":1,"v":3}]`}; !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
}

// A snapshot stands for the deltas of its boundary.
func TestSnapshots(t *testing.T) {
	h := newHouse(t)
	changes, both, list := h.connect("c", "changes"), h.connect("b", "both"), h.connect("l", "list")
	none, count := h.connect("n", "none"), h.connect("k", "count")
	expect := func(what string, c *fakeConn, want ...string) {
		t.Helper()
		if got := c.told(); !slices.Equal(got, want) {
			t.Errorf("%s: heard %q, want %q", what, got, want)
		}
	}
	h.rooms.Flush(true)
	expect("count on connecting", count, "online_count 0")
	for _, c := range []*fakeConn{changes, both, list, none} {
		expect("on connecting", c)
	}
	h.do(none, "register", `{"id":1}`)
	h.rooms.Flush(false)
	expect("changes without a snapshot", changes)
	expect("both", both, `add_user {"id":1}`)
	expect("count", count, "online_count 1")

	h.do(changes, "register", `{"id":1}`) // a second socket
	h.rooms.Flush(false)
	expect("changes that registered", changes, `online_users [{"id":1}]`)
	expect("both", both)

	h.do(none, "register", `{"id":2}`) // 1 has another socket
	h.do(both, "sync")
	h.do(list, "sync")
	h.do(none, "sync")
	h.do(count, "sync")
	h.rooms.Flush(false)
	expect("changes", changes, `add_user {"id":2}`)
	expect("both that asked", both, `add_user {"id":2}`, `online_users [{"id":1},{"id":2}]`)
	for name, c := range map[string]*fakeConn{"list": list, "none": none} {
		expect(name+" that asked", c, `online_users [{"id":1},{"id":2}]`)
	}
	expect("count that asked", count, `online_users [{"id":1},{"id":2}]`, "online_count 2")

	h.rooms.Flush(true)
	expect("both", both, `online_users [{"id":1},{"id":2}]`)
	expect("list", list, `online_users [{"id":1},{"id":2}]`)
	expect("changes", changes)

	h.do(list, "register", `{"id":1}`) // a further socket changes nothing
	h.do(both, "register", `{"id":1}`)
	h.rooms.Flush(false)
	expect("list that registered, too early", list)
	if increments, lists := h.rooms.Waiting(); increments || !lists {
		t.Errorf("owed lists wait: increments %v, lists %v", increments, lists)
	}
	h.rooms.Flush(true)
	expect("list that registered", list, `online_users [{"id":1},{"id":2}]`)
	expect("both that registered", both, `online_users [{"id":1},{"id":2}]`)
	expect("none", none)
	expect("count", count)
	h.do(list, "register", `{"id":1}`)
	h.do(list, "sync") // and so it is not owed the list any more
	h.rooms.Flush(false)
	expect("list that registered and asked", list, `online_users [{"id":1},{"id":2}]`)
	h.rooms.Flush(true)
	expect("list that has its list", list)
	if increments, lists := h.rooms.Waiting(); increments || lists {
		t.Errorf("something waits still: increments %v, lists %v", increments, lists)
	}
}

func TestBytesKept(t *testing.T) {
	h := newHouse(t)
	c := h.connect("a", "both")
	user := "{\"z\":9007199254740993,\"a\":1.0, \"name\" :\t\"Zoë \\u00e9 \U0001F600 \\/<&>\",\"id\":\"k\",\"a\":{ }}"
	h.do(c, "register", user)
	h.rooms.Flush(true)
	want := []string{"add_user " + user, "online_users [" + user + "]"}
	if got := c.told(); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	if got := string(h.rooms.OnlineUsers()); got != "["+user+"]" {
		t.Fatalf("OnlineUsers: %q", got)
	}
}

// The entry must not share memory with the message that brought it.
func TestUserIsCopied(t *testing.T) {
	h := newHouse(t)
	arg := raw([]string{`{"id":1}`})
	if _, err := h.rooms.Handle(h.connect("a", ""), "register", arg); err != nil {
		t.Fatal(err)
	}
	copy(arg[0], `########`)
	if got := string(h.rooms.OnlineUsers()); got != `[{"id":1}]` {
		t.Fatalf("the list is %s", got)
	}
}

func TestRefusals(t *testing.T) {
	h := newHouseWith(t, rooms.Options{MaxUser: 20})
	c := h.connect("a", "")
	for _, r := range []struct {
		event string
		args  []string
		code  string
	}{
		{"register", nil, "bad_user"},
		{"register", []string{`null`}, "bad_user"},
		{"register", []string{`[]`}, "bad_user"},
		{"register", []string{`{"id":true}`}, "bad_user"},
		{"register", []string{`{"id":"123456789012"}`}, "user_too_large"}, // 21 bytes
		{"register", []string{`{"id":"12345678901"}`}, ""},                // 20
		{"register", []string{`{"id":1}`, `"more"`}, ""},
		{"unregister", []string{`1`}, ""},
		{"sync", []string{`1`}, ""},
		{"Register", nil, "unknown_event"},
		{"", nil, "unknown_event"},
		{strings.Repeat("x", 100_000), nil, "unknown_event"},
	} {
		err := h.try(c, r.event, r.args...)
		if code(err) != r.code || (err == nil) != (r.code == "") {
			t.Errorf("%.40s %s: got %v, want %q", r.event, r.args, err, r.code)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.40s: a refusal of %d bytes", r.event, len(err.Error()))
		}
	}
	h.rooms.Disconnect(c, rooms.Closed)
	if err := h.try(c, "register", `{"id":1}`); code(err) != "not_connected" {
		t.Errorf("after the end: %v", err)
	}
}

// A refused register leaves the entry before as it was.
func TestRefusedRegisterChangesNothing(t *testing.T) {
	h := newHouse(t)
	c := h.connect("a", "changes")
	h.do(c, "register", `{"id":1}`)
	h.rooms.Flush(true)
	c.take()
	if err := h.try(c, "register", `{"id":[]}`); code(err) != "bad_user" {
		t.Fatal(err)
	}
	h.rooms.Flush(true)
	if got := c.told(); len(got) != 0 || string(h.rooms.OnlineUsers()) != `[{"id":1}]` {
		t.Fatalf("heard %q, the list is %s", got, h.rooms.OnlineUsers())
	}
}

// A countingStore counts what is removed from it.
type countingStore struct {
	rooms.Store
	removes atomic.Int32
}

func (s *countingStore) Remove(place rooms.EntryKey, reason rooms.Reason) {
	s.removes.Add(1)
	s.Store.Remove(place, reason)
}

func TestRemoveOnce(t *testing.T) {
	h := newHouse(t)
	store := &countingStore{Store: memory.New()}
	h.rooms = rooms.New(rooms.Options{}, store, &fakeSender{})
	a, b := h.connect("a", ""), h.connect("b", "")
	h.do(a, "register", `{"id":1}`)
	h.do(a, "unregister")
	h.do(a, "unregister")
	h.rooms.Disconnect(a, rooms.Closed)
	h.rooms.Disconnect(a, rooms.Closed)
	h.do(b, "unregister")
	h.rooms.Disconnect(b, rooms.Closed)
	if n := store.removes.Load(); n != 1 {
		t.Fatalf("one entry was removed %d times", n)
	}
}

func TestDisconnectOnce(t *testing.T) {
	h := newHouse(t)
	bystander, c := h.connect("x", "both"), h.connect("a", "")
	h.do(c, "register", `{"id":1}`)
	h.rooms.Flush(true)
	bystander.take()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { h.rooms.Disconnect(c, rooms.Timeout) })
	}
	all.Wait()
	h.rooms.Disconnect(&fakeConn{id: "unknown"}, rooms.Closed)
	h.rooms.Flush(true)
	want := []string{`remove_user {"id":1} {"reason":"timeout"}`, `online_users []`}
	if got := bystander.told(); !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
	if got := h.rooms.Counts(); got != (rooms.Counts{Connections: 1}) {
		t.Fatalf("counts: %+v", got)
	}
}

// A disconnect may cross a register on its way; no ghost may stay behind.
func TestDisconnectCrossesRegister(t *testing.T) {
	h := newHouse(t)
	// Slow to read, so that there is time to cross in.
	user := `{"id":1` + strings.Repeat(`,"x":[[[[1]]]]`, 280) + `}`
	for range 500 {
		c := h.connect("a", "")
		var both sync.WaitGroup
		registering := make(chan struct{})
		both.Go(func() {
			close(registering)
			_ = h.try(c, "register", user)
		})
		both.Go(func() {
			<-registering
			h.rooms.Disconnect(c, rooms.Closed)
		})
		both.Wait()
		if got := h.rooms.Counts(); got != (rooms.Counts{}) {
			t.Fatalf("left behind: %+v", got)
		}
	}
}

// A further socket carries its user's time, so that a late instance lists the
// users in the same order.
func TestJoinedAt(t *testing.T) {
	cluster := newCluster()
	cluster.Open("other").Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "far"}, UserID: "1", Data: []byte(`{"id":1}`), JoinedAt: 123})
	r := rooms.New(rooms.Options{Instance: "here"}, cluster.Open("here"), &fakeSender{})
	for _, c := range []struct{ socket, user string }{{"a", `{"id":"1"}`}, {"b", `{"id":2}`}} {
		registered(t, r, c.socket, "", c.user)
	}
	got := cluster.Entries()
	slices.SortFunc(got, func(a, b rooms.Entry) int { return strings.Compare(a.Key, b.Key) })
	if len(got) != 3 || got[0].JoinedAt != 123 || got[1].JoinedAt <= 123 {
		t.Fatalf("entries: %+v", got)
	}
	if e := got[0]; e.Key != "a" || e.Instance != "here" || e.UserID != "1" {
		t.Fatalf("entry: %+v", e)
	}
}
