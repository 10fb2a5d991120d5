package abuse

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// token is a JWT of a user.
func token(user, secret string, expires time.Time) string {
	return signed(fmt.Sprintf(`{"user":%s,"exp":%d}`, user, expires.Unix()), secret)
}

// signed is a JWT with these claims.
func signed(claims, secret string) string {
	part := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	text := part(`{"alg":"HS256","typ":"JWT"}`) + "." + part(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// leaks names the secrets that a text contains, whole or in part.
func leaks(text string, secrets map[string]string) (found []string) {
	for name, secret := range secrets {
		spellings := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))}
		if len(secret) > 60 { // a token: its signature alone is enough
			spellings = append(spellings, secret[len(secret)-30:])
		}
		if slices.ContainsFunc(spellings, func(spelling string) bool { return strings.Contains(text, spelling) }) {
			found = append(found, name)
		}
	}
	return found
}

func TestLeaksAreFound(t *testing.T) {
	secrets := map[string]string{"password": redisPassword, "token": token(`{"id":1}`, authSecret, time.Unix(1, 0))}
	for _, text := range []string{redisPassword, "redis://:" + url.QueryEscape(redisPassword) + "@x", secrets["token"][20:]} {
		if len(leaks("x"+text+"y", secrets)) != 1 {
			t.Errorf("no leak is found in %s", text)
		}
	}
	if found := leaks("nothing", secrets); len(found) != 0 {
		t.Error(found)
	}
}

// Everything that takes a secret is used, with right and wrong ones, and Redis is
// lost; no text that leaves the server has any of them.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	setting, redis := startRedis(t)
	s := serve(t, "AUTH_SECRET="+authSecret, "API_KEY="+apiKey, setting, "LOG_LEVEL=debug",
		"RAILS_URL=http://rails:rails-password-which-nobody-may-see@127.0.0.1:1/")
	hour := time.Now().Add(time.Hour)
	secrets := map[string]string{
		"AUTH_SECRET": authSecret, "API_KEY": apiKey, "REDIS_URL": redisPassword, "RAILS_URL": "rails-password-which-nobody-may-see",
		"a good token":     token(`{"id":"ann"}`, authSecret, hour),
		"a bad token":      token(`{"id":"bob"}`, "some-other-secret-of-somebody", hour),
		"an old token":     token(`{"id":"cid"}`, authSecret, time.Now().Add(-time.Hour)),
		"a huge token":     token(`{"id":"dan","x":"`+strings.Repeat("y", 9<<10)+`"}`, authSecret, hour),
		"half a token":     token(`{"id":"eve"}`, authSecret, hour)[:70],
		"somebody's key":   "a-wrong-key-that-somebody-showed",
		"a key in the URL": "a-key-that-somebody-put-into-a-url",
	}
	var told strings.Builder // all answers
	note := func(got program.Answer) program.Answer {
		fmt.Fprintln(&told, got.Status, got.Header, got.Body)
		return got
	}
	for name, secret := range secrets {
		if !strings.Contains(name, "token") {
			continue
		}
		for where, params := range map[string][2]string{"the query": {"token=" + url.QueryEscape(secret), ""}, "auth": {"", fmt.Sprintf(`{"token":%q}`, secret)}} {
			conn, err := s.connect(params[0], params[1])
			if (err == nil) != (name == "a good token") {
				t.Errorf("%s in %s: %v", name, where, err)
			}
			fmt.Fprintln(&told, err)
			if err == nil {
				defer conn.Close()
			}
		}
	}
	s.countsRefusal("unauthorized", 8)
	emit := `{"event":"news"}`
	for what, headers := range map[string][]string{
		"no key": nil, "a wrong key": {"Authorization: Bearer " + secrets["somebody's key"]},
		"the key as another scheme": {"Authorization: Basic " + apiKey},
		"the secret as the key":     {"Authorization: Bearer " + authSecret},
	} {
		if got := note(s.Ask("POST", "/api/emit", emit, headers...)); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	for _, query := range []string{"api_key=", "key=", "access_token=", "token=", "Authorization=Bearer+"} {
		for _, key := range []string{apiKey, secrets["a key in the URL"]} {
			if got := note(s.Ask("POST", "/api/emit?"+query+url.QueryEscape(key), emit)); got.Status != http.StatusUnauthorized {
				t.Errorf("the key as ?%s…: %d %s", query, got.Status, got.Body)
			}
		}
	}
	if got := note(s.Ask("POST", "/api/emit", emit, withKey)); got.Status >= 300 {
		t.Errorf("the key is refused: %d %s", got.Status, got.Body)
	}
	look := func() {
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/online_users", "/api/users/ann", "/api/rooms/x/messages",
			"/api/openapi.json", "/nothing", "/api/nothing", "/socket.io/?EIO=4&transport=polling&token=" + secrets["a bad token"],
			"/socket.io/?token=" + secrets["a bad token"], "/debug/pprof/cmdline", "/rollcall.js"} {
			note(s.Get(path))
		}
	}
	look()
	redis.Signal(syscall.SIGKILL)
	program.Eventually(t, patience, "the loss of Redis shows", func() bool { return s.Get("/readyz").Status != http.StatusOK })
	look()
	s.endsInTime(t)

	if found := leaks(told.String(), secrets); len(found) > 0 {
		t.Errorf("answers contain %s", found)
	}
	if found := leaks(s.Log.String(), secrets); len(found) > 0 {
		t.Errorf("the log contains %s:\n%s", found, s.Log.Last(5000))
	}
	for _, word := range []string{"a token was refused", setting[len(setting)-len("127.0.0.1:00000"):]} { // else the log proves nothing
		if !strings.Contains(s.Log.String(), word) {
			t.Errorf("the log does not speak of %q:\n%s", word, s.Log.Last(3000))
		}
	}
}

