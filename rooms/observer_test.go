package rooms_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// A recorder keeps what an observer is told. Only the flush loop calls it while
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

// What the flush loop tells is what the sockets got, and how long it rested.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cost = 400 * time.Millisecond
		seen := newRecorder()
		r := rooms.New(rooms.Options{Observer: seen}, memory.New(),
			&fakeSender{cost: func([]rooms.Delivery) time.Duration { return cost }})
		both, changes, counting := &fakeConn{id: "b"}, &fakeConn{id: "c"}, &fakeConn{id: "n"}
		for c, presence := range map[*fakeConn]string{both: "both", changes: "changes", counting: "count"} {
			if _, err := r.Connect(c, handshake(presence)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = r.Run(ctx) }()
		synctest.Wait()
		for _, c := range []*fakeConn{both, changes} {
			if _, err := r.Handle(c, "register", raw([]string{`{"id":"` + c.id + `"}`})); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // of the bubble: whatever is due has been sent
		}
		if _, err := r.Handle(both, "join", raw([]string{`{"room":"x"}`})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		cancel()
		<-ended

		got := map[string]int{}
		for _, c := range []*fakeConn{both, changes, counting} {
			events, _ := c.take()
			for _, e := range events {
				got[e.Name]++
			}
		}
		if diff := cmp.Diff(got, seen.sent); diff != "" || got["add_user"] == 0 || got["online_count"] == 0 || got["user_list"] == 0 {
			t.Errorf("sent (-to the sockets +observed):\n%s", diff)
		}
		if kinds := slices.Sorted(maps.Keys(seen.pauses)); !slices.Equal(kinds, []string{"changes", "list", "rosters"}) {
			t.Errorf("pauses of %v", kinds)
		}
		if !slices.Contains(seen.flushes["list"], cost) || len(seen.flushes["rosters"]) == 0 {
			t.Errorf("flushes %v", seen.flushes)
		}
		// 400 ms: as long again for deltas, three times that for lists, 1 s at most.
		if !slices.Contains(seen.pauses["changes"], cost) || !slices.Contains(seen.pauses["list"], time.Second) {
			t.Errorf("pauses %v", seen.pauses)
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
		seen := newRecorder()
		bus := &memory.Bus{}
		r := rooms.New(rooms.Options{Observer: seen, Bus: bus}, memory.New(), &fakeSender{})
		if _, err := r.Connect(&fakeConn{id: "a"}, rooms.Handshake{}); err != nil {
			t.Fatal(err)
		}
		bus.Publish(rooms.Broadcast{Event: rooms.Event{Name: event, Args: []json.RawMessage{[]byte("1")}}})
		r.Deliver()
		if diff := cmp.Diff(map[string]int{want: 1}, seen.sent); diff != "" {
			t.Errorf("%s: %s", event, diff)
		}
		if event != want && !slices.Contains(known, want) {
			t.Errorf("%s is not among %v", want, known)
		}
	}
}
