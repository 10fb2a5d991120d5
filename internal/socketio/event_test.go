package socketio

import (
	"strings"
	"testing"

	"rollcall/internal/engineio"
)

// A client is not sent back more of an event's name than any event has: as JSON it
// could be six times as long.
func TestLongNamesAreNotEchoed(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 100}})
	c := mustJoin(t, base, 4, "")
	for range 20 { // the last ones are over the rate
		for _, name := range []string{strings.Repeat("<", 60_000), "x" + strings.Repeat("é", 30_000)} {
			c.Send(`42["` + name + `"]`)
			got, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, "rollcall_error") || len(got) > 6*maxName+200 || strings.Contains(got, "\uFFFD") || strings.Contains(got, `\ufffd`) {
				t.Fatalf("%d bytes: %.100q", len(got), got)
			}
		}
	}
	if got := shorten(strings.Repeat("x", maxName)); len(got) != maxName {
		t.Errorf("a name that is not too long has %d bytes", len(got))
	}
}
