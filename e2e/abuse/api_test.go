package abuse

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/e2e/program"
)

const metricsKey = "metrics-key-which-nobody-may-see"

// strangers ask the API as fast as they get answers, so many at a time, until
// the test ends or stop is called.
func (s *server) strangers(t *testing.T, many int, paths func(n int64) string, header ...string) (asked *atomic.Int64, stop func()) {
	t.Helper()
	asked = &atomic.Int64{}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: many}}
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				request, _ := http.NewRequest("GET", s.url(paths(asked.Add(1))), nil)
				for i := 0; i+1 < len(header); i += 2 {
					request.Header.Set(header[i], header[i+1])
				}
				response, err := client.Do(request)
				if err == nil {
					response.Body.Close()
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		close(done)
		asking.Wait()
		client.CloseIdleConnections()
	})
	t.Cleanup(stop)
	return asked, stop
}

// times is how long the app's own calls take, sorted.
func (s *server) times(t *testing.T, calls int) []time.Duration {
	t.Helper()
	var times []time.Duration
	for range calls {
		for _, path := range []string{"/api/users/7", "/api/rooms/r/messages"} {
			began := time.Now()
			got := s.ask("GET", path, "", "Authorization: Bearer "+apiKey)
			if got.status != http.StatusOK {
				t.Fatalf("the app's call %s: %d %s", path, got.status, got.body)
			}
			times = append(times, time.Since(began))
		}
	}
	slices.Sort(times)
	return times
}

// Strangers that ask the API without end, 200 at a time, do not hold up the
// app's own calls: these have places of their own.
func TestStrangersDoNotHoldUpTheApp(t *testing.T) {
	port, _ := startRedis(t)
	s := serve(t, "REDIS_URL=redis://:"+url.QueryEscape(redisPassword)+"@127.0.0.1:"+port, "API_KEY="+apiKey)
	before := s.times(t, 20)
	asked, stop := s.strangers(t, 200, func(n int64) string { return "/api/rooms/r" + string(rune('a'+n%26)) + "/messages" })
	program.Eventually(t, patience, "strangers ask", func() bool { return asked.Load() > 400 })
	during := s.times(t, 20)
	n := asked.Load()
	stop()
	t.Logf("the app's calls: p50 %s → %s, p99 %s → %s, while strangers asked %d times",
		quantile(before, 50), quantile(during, 50), quantile(before, 99), quantile(during, 99), n)
	checkP99(t, before, during)
}

// Wrong keys without end cost the app and others nothing either, and are slowed
// down, counted, and told in few lines.
func TestWrongKeysWithoutEnd(t *testing.T) {
	s := serve(t, "API_KEY="+apiKey, "AUTH_SECRET="+authSecret, "METRICS_KEY="+metricsKey)
	before := s.times(t, 20)
	began := time.Now()
	asked, stop := s.strangers(t, 50, func(int64) string { return "/api/users/7" }, "Authorization", "Bearer wrong-key-of-somebody")
	program.Eventually(t, patience, "strangers try", func() bool { return asked.Load() > 150 })
	during := s.times(t, 20)
	rate := float64(asked.Load()) / time.Since(began).Seconds()
	stop()
	metrics := s.ask("GET", "/metrics", "", "Authorization: Bearer "+metricsKey).body
	counted := valueOf(metrics, `rollcall_refusals_total{reason="wrong_key"}`)
	t.Logf("%.0f wrong keys a second of 50 clients, %v counted; the app's calls: p99 %s → %s", rate, counted, quantile(before, 99), quantile(during, 99))
	if rate > 300 {
		t.Errorf("%.0f wrong keys a second are answered", rate)
	}
	if counted < 100 {
		t.Errorf("%v are counted", counted)
	}
	if lines := strings.Count(s.Log.String(), "a wrong key or token was shown over HTTP"); lines == 0 || lines > 20 {
		t.Errorf("%d lines tell of them", lines)
	}
	checkP99(t, before, during)
	if got := s.ask("GET", "/metrics", ""); got.status != http.StatusUnauthorized {
		t.Errorf("/metrics without its key: %d", got.status)
	}
}

