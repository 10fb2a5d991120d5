package adaptertest

import (
	"testing"
	"time"
)

// Patience is how long tests wait for a condition. It is generous, because a
// busy machine may take long: how soon something has to be right is held by the
// simulation of the Redis store, in virtual time.
const Patience = 30 * time.Second

// Eventually waits until a condition is met, and fails the test if it never is.
func Eventually(t testing.TB, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v there is still not: %s", Patience, what)
		}
	}
}
