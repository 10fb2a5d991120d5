package rooms_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

func TestPause(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		cost   time.Duration
		factor int
		want   time.Duration
	}{
		{-1, 1, 0},
		{0, 3, 0},
		{1, 1, 1},
		{10 * ms, 1, 10 * ms},
		{10 * ms, 3, 30 * ms},
		{333 * ms, 3, 999 * ms},
		{334 * ms, 3, 1000 * ms},
		{999 * ms, 1, 999 * ms},
		{1000 * ms, 1, 1000 * ms},
		{time.Hour, 1, 1000 * ms},
		{1<<63 - 1, 1000, 1000 * ms},
	} {
		if got := rooms.Pause(c.cost, c.factor); got != c.want {
			t.Errorf("pause(%v, %d) = %v, want %v", c.cost, c.factor, got, c.want)
		}
	}
}

// A moment is when a client began to be sent something, since the start.
type moment struct {
	at   time.Duration
	what string
}

// runFor feeds a running Rooms one register every interval, for a time of the
// bubble, and returns what one both client was sent.
func runFor(t *testing.T, interval, total time.Duration, cost func(list bool) time.Duration) []moment {
	start := time.Now()
	var got []moment
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	cluster := newCluster()
	far := cluster.Open("far")
	watcher := &fakeConn{id: "watcher"}
	listed := false // only the flush loop touches it and got
	watcher.see = func(e rooms.Event) {
		what := "increments"
		if e.Name == "online_users" {
			what, listed = "list", true
		}
		now := moment{time.Since(start), what}
		if n := len(got); n == 0 || got[n-1] != now {
			got = append(got, now)
		}
	}
	r := rooms.New(rooms.Options{}, cluster.Open("local"), &fakeSender{cost: func([]rooms.Delivery) time.Duration {
		d := cost(listed)
		listed = false
		return d
	}})
	if _, err := r.Connect(watcher, rooms.Handshake{}); err != nil {
		t.Fatal(err)
	}
	go func() { done <- r.Run(ctx) }()
	for n := 0; time.Since(start) < total; n++ {
		far.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: fmt.Sprint(n)}, UserID: "u" + fmt.Sprint(n), Data: []byte(`{}`)})
		time.Sleep(interval)
	}
	time.Sleep(10 * time.Second) // of the bubble: all that is to come has come
	if increments, lists := r.Waiting(); increments || lists {
		t.Errorf("not everything was flushed")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	return got
}

func TestPacing(t *testing.T) {
	const ms = time.Millisecond
	constant := func(d time.Duration) func(bool) time.Duration {
		return func(bool) time.Duration { return d }
	}
	for _, c := range []struct {
		name            string
		interval, total time.Duration
		cost            func(list bool) time.Duration
		want            []moment
		slack           time.Duration // gathering asks for less the longer ago a flush cost something
	}{
		{"alone: nearly at once", 5000 * ms, 10_000 * ms, constant(100 * ms), []moment{
			{0, "increments"}, {0, "list"},
			{5005 * ms, "increments"}, {5005 * ms, "list"}, // waited for others,
		}, 0},
		{"a burst: increments after 1 cost, lists after 3", 10 * ms, 500 * ms, constant(100 * ms), []moment{
			{0, "increments"}, {0, "list"}, // until 100
			{200 * ms, "increments"}, // until 300
			{400 * ms, "increments"}, // the list is due too: until 500
			{400 * ms, "list"},
			{600 * ms, "increments"}, // the last changes, until 700
			{800 * ms, "list"},
		}, 0},
		{"dear lists, cheap increments", 10 * ms, 100 * ms, func(list bool) time.Duration {
			if list {
				return 50 * ms
			}
			return 10 * ms
		}, []moment{
			{0, "increments"}, {0, "list"}, // until 50
			{100 * ms, "increments"}, // the last change was at 90
			{200 * ms, "list"},
		}, 0},
		{"very dear: 1 s at most", 10 * ms, 500 * ms, constant(2000 * ms), []moment{
			{0, "increments"}, {0, "list"}, // until 2 s
			{3000 * ms, "increments"}, {3000 * ms, "list"},
		}, 0},
		{"no end of changes: lists become rare", 10 * ms, 2000 * ms, func(list bool) time.Duration {
			if list {
				return 6 * ms
			}
			return 0
		}, []moment{
			{0, "list"}, {24 * ms, "list"}, {48 * ms, "list"}, {72 * ms, "list"}, // 3 times 6 ms after the end
			{96 * ms, "list"}, {402 * ms, "list"}, {708 * ms, "list"}, {1014 * ms, "list"}, // 50 times
			{1320 * ms, "list"}, {1626 * ms, "list"}, {1932 * ms, "list"}, {2238 * ms, "list"},
		}, 3 * ms},
		{"free: every change alone", 10 * ms, 30 * ms, constant(0), []moment{
			{0, "increments"}, {0, "list"},
			{10 * ms, "increments"}, {10 * ms, "list"},
			{20 * ms, "increments"}, {20 * ms, "list"},
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := runFor(t, c.interval, c.total, c.cost)
				if len(got) > 100 { // the deltas are between
					got = listsOf(got)
				}
				if !slices.EqualFunc(got, c.want, within(c.slack)) {
					t.Errorf("sent\n%v\nwant\n%v", got, c.want)
				}
			})
		})
	}
}

