package adaptertest

import (
	"context"
	"fmt"
	"time"

	"rollcall/rooms"
)

func (s *suite) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), s.patience)
}

func (s *suite) lastActive(i int, user string) int64 {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	at, err := s.stores[i].LastActive(ctx, user)
	if err != nil {
		s.Fatalf("last activity of %q: %v", user, err)
	}
	return at
}

// awaitActive waits until every instance knows when a user was active.
func (s *suite) awaitActive(user string, what string, met func(at int64) bool) {
	s.Helper()
	deadline := time.Now().Add(s.patience)
	for i := range s.stores {
		for at := s.lastActive(i, user); !met(at); at = s.lastActive(i, user) {
			if time.Now().After(deadline) {
				s.Fatalf("instance %d says %q was last active at %d, want %s", i, user, at, what)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func (s *suite) awaitActiveAt(user string, want int64) {
	s.Helper()
	s.awaitActive(user, fmt.Sprint(want), func(at int64) bool { return at == want })
}

const day = 24 * 60 * 60 * 1000

func activity(s *suite) {
	now := time.Now().UnixMilli()
	store := s.stores[0]
	for n := range 1500 { // more than one call carries
		store.Touch(fmt.Sprintf("user %d", n), now-int64(n))
	}
	store.Touch("ü \"{}\\\x00", now-7)
	store.Touch("back", now-5)
	store.Touch("back", now-9) // time does not go back
	store.Touch("old", now-31*day)
	store.Touch("less old", now-29*day)
	store.Touch("future", now+day)
	for n := range 1500 {
		s.awaitActiveAt(fmt.Sprintf("user %d", n), now-int64(n))
	}
	s.awaitActiveAt("ü \"{}\\\x00", now-7)
	s.awaitActiveAt("back", now-5)
	s.awaitActiveAt("less old", now-29*day)
	s.awaitActiveAt("old", 0)
	s.awaitActiveAt("nobody", 0)
	s.awaitActive("future", "now", func(at int64) bool { return at >= now && at <= time.Now().UnixMilli() })
	s.stores[len(s.stores)-1].Touch("back", now-3)
	s.awaitActiveAt("back", now-3)
}

func activityShown(s *suite) {
	started := time.Now().UnixMilli()
	since := func(at int64) bool { return at >= started && at <= time.Now().UnixMilli()+1000 }
	register := func(socket, user, data string, status rooms.Status) rooms.Entry {
		e := entry(0, socket, data, 1)
		e.UserID, e.Status = user, status
		s.stores[0].Put(e)
		return e
	}
	register("a", "comes", `{}`, "")
	s.awaitActive("comes", "now", since)

	// Hiding, or being hidden, is not shown.
	register("b", "hidden", `{}`, rooms.Hidden)
	register("b", "hidden", `{"n":2}`, rooms.Hidden)
	// Nobody need be there for a status to change.
	old := started - 5000
	e := register("c", "away", `{}`, rooms.Hidden)
	s.stores[0].Touch("away", old)
	e.List = rooms.RoomList("1") // nor is another list the user's
	e.Status = rooms.Active
	s.stores[0].Put(e)
	// Known by the socket alone.
	register("socket", "socket", `{}`, "")
	s.stores[0].Touch("socket", started)
	// Whatever was noted until here has been when this is known.
	register("d", "last", `{}`, "")
	s.awaitActive("last", "now", since)
	s.awaitActiveAt("away", old)
	s.awaitActiveAt("hidden", 0)
	s.awaitActiveAt("socket", 0)

	register("b", "hidden", `{"n":2}`, rooms.Away) // not any more
	s.awaitActive("hidden", "now", since)

	register("e", "status", `{}`, rooms.Active)
	s.awaitActive("status", "now", since)
	at := s.lastActive(0, "status")
	for time.Now().UnixMilli() == at {
		time.Sleep(time.Millisecond) // the clock's own pace
	}
	register("e", "status", `{}`, rooms.Away)
	register("f", "after", `{}`, "")
	s.awaitActive("after", "now", since)
	s.awaitActiveAt("status", at)
	changed := time.Now().UnixMilli()
	register("e", "status", `{"n":2}`, rooms.Away)
	s.awaitActive("status", "the change of data", func(at int64) bool { return at >= changed })
}
