package abuse

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/e2e/program"
)

const (
	maxToken = 8 << 10 // what a token may have in bytes
	// What a request's line and headers may have, about: 4 KiB more if it is not
	// the first of its connection, since Go has read on by then.
	minHeaders, maxHeaders = 19 << 10, 25 << 10
)

// longToken is the longest good token of at most so many bytes.
func longToken(user string, size int) string {
	hour := time.Now().Add(time.Hour)
	made := func(pad int) string { // with a claim that nobody asks for
		return token(fmt.Sprintf(`%s,"pad":%q`, user, strings.Repeat("y", pad)), authSecret, hour)
	}
	pad := (size - len(made(0))) * 3 / 4
	for len(made(pad+1)) <= size {
		pad++
	}
	for len(made(pad)) > size {
		pad--
	}
	return made(pad)
}

// A token that is too long is refused, however good, and so is a request that
// is too long for it: by an answer that says so. The log has nothing of either,
// and the others do not feel it.
func TestLongTokens(t *testing.T) {
	t.Parallel()
	s := serve(t, "AUTH_SECRET="+authSecret, "LOG_LEVEL=debug")
	ann := s.client(t, "token="+url.QueryEscape(longToken(`{"id":"ann"}`, maxToken)))
	tokens := map[string]string{
		"a byte or two over the limit": longToken(`{"id":"bob"}`, maxToken+2),
		"as long as a request may be":  longToken(`{"id":"cid"}`, minHeaders),
		"longer than a request may be": longToken(`{"id":"dan"}`, maxHeaders),
		"much longer":                  longToken(`{"id":"eve"}`, 60<<10),
		"longer than anything":         longToken(`{"id":"fay"}`, 2*mib),
	}
	var told strings.Builder // all that anybody was answered
	refusals := 0
	for name, long := range tokens {
		if len(long) <= maxToken {
			t.Errorf("%s: %d bytes", name, len(long))
		}
		want := "unauthorized"
		if len(long) > minHeaders {
			want = "431 Request Header Fields Too Large"
		} else {
			refusals += 2
		}
		if _, err := s.connect("token="+long, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, WebSocket: %v, want %s", name, err, want)
		} else {
			fmt.Fprintln(&told, err)
		}
		path := "/socket.io/?EIO=4&transport=polling&token=" + long
		got := s.ask("GET", path, "")
		if want == "unauthorized" {
			_, sid, _ := strings.Cut(got.body, `"sid":"`)
			sid, _, _ = strings.Cut(sid, `"`)
			path = "/socket.io/?EIO=4&transport=polling&sid=" + sid
			s.ask("POST", path, "40")
			if got = s.ask("GET", path, ""); !strings.HasPrefix(got.body, "44{") || !strings.Contains(got.body, want) {
				t.Errorf("%s, polling: %d %.200s, want %s", name, got.status, got.body, want)
			}
		} else if got.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s, polling: %d %.200s, want %s", name, got.status, got.body, want)
		}
		fmt.Fprintln(&told, got.header, got.body)

		// In auth a token is a message, of at most 64 KiB.
		if len(long) < 64<<10 {
			refusals++
			if _, err := s.connect("", fmt.Sprintf(`{"token":%q}`, long), nil); err == nil || !strings.Contains(err.Error(), "unauthorized") {
				t.Errorf("%s, in auth: %v, want unauthorized", name, err)
			} else {
				fmt.Fprintln(&told, err)
			}
		}
	}
	s.countsRefusal("unauthorized", float64(refusals))

	ann.expect(t, "", "heartbeat", "")
	late := s.client(t, "token="+token(`{"id":"late"}`, authSecret, time.Now().Add(time.Hour)))
	program.Eventually(t, patience, "who has a good token is let in, and shown", func() bool { return ann.received("add_user") > 0 })
	late.expect(t, "", "heartbeat", "")
	if online := s.ask("GET", "/api/online_users", "", "Authorization: Bearer "+token(`{"id":"ann"}`, authSecret, time.Now().Add(time.Hour))).body; online != `[{"id":"ann"},{"id":"late"}]` {
		t.Errorf("online are %.500s", online)
	}

	if n := strings.Count(s.Log.String(), "the token is too long"); n != refusals { // else the log proves nothing
		t.Errorf("the log speaks of %d tokens that are too long, and %d were", n, refusals)
	}
	for name, long := range tokens {
		for where, text := range map[string]string{"the log": s.Log.String(), "an answer": told.String()} {
			for _, piece := range []string{long[len(long)-30:], long[40:70], long[len(long)/2:][:30]} {
				if strings.Contains(text, piece) {
					t.Errorf("%s has a part of a token that is %s: %s", where, name, piece)
				}
			}
		}
	}
}
