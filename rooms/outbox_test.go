package rooms_test

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"

	"rollcall/rooms"
)

// The events that a call caused for its own client have been sent when the call
// returns, and so come before its acknowledgement.
func TestEventsComeBeforeTheAcknowledgement(t *testing.T) {
	h := newHouseWith(t, rooms.Options{Tracks: func() []json.RawMessage { return []json.RawMessage{[]byte("7")} }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.rooms.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	for !h.rooms.Running() {
		runtime.Gosched()
	}
	c := h.connect("a", "none")
	const name = "start_race_x"
	for range 200 {
		h.do(c, "join_stage", `{"token":"x","id":"a"}`)
		if _, err := h.rooms.Handle(c, name, nil); err != nil {
			t.Fatal(err)
		}
		if told := c.told(); !slices.ContainsFunc(told, func(line string) bool { return strings.HasPrefix(line, name) }) {
			t.Fatalf("when %s had returned, told was %q", name, told)
		}
	}
}
