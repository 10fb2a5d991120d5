package rooms_test

import (
	"slices"
	"strings"
	"testing"

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
