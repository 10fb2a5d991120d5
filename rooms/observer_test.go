package rooms_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/rooms"
)

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