// A server that cannot start says why, and no more.
func TestSecretsOfAFailedStart(t *testing.T) {
	t.Parallel()
	setting, _ := startRedis(t)
	secrets := map[string]string{"REDIS_URL": "wrong-password-of-redis", "AUTH_SECRET": "too-short", "API_KEY": apiKey}
	for name, vars := range map[string][]string{
		"a password that Redis refuses": {strings.Replace(setting, url.QueryEscape(redisPassword), "wrong-password-of-redis", 1)},
		"no port":                       {"REDIS_URL=redis://:wrong-password-of-redis@127.0.0.1:notaport"},
		"an unknown scheme":             {"REDIS_URL=radish://:wrong-password-of-redis@127.0.0.1"},
		"a secret that is too short":    {"AUTH_SECRET=too-short"},
		"a bad value beside":            {"API_KEY=" + apiKey, "MAX_USER=" + "much"},
	} {
		t.Run(name, func(t *testing.T) {
			s := program.NewServer(t, append(vars, "LOG_LEVEL=debug")...)
			s.Launch()
			program.Eventually(t, patience, "it says what is wrong", func() bool {
				return s.Ended() || strings.Contains(strings.ToLower(s.Log.String()), "redis")
			})
			if text := s.Log.String(); len(text) < 10 || len(leaks(text, secrets)) > 0 {
				t.Errorf("it says %s:\n%s", leaks(text, secrets), text)
			}
		})
	}
}

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
	var told strings.Builder // all answers
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
		if _, err := s.connect("token="+long, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, WebSocket: %v, want %s", name, err, want)
		} else {
			fmt.Fprintln(&told, err)
		}
		got := s.Get(pollingPath + "&token=" + long)
		if want == "unauthorized" {
			p := s.openPoll(4, "token="+long)
			p.post("40")
			if got = p.get(); !strings.HasPrefix(got.Body, "44{") || !strings.Contains(got.Body, want) {
				t.Errorf("%s, polling: %d %.200s, want %s", name, got.Status, got.Body, want)
			}
		} else if got.Status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s, polling: %d %.200s, want %s", name, got.Status, got.Body, want)
		}
		fmt.Fprintln(&told, got.Header, got.Body)

		// In auth a token is a message, of at most 64 KiB.
		if len(long) < 64<<10 {
			refusals++
			if _, err := s.connect("", fmt.Sprintf(`{"token":%q}`, long)); err == nil || !strings.Contains(err.Error(), "unauthorized") {
				t.Errorf("%s, in auth: %v, want unauthorized", name, err)
			} else {
				fmt.Fprintln(&told, err)
			}
		}
	}
	s.countsRefusal("unauthorized", float64(refusals))
	ann.expect(t, "", "heartbeat", "")
	hour := time.Now().Add(time.Hour)
	late := s.client(t, "token="+token(`{"id":"late"}`, authSecret, hour))
	program.Eventually(t, patience, "a client with a good token is accepted, and shown", func() bool { return ann.received("add_user") > 0 })
	late.expect(t, "", "heartbeat", "")
	if online := s.Get("/api/online_users", "Authorization: Bearer "+token(`{"id":"ann"}`, authSecret, hour)).Body; online != `[{"id":"ann"},{"id":"late"}]` {
		t.Errorf("online are %.500s", online)
	}

	if n := strings.Count(s.Log.String(), "the token is too long"); n != refusals { // else the log proves nothing
		t.Errorf("the log names %d tokens that are too long, and %d were", n, refusals)
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
