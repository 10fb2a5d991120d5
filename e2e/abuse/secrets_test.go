package abuse

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/e2e/program"
)

const (
	authSecret    = "auth-secret-which-nobody-may-see"
	apiKey        = "api-key-which-nobody-may-see"
	redisPassword = "redis+password/which%nobody-may-see"
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
		for _, spelling := range spellings {
			if strings.Contains(text, spelling) {
				found = append(found, name)
				break
			}
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

// startRedis starts a redis-server with a password.
func startRedis(t *testing.T) (port string, p *program.Process) {
	t.Helper()
	port = program.FreePort(t)
	p = program.Launch(t, newLog(), nil, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no", "--requirepass", redisPassword)
	return port, p
}

// Everything that knows a secret is used, rightly and wrongly, and Redis is lost;
// then no text that leaves the server has any of them.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	port, redis := startRedis(t)
	redisURL := "redis://:" + url.QueryEscape(redisPassword) + "@127.0.0.1:" + port
	s := serve(t, "AUTH_SECRET="+authSecret, "API_KEY="+apiKey, "REDIS_URL="+redisURL, "LOG_LEVEL=debug",
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
	var told strings.Builder // all that anybody was answered
	note := func(got answer) answer {
		fmt.Fprintln(&told, got.status, got.header, got.body)
		return got
	}
	for name, secret := range secrets {
		if !strings.Contains(name, "token") {
			continue
		}
		good := name == "a good token"
		conn, err := s.connect("token="+url.QueryEscape(secret), "", nil)
		if (err == nil) != good {
			t.Errorf("%s in the query: %v", name, err)
		}
		fmt.Fprintln(&told, err)
		if err == nil {
			defer conn.Close()
		}
		conn, err = s.connect("", fmt.Sprintf(`{"token":%q}`, secret), nil)
		if (err == nil) != good {
			t.Errorf("%s in auth: %v", name, err)
		}
		fmt.Fprintln(&told, err)
		if err == nil {
			defer conn.Close()
		}
	}
	s.countsRefusal("unauthorized", 8)

	emit := `{"event":"news"}`
	for what, headers := range map[string][]string{
		"no key": nil, "a wrong key": {"Authorization: Bearer " + secrets["somebody's key"]},
		"the key as another scheme": {"Authorization: Basic " + apiKey},
		"the secret as the key":     {"Authorization: Bearer " + authSecret},
	} {
		if got := note(s.ask("POST", "/api/emit", emit, headers...)); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	for _, query := range []string{"api_key=", "key=", "access_token=", "token=", "Authorization=Bearer+"} {
		for _, key := range []string{apiKey, secrets["a key in the URL"]} {
			if got := note(s.ask("POST", "/api/emit?"+query+url.QueryEscape(key), emit)); got.status != http.StatusUnauthorized {
				t.Errorf("the key as ?%s…: %d %s", query, got.status, got.body)
			}
		}
	}
	if got := note(s.ask("POST", "/api/emit", emit, "Authorization: Bearer "+apiKey)); got.status >= 300 {
		t.Errorf("the key is refused: %d %s", got.status, got.body)
	}
	look := func() {
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/online_users", "/api/users/ann", "/api/rooms/x/messages",
			"/api/openapi.json", "/nothing", "/api/nothing", "/socket.io/?EIO=4&transport=polling&token=" + secrets["a bad token"],
			"/socket.io/?token=" + secrets["a bad token"], "/debug/pprof/cmdline", "/rollcall.js"} {
			note(s.ask("GET", path, ""))
		}
	}
	look()
	redis.Signal(syscall.SIGKILL)
	program.Eventually(t, patience, "the loss of Redis shows", func() bool { return s.ask("GET", "/readyz", "").status != http.StatusOK })
	look()
	s.Signal(syscall.SIGTERM)
	program.Eventually(t, patience, "the server ends", s.Ended)

	if found := leaks(told.String(), secrets); len(found) > 0 {
		t.Errorf("answers contain %s", found)
	}
	if found := leaks(s.Log.String(), secrets); len(found) > 0 {
		t.Errorf("the log contains %s:\n%s", found, s.Log.Last(5000))
	}
	for _, word := range []string{"a token was refused", "127.0.0.1:" + port} { // else the log proves nothing
		if !strings.Contains(s.Log.String(), word) {
			t.Errorf("the log does not speak of %q:\n%s", word, s.Log.Last(3000))
		}
	}
}

// A server that cannot start says why, and no more.
func TestSecretsOfAFailedStart(t *testing.T) {
	t.Parallel()
	port, _ := startRedis(t)
	secrets := map[string]string{"REDIS_URL": "wrong-password-of-redis", "AUTH_SECRET": "too-short", "API_KEY": apiKey}
	for name, vars := range map[string][]string{
		"a password that Redis refuses": {"REDIS_URL=redis://:wrong-password-of-redis@127.0.0.1:" + port},
		"no port":                       {"REDIS_URL=redis://:wrong-password-of-redis@127.0.0.1:notaport"},
		"an unknown scheme":             {"REDIS_URL=radish://:wrong-password-of-redis@127.0.0.1"},
		"a secret that is too short":    {"AUTH_SECRET=too-short"},
		"a bad value beside":            {"API_KEY=" + apiKey, "MAX_USER=" + "much"},
	} {
		t.Run(name, func(t *testing.T) {
			p := program.Launch(t, newLog(), append([]string{"HOST=127.0.0.1", "PORT=" + program.FreePort(t), "LOG_LEVEL=debug"}, vars...), binary)
			program.Eventually(t, patience, "it says what is wrong", func() bool {
				return p.Ended() || strings.Contains(p.Log.String(), "WRONGPASS") || strings.Contains(strings.ToLower(p.Log.String()), "redis")
			})
			if found := leaks(p.Log.String(), secrets); len(found) > 0 {
				t.Errorf("it says %s:\n%s", found, p.Log.String())
			}
			if len(p.Log.String()) < 10 {
				t.Errorf("it says nothing: %q", p.Log.String())
			}
		})
	}
}
