package rooms_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/rooms"
)

func TestRegistrations(t *testing.T) {
	type step struct {
		socket, event, arg string
		want               []string // what an observer receives with the flush
	}
	for name, steps := range map[string][]step{
		"in and out": {
			{"a", "register", `{"id":1}`, []string{`add_user {"id":1}`, `online_users [{"id":1}]`}},
			{"b", "register", `{"id":2}`, []string{`add_user {"id":2}`, `online_users [{"id":1},{"id":2}]`}},
			{"a", "disconnect", "timeout", []string{`remove_user {"id":1} {"reason":"timeout"}`, `online_users [{"id":2}]`}},
			{"b", "unregister", ``, []string{`remove_user {"id":2} {"reason":"signed_out"}`, `online_users []`}},
			{"b", "unregister", ``, nil},
			{"b", "register", `{"id":2}`, []string{`add_user {"id":2}`, `online_users [{"id":2}]`}},
		},
		"two sockets": {
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
			// Now the socket registers its own id as the user's.
			{"a", "register", `{"id":"a","n":3}`, []string{`remove_user {"x":1} {"reason":"signed_out"}`, `update_user {"id":"a","n":3}`, `online_users [{"id":"a","n":3}]`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, rooms.Options{})
			observer := f.connect(0, "observer", "")
			conns := map[string]*conn{}
			for i, s := range steps {
				c := conns[s.socket]
				if c == nil {
					c = f.connect(0, s.socket, none)
					conns[s.socket] = c
				}
				switch {
				case s.event == "disconnect":
					c.session.Disconnect(rooms.Reason(s.arg))
				case s.arg == "":
					c.do(s.event)
				default:
					c.do(s.event, s.arg)
				}
				f.settle()
				if got := observer.received(); !slices.Equal(got, s.want) {
					t.Fatalf("step %d, %s %s %s: received\n%s\nwant\n%s", i, s.socket, s.event, s.arg,
						strings.Join(got, "\n"), strings.Join(s.want, "\n"))
				}
			}
		})
	}
}

// What happens between two flushes counts by its outcome alone.
func TestNetDifference(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	observer := f.connect(0, "observer", "")
	a, b, c := f.register(0, "a", `{"id":1,"v":1}`), f.register(0, "b", `{"id":2}`), f.connect(0, "c", none)
	f.settle(observer)
	c.do("register", `{"id":3}`) // comes and goes
	c.do("unregister")
	b.do("register", `{"id":2,"v":2}`) // changes and changes back
	b.do("register", `{"id":2}`)
	observer.expect()

	a.do("register", `{"id":1,"v":2}`) // was never shown
	a.do("unregister")
	a.do("register", `{"id":1,"v":3}`)
	b.do("register", `{"id":2,"v":4}`)
	f.flush(false)
	observer.expectNow(`remove_user {"id":1,"v":1} {"reason":"signed_out"}`, `update_user {"id":2,"v":4}`, `add_user {"id":1,"v":3}`)
	observer.expect(`online_users [{"id":2,"v":4},{"id":1,"v":3}]`)
}

// A snapshot stands for the deltas of its boundary.
func TestSnapshots(t *testing.T) {
	const oneList, twoList = `online_users [{"id":1}]`, `online_users [{"id":1},{"id":2}]`
	f := newFixture(t, rooms.Options{})
	changes, both, list := f.connect(0, "changes", changes), f.connect(0, "both", ""), f.connect(0, "list", "presence=list")
	none, count := f.connect(0, "none", none), f.connect(0, "count", "presence=count")
	expectWaiting := func(wantLists bool) {
		t.Helper()
		if deltas, lists := f.rooms.Waiting(); deltas || lists != wantLists {
			t.Errorf("waiting: deltas %v, lists %v, want only lists: %v", deltas, lists, wantLists)
		}
	}
	f.settle()
	count.expectNow("online_count 0")
	for _, c := range []*conn{changes, both, list, none} {
		c.expectNow()
	}
	none.do("register", one)
	f.flush(false)
	changes.expectNow() // it has no snapshot yet
	both.expectNow(`add_user {"id":1}`)
	count.expectNow("online_count 1")

	changes.do("register", one) // a second socket
	f.flush(false)
	changes.expectNow(oneList)
	both.expectNow()

	none.do("register", `{"id":2}`) // 1 has another socket
	for _, c := range []*conn{both, list, none, count} {
		c.do("sync")
	}
	f.flush(false)
	changes.expectNow(`add_user {"id":2}`)
	both.expectNow(`add_user {"id":2}`, twoList)
	list.expectNow(twoList)
	none.expectNow(twoList)
	count.expectNow(twoList, "online_count 2")

	f.settle()
	both.expectNow(twoList)
	list.expectNow(twoList)
	changes.expectNow()

	list.do("register", one) // a further socket changes nothing
	both.do("register", one)
	f.flush(false)
	list.expectNow() // it is owed a list, with the next flush of lists
	expectWaiting(true)
	f.settle()
	list.expectNow(twoList)
	both.expectNow(twoList)
	none.expectNow()
	count.expectNow()
	list.do("register", one)
	list.do("sync") // and so it is not owed the list any more
	f.flush(false)
	list.expectNow(twoList)
	list.expect()
	expectWaiting(false)
}

