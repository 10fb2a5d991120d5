package abuse

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Forty anonymous connections fill room after room, more than all histories may
// take. The history of a room that they were never in stays, though it was made
// at the same address and nobody uses it meanwhile.
func TestHistoryIsNotPushedOut(t *testing.T) {
	t.Parallel()
	s := serve(t, "EVENTS_PER_SECOND=0")
	calm := s.client(t, "presence=none")
	calm.expect(t, "", "join", `{"room":"calm","username":"ann"}`)
	for n := range 50 {
		calm.expect(t, "", "message", fmt.Sprintf(`{"room":"calm","content":"message %d","nonce":"%d"}`, n, n))
	}
	kept := func(room string) int {
		var all []any
		if err := json.Unmarshal([]byte(s.ask("GET", "/api/rooms/"+room+"/messages", "").body), &all); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := s.metric(resident)
	content := strings.Repeat("漢", 4000) // 12,000 bytes
	var talking sync.WaitGroup
	for k := range 40 {
		c := s.client(t, "presence=none")
		talking.Go(func() {
			for n := range 200 { // 96 MB in all
				room := fmt.Sprintf("loud-%d-%d", k, n/50)
				if n%50 == 0 {
					c.expect(t, "", "join", fmt.Sprintf(`{"room":%q}`, room))
				}
				c.expect(t, "", "message", fmt.Sprintf(`{"room":%q,"content":%q}`, room, content))
			}
		})
	}
	talking.Wait()
	if n := kept("calm"); n != 50 {
		t.Errorf("of the calm room %d messages are kept, want 50", n)
	}
	if n, m := kept("loud-0-0"), kept("loud-0-3"); n != 0 || m != 50 {
		t.Errorf("of the oldest and the latest room of one of them %d and %d messages are kept, want none and 50", n, m)
	}
	calm.expect(t, "", "message", `{"room":"calm","content":"and on","nonce":"49"}`) // sent again
	calm.expect(t, "", "message", `{"room":"calm","content":"and on"}`)
	if n := kept("calm"); n != 51 {
		t.Errorf("of the calm room %d messages are kept, want 51", n)
	}
	after := s.metric(resident)
	t.Logf("resident %.0f MiB before, %.0f MiB after", before/mib, after/mib)
	if after > before+250*mib {
		t.Errorf("the server has %.0f MiB", after/mib)
	}
}
