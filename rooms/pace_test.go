package rooms_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

const ms = time.Millisecond

// A moment is when a client began to be sent something, since the start.
type moment struct {
	at   time.Duration
	what string
}

// A cost is what a flush of lists takes, and one of deltas alone.
type cost struct{ lists, deltas time.Duration }

// moments runs one instance, while changes come from another, and returns what a
// client was sent.
func moments(t *testing.T, costs cost, changes func(change func(id string))) (got []moment) {
	synctest.Test(t, func(t *testing.T) {
		f, start, list := newFixture(t, rooms.Options{}), time.Now(), false
		f.sender.cost = func() time.Duration {
			defer func() { list = false }()
			if list {
				return costs.lists
			}
			return costs.deltas
		}
		f.connect(0, "watcher", "").see = func(e rooms.Event) {
			what := "deltas"
			if e.Name == "online_users" {
				what, list = "list", true
			}
			now := moment{time.Since(start), what}
			if !slices.Contains(got, now) {
				got = append(got, now)
			}
		}
		stop := f.run()
		changes(func(id string) {
			f.remote.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: id}, UserID: id, Data: []byte(`{}`)})
		})
		time.Sleep(10 * time.Second) // all that is to come has come
		if deltas, lists := f.rooms.Waiting(); deltas || lists {
			t.Error("not everything was flushed")
		}
		stop()
	})
	return got
}

func TestPacing(t *testing.T) {
	for _, c := range []struct {
		name            string
		interval, total time.Duration // of the changes
		cost            cost
		want            []moment
		slack           time.Duration // gathering asks for less the longer ago a flush cost something
	}{
		{"alone: nearly at once", 5000 * ms, 10_000 * ms, cost{100 * ms, 100 * ms}, []moment{
			{0, "deltas"}, {0, "list"},
			{5005 * ms, "deltas"}, {5005 * ms, "list"}, // waited for others,
		}, 0},
		{"a burst: deltas after 1 cost, lists after 3", 10 * ms, 500 * ms, cost{100 * ms, 100 * ms}, []moment{
			{0, "deltas"}, {0, "list"}, // until 100
			{200 * ms, "deltas"}, // until 300
			{400 * ms, "deltas"}, // the list is due too: until 500
			{400 * ms, "list"},
			{600 * ms, "deltas"}, // the last changes, until 700
			{800 * ms, "list"},
		}, 0},
		{"expensive lists, cheap deltas", 10 * ms, 100 * ms, cost{50 * ms, 10 * ms}, []moment{
			{0, "deltas"}, {0, "list"}, // until 50
			{100 * ms, "deltas"}, // the last change was at 90
			{200 * ms, "list"},
		}, 0},
		{"very expensive: 1 s at most", 10 * ms, 500 * ms, cost{2000 * ms, 2000 * ms}, []moment{
			{0, "deltas"}, {0, "list"}, // until 2 s
			{3000 * ms, "deltas"}, {3000 * ms, "list"},
		}, 0},
		{"no end of changes: lists become rare", 10 * ms, 2000 * ms, cost{6 * ms, 0}, []moment{
			{0, "list"}, {24 * ms, "list"}, {48 * ms, "list"}, {72 * ms, "list"}, // 3 times 6 ms after the end
			{96 * ms, "list"}, {402 * ms, "list"}, {708 * ms, "list"}, {1014 * ms, "list"}, // 50 times
			{1320 * ms, "list"}, {1626 * ms, "list"}, {1932 * ms, "list"}, {2238 * ms, "list"},
		}, 3 * ms},
		{"free: every change alone", 10 * ms, 30 * ms, cost{}, []moment{
			{0, "deltas"}, {0, "list"},
			{10 * ms, "deltas"}, {10 * ms, "list"},
			{20 * ms, "deltas"}, {20 * ms, "list"},
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := moments(t, c.cost, func(change func(string)) {
				for n := range int(c.total / c.interval) {
					change(fmt.Sprint("u", n))
					time.Sleep(c.interval)
				}
			})
			if len(got) > 100 { // the deltas are between
				got = slices.DeleteFunc(got, func(m moment) bool { return m.what != "list" })
			}
			within := func(a, b moment) bool { return a.what == b.what && (a.at-b.at).Abs() <= c.slack }
			if !slices.EqualFunc(got, c.want, within) {
				t.Errorf("sent\n%v\nwant\n%v", got, c.want)
			}
		})
	}
}

// Changes that come at about the same time are sent together, and where flushes
// cost nothing no change waits.
func TestGathering(t *testing.T) {
	for _, c := range []struct{ cost, apart, first, second time.Duration }{
		{8 * ms, 3 * ms, 1004 * ms, 1004 * ms},
		{8 * ms, 5 * ms, 1004 * ms, 1020 * ms}, // until 1012, and as long again
		{100 * ms, 4 * ms, 1005 * ms, 1005 * ms},
		{0, 1 * ms, 1000 * ms, 1001 * ms},
	} {
		got := moments(t, cost{c.cost, c.cost}, func(change func(string)) {
			change("a")
			time.Sleep(1000 * ms)
			change("b")
			time.Sleep(c.apart)
			change("c")
		})
		got = slices.DeleteFunc(got, func(m moment) bool { return m.what == "list" })
		want := slices.Compact([]moment{{0, "deltas"}, {c.first, "deltas"}, {c.second, "deltas"}})
		if !slices.Equal(got, want) {
			t.Errorf("flushes of %v, changes %v apart: sent at %v, want %v", c.cost, c.apart, got, want)
		}
	}
}

// What is owed without any change is flushed too, and then the loop rests.
func TestOwedIsFlushed(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		for _, presence := range []string{"both", "none"} {
			c := f.connect(0, presence, "presence="+presence)
			c.do("sync")
			synctest.Wait()
			c.expectNow("online_users []")
		}
		counter := f.connect(0, "counter", "presence=count")
		synctest.Wait()
		counter.expectNow("online_count 0")
	})
}

// When Run ends it watches neither the store nor the bus any more: nobody would
// flush what they bring.
func TestRunStopsWatching(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	c := f.connect(0, "a", none)
	f.publish(message("notice", nil, nil))
	f.run()()
	f.running = false
	f.publish(message("notice", nil, nil))
	f.remote.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "a"}, UserID: "1", Data: []byte(`{}`)})
	c.expect(notice)
	f.expectList("[]")
}
