package wire

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A client that sends too much over polling is told so, also in a chunked body.
func TestTooLargeOverPolling(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{MaxMessage: 1000, MaxBody: 10_000})
		for size, want := range map[int]string{2000: "MAX_MESSAGE", 20_000: "MAX_BODY"} {
			p, err := pollJoin(base, protocol, "")
			if err != nil {
				t.Fatal(err)
			}
			text := p.join(`42["mark","` + strings.Repeat("x", size) + `"]`)
			status, answer, err := p.request(http.MethodPost, "", io.MultiReader(strings.NewReader(text)), "text/plain")
			if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, want) {
				t.Errorf("protocol %d, %d bytes: %d %q, %v", protocol, size, status, answer, err)
			}
		}
	}
}