// Changes that come at about the same time are told together, and who has few
// watchers waits for nobody.
func TestGathering(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ cost, apart, first, second time.Duration }{
		{8 * ms, 3 * ms, 1004 * ms, 1004 * ms},
		{8 * ms, 5 * ms, 1004 * ms, 1020 * ms}, // until 1012, and as long again
		{100 * ms, 4 * ms, 1005 * ms, 1005 * ms},
		{0, 1 * ms, 1000 * ms, 1001 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var told []time.Duration
			watcher := &fakeConn{id: "watcher", see: func(e rooms.Event) {
				if e.Name == "add_user" {
					told = append(told, time.Since(start))
				}
			}}
			cluster := newCluster()
			far := cluster.Open("far")
			r := rooms.New(rooms.Options{}, cluster.Open("local"), &fakeSender{cost: func([]rooms.Delivery) time.Duration { return c.cost }})
			if _, err := r.Connect(watcher, handshake("both")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- r.Run(ctx) }()
			come := func(id string) {
				far.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: id}, UserID: id, Data: []byte(`{}`)})
			}
			come("a")
			time.Sleep(1000 * ms)
			come("b")
			time.Sleep(c.apart)
			come("c")
			time.Sleep(1000 * ms)
			cancel()
			<-done
			if want := []time.Duration{0, c.first, c.second}; fmt.Sprint(told) != fmt.Sprint(want) {
				t.Errorf("flushes of %v, changes %v apart: told after %v, want %v", c.cost, c.apart, told, want)
			}
		})
	}
}

func within(slack time.Duration) func(a, b moment) bool {
	return func(a, b moment) bool { return a.what == b.what && (a.at-b.at).Abs() <= slack }
}

func listsOf(all []moment) (lists []moment) {
	for _, m := range all {
		if m.what == "list" {
			lists = append(lists, m)
		}
	}
	return lists
}

// What is owed without any change is flushed too, and then the loop rests.
func TestOwedIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := rooms.New(rooms.Options{}, memory.New(), &fakeSender{})
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		for presence, want := range map[string]string{"both": "online_users []", "none": "online_users []"} {
			c := &fakeConn{id: presence}
			if _, err := r.Connect(c, handshake(presence)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Handle(c, "sync", nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := c.told(); len(got) != 1 || got[0] != want {
				t.Errorf("%s: heard %q, want %q", presence, got, want)
			}
		}
		counter := &fakeConn{id: "counter"}
		if _, err := r.Connect(counter, handshake("count")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := counter.told(); len(got) != 1 || got[0] != "online_count 0" {
			t.Errorf("count: heard %q", got)
		}
		cancel()
		<-done
	})
}

// Run ends the watch: a store must not feed a view that nobody flushes.
func TestRunStopsWatching(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.rooms.Run(ctx); err != nil {
		t.Fatal(err)
	}
	h.far.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "a"}, UserID: "1", Data: []byte(`{}`)})
	h.cluster.Deliver()
	if got := h.rooms.Counts().Users; got != 0 {
		t.Fatalf("%d users came after the end", got)
	}
}
