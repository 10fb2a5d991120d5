package rooms_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// The events that a call caused for its own client have been sent when the call
// returns, and so come before its acknowledgement.
func TestEventsComeBeforeTheAcknowledgement(t *testing.T) {
	runInstances(t, 1, rooms.Options{Tracks: track("7")}, func(f *fixture) {
		c := f.connect(0, "a", none)
		f.settle()
		const name = "start_race_x"
		for range 200 {
			c.do("join_stage", `{"token":"x","id":"a"}`)
			c.do(name)
			if got := c.received(); !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, name) }) {
				f.t.Fatalf("when %s had returned, received was %q", name, got)
			}
		}
	})
}

// Over the outbox's bound, a publisher and the clients that send events wait until the
// flush loop has taken what is queued, or has ended.
func TestOutboxBound(t *testing.T) {
	large := rooms.Broadcast{Event: rooms.Event{Name: "large", Args: raw(`"` + strings.Repeat("x", 9<<20) + `"`)}}
	for name, makeRoom := range map[string]func(*fixture){
		"taken": (*fixture).deliver,
		"ended": func(f *fixture) { f.run()() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, rooms.Options{})
				c := f.connect(0, "a", none)
				var done atomic.Int32
				call := func(g func() error) {
					go func() {
						if err := g(); err != nil {
							t.Error(err)
						}
						done.Add(1)
					}()
					synctest.Wait()
				}
				call(func() error { return f.rooms.Emit(large) })
				if done.Load() != 1 {
					t.Fatal("a publisher waits under the bound")
				}
				call(func() error { return f.rooms.Emit(large) })
				call(func() error { _, err := c.session.Handle("heartbeat", nil, nil); return err })
				if n := done.Load(); n != 1 {
					t.Fatal(n-1, "callers go on over the bound")
				}
				makeRoom(f)
				synctest.Wait()
				if n := done.Load(); n != 3 {
					t.Error(n-1, "callers went on, of 2")
				}
			})
		})
	}
}

// An acknowledgement waits a second at most for the events that its call caused.
func TestAcknowledgementDelayIsBounded(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		c := f.register(0, "a", `{"id":1}`)
		f.settle()
		f.sender.cost = func() time.Duration { return 10 * time.Second }
		began := time.Now()
		c.do("invite", `{"id":1}`)
		if waited := time.Since(began); waited != time.Second {
			t.Error("the acknowledgement waited for", waited)
		}
	})
}

// What was on its way when a member left comes before the acknowledgement, or not at all.
func TestNothingComesAfterLeaving(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(0, "b", none)
		a.do("join", `{"room":"lobby","username":"Ann"}`)
		b.do("join", `{"room":"lobby","username":"Ben"}`)
		f.settle(a, b)
		f.sender.tamper = func(events []rooms.Event) []rooms.Event {
			time.Sleep(100 * time.Millisecond)
			return events
		}
		go b.do("typing", `{"room":"lobby"}`)
		synctest.Wait() // it is being encoded
		a.do("leave", `{"room":"lobby"}`)
		a.expectNow(`typing {"room":"lobby","username":"Ben"}`)
		f.settle()
		a.expectNow()
	})
}