// After a register that was acknowledged a list with the user comes, whatever was
// flushed before. The acknowledgement waits for no flush.
func TestListFollowsRegister(t *testing.T) {
	for _, first := range []string{"", `{"id":7}`, `{"id":7,"name":"Ada"}`} { // the data of another socket
		for _, presence := range []string{"both", "list", "changes"} {
			for _, strict := range []bool{false, true} {
				f := newFixture(t, rooms.Options{Strict: strict})
				if first != "" {
					f.register(0, "other", first)
				}
				f.settle()
				c := f.connect(0, "c", "presence="+presence)
				c.do("register", `{"id":7}`)
				f.flush(false)
				f.settle()
				if got := c.received(); !slices.Contains(got, `online_users [{"id":7}]`) && !slices.Contains(got, `online_users [`+first+`,{"id":7}]`) {
					t.Errorf("%s, first data %q, strict %v: received %q", presence, first, strict, got)
				}
			}
		}
	}
}

// The data are kept byte for byte, and do not share memory with the message that
// brought them.
func TestBytesAreKept(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	c := f.connect(0, "a", "")
	user := "{\"z\":9007199254740993,\"a\":1.0, \"name\" :\t\"Zoë \\u00e9 \U0001F600 \\/<&>\",\"id\":\"k\",\"a\":{ }}"
	args := raw(user)
	if _, err := c.session.Handle("register", args, nil); err != nil {
		t.Fatal(err)
	}
	copy(args[0], "########")
	c.expect("add_user "+user, "online_users ["+user+"]")
	f.expectList("[" + user + "]")
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

func TestEntryIsRemovedOnce(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	store := &countingStore{Store: f.stores.Open("counted")}
	f.instances[0] = rooms.New(rooms.Options{Bus: f.bus}, store, f.sender)
	observer := f.watcher(0)
	a, b := f.register(0, "a", one), f.register(0, "b", `{"id":2}`)
	observer.expect(`add_user {"id":1}`, `add_user {"id":2}`)
	for range 2 {
		a.do("unregister")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(a.disconnect)
		all.Go(func() { b.session.Disconnect(rooms.Timeout) })
	}
	all.Wait()
	if n := store.removes.Load(); n != 2 {
		t.Errorf("two entries were removed %d times", n)
	}
	observer.expect(`remove_user {"id":1} {"reason":"signed_out"}`, `remove_user {"id":2} {"reason":"timeout"}`)
	if got := f.instances[0].Counts(); got != (rooms.Counts{Connections: 1}) {
		t.Errorf("counts: %+v", got)
	}
}

// A list of many users, with the times of others, stays in order as they come and go.
func TestManyUsersAreInOrder(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	users := rand.Perm(1500) // each joined at the time that is its number
	expect := func(users []int) {
		t.Helper()
		list := fmt.Sprint(slices.Sorted(slices.Values(users)))
		f.expectList(strings.ReplaceAll(list, " ", ","))
	}
	for _, n := range users {
		f.remote.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: fmt.Sprint(n)}, UserID: fmt.Sprint(n),
			Data: fmt.Append(nil, n), JoinedAt: int64(n)})
	}
	expect(users)
	for _, n := range users[:1400] {
		f.remote.Remove(rooms.EntryKey{Key: fmt.Sprint(n)}, rooms.Closed)
	}
	expect(users[1400:])
}