// What is revoked on one instance is refused on all, over Socket.IO and HTTP,
// until a newer token comes; what Redis forgets the instances know.
func TestRevokedTokens(t *testing.T) {
	port, _ := startRedis(t)
	vars := []string{"REDIS_URL=redis://:" + url.QueryEscape(redisPassword) + "@127.0.0.1:" + port, "API_KEY=" + apiKey, "AUTH_SECRET=" + authSecret}
	a, b := serve(t, vars...), serve(t, vars...)
	issued := func(at time.Time) string {
		return signed(fmt.Sprintf(`{"user":{"id":"7"},"iat":%d,"exp":%d}`, at.Unix(), at.Add(48*time.Hour).Unix()), authSecret)
	}
	old, timeless := issued(time.Now().Add(-time.Minute)), token(`{"id":"7"}`, authSecret, time.Now().Add(time.Hour))
	others := token(`{"id":"8"}`, authSecret, time.Now().Add(time.Hour))
	may := func(s *server, token string) bool {
		t.Helper()
		read := s.ask("GET", "/api/online_users", "", "Authorization: Bearer "+token).status == http.StatusOK
		conn, err := s.connect("token="+url.QueryEscape(token), "", nil)
		if err == nil {
			conn.Close()
		}
		if read != (err == nil) {
			t.Errorf("reading: %v, connecting: %v", read, err)
		}
		return read
	}
	for _, token := range []string{old, timeless, others} {
		if !may(a, token) || !may(b, token) {
			t.Fatal("a good token is refused")
		}
	}
	c, err := b.join("token=" + url.QueryEscape(old))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.ask("DELETE", "/api/users?id=7&revoke=true", "", "Authorization: Bearer "+apiKey); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	<-c.Gone // signed out on the other instance: from then on it knows
	for _, s := range []*server{a, b} {
		if may(s, old) || may(s, timeless) {
			t.Error("a revoked token is taken")
		}
		if !may(s, others) {
			t.Error("somebody else's token is refused")
		}
	}
	later := issued(time.Now().Add(2 * time.Second)) // the app's clock may be ahead
	if !may(a, later) || !may(b, later) {
		t.Error("a token that was issued later is refused")
	}
	if d := serve(t, vars...); may(d, old) {
		t.Error("a new instance takes a revoked token")
	}
}

// Two deployments with different prefixes on one Redis share nothing, without
// any further setting.
func TestDeploymentsOnOneRedis(t *testing.T) {
	port, _ := startRedis(t)
	redis := "REDIS_URL=redis://:" + url.QueryEscape(redisPassword) + "@127.0.0.1:" + port
	first := serve(t, redis, "API_KEY="+apiKey)
	second := serve(t, redis, "API_KEY="+apiKey, "REDIS_PREFIX=second")
	third := serve(t, redis, "API_KEY="+apiKey, "REDIS_PREFIX=second") // of the second deployment
	clients := map[*server]*client{first: first.client(t, ""), second: second.client(t, ""), third: third.client(t, "")}
	emit := func(s *server, event string) {
		t.Helper()
		if got := s.ask("POST", "/api/emit", `{"event":"`+event+`"}`, "Authorization: Bearer "+apiKey); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	for _, s := range []*server{first, second} {
		emit(s, map[*server]string{first: "of-first", second: "of-second"}[s])
	}
	program.Eventually(t, patience, "the events arrive", func() bool {
		return clients[first].received("of-first") == 1 && clients[second].received("of-second") == 1 && clients[third].received("of-second") == 1
	})
	// What goes the same way behind them has arrived: so would they have.
	for s, name := range map[*server]string{first: "last-of-first", second: "last-of-second"} {
		emit(s, name)
	}
	program.Eventually(t, patience, "the last events arrive", func() bool {
		return clients[first].received("last-of-first") == 1 && clients[third].received("last-of-second") == 1
	})
	if clients[first].received("of-second") > 0 || clients[second].received("of-first") > 0 || clients[third].received("of-first") > 0 {
		t.Error("one deployment hears the other's events")
	}
}
