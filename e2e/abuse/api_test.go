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

// flood asks the API as fast as it answers, so many requests at a time, until the
// test ends or stop is called.
func (s *server) flood(t *testing.T, many int, path func(n int64) string, headers ...string) (asked *atomic.Int64, stop func()) {
	t.Helper()
	asked = &atomic.Int64{}
	var over atomic.Bool
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() {
			for !over.Load() {
				_, _ = s.Try("GET", path(asked.Add(1)), "", headers...)
			}
		})
	}
	stop = func() {
		over.Store(true)
		asking.Wait()
	}
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
			got := s.Get(path, withKey)
			if got.Status != http.StatusOK {
				t.Fatalf("the app's call %s: %d %s", path, got.Status, got.Body)
			}
			times = append(times, time.Since(began))
		}
	}
	slices.Sort(times)
	return times
}

// Clients that ask the API without end, 200 at a time and without the key, do not
// delay the app's own calls: these have a limit of their own.
func TestCallsWithoutTheKeyDoNotDelayTheApp(t *testing.T) {
	setting, _ := startRedis(t)
	s := serve(t, setting, "API_KEY="+apiKey)
	before := s.times(t, 20)
	asked, stop := s.flood(t, 200, func(n int64) string { return "/api/rooms/r" + string(rune('a'+n%26)) + "/messages" })
	program.Eventually(t, patience, "others ask", func() bool { return asked.Load() > 400 })
	during := s.times(t, 20)
	n := asked.Load()
	stop()
	t.Logf("the app's calls: p50 %s → %s, p99 %s → %s, while others asked %d times",
		quantile(before, 50), quantile(during, 50), quantile(before, 99), quantile(during, 99), n)
	checkP99(t, before, during)
}

// Wrong keys without end do not delay the app's calls either, and are slowed down,
// counted, and logged in few lines.
func TestWrongKeysWithoutEnd(t *testing.T) {
	s := serve(t, "API_KEY="+apiKey, "AUTH_SECRET="+authSecret, "METRICS_KEY="+metricsKey)
	before := s.times(t, 20)
	began := time.Now()
	asked, stop := s.flood(t, 50, func(int64) string { return "/api/users/7" }, "Authorization: Bearer wrong-key-of-somebody")
	program.Eventually(t, patience, "wrong keys are tried", func() bool { return asked.Load() > 150 })
	during := s.times(t, 20)
	rate := float64(asked.Load()) / time.Since(began).Seconds()
	stop()
	metrics := s.Get("/metrics", "Authorization: Bearer "+metricsKey).Body
	counted := valueOf(metrics, `rollcall_refusals_total{reason="wrong_key"}`)
	t.Logf("%.0f wrong keys a second of 50 clients, %v counted; the app's calls: p99 %s → %s", rate, counted, quantile(before, 99), quantile(during, 99))
	if rate > 300 {
		t.Errorf("%.0f wrong keys a second are answered", rate)
	}
	if counted < 100 {
		t.Errorf("%v are counted", counted)
	}
	if lines := strings.Count(s.Log.String(), "a wrong key or token was shown over HTTP"); lines == 0 || lines > 20 {
		t.Errorf("%d lines are logged", lines)
	}
	checkP99(t, before, during)
	if got := s.Get("/metrics"); got.Status != http.StatusUnauthorized {
		t.Errorf("/metrics without its key: %d", got.Status)
	}
}

// Tokens that are revoked on one instance are refused on all, over Socket.IO and
// HTTP, also on one that starts later; a newer token is accepted.
func TestRevokedTokens(t *testing.T) {
	setting, _ := startRedis(t)
	vars := []string{setting, "API_KEY=" + apiKey, "AUTH_SECRET=" + authSecret}
	a, b := serve(t, vars...), serve(t, vars...)
	issued := func(at time.Time) string {
		return signed(fmt.Sprintf(`{"user":{"id":"7"},"iat":%d,"exp":%d}`, at.Unix(), at.Add(48*time.Hour).Unix()), authSecret)
	}
	old, timeless := issued(time.Now().Add(-time.Minute)), token(`{"id":"7"}`, authSecret, time.Now().Add(time.Hour))
	others := token(`{"id":"8"}`, authSecret, time.Now().Add(time.Hour))
	may := func(s *server, token string) bool {
		t.Helper()
		read := s.Get("/api/online_users", "Authorization: Bearer "+token).Status == http.StatusOK
		conn, err := s.connect("token="+url.QueryEscape(token), "")
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
	c := b.client(t, "token="+url.QueryEscape(old))
	if got := a.Ask("DELETE", "/api/users?id=7&revoke=true", "", withKey); got.Status != http.StatusOK {
		t.Fatalf("%d %s", got.Status, got.Body)
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
	redis, _ := startRedis(t)
	first := serve(t, redis, "API_KEY="+apiKey)
	second := serve(t, redis, "API_KEY="+apiKey, "REDIS_PREFIX=second")
	third := serve(t, redis, "API_KEY="+apiKey, "REDIS_PREFIX=second") // of the second deployment
	clients := map[*server]*client{first: first.client(t, ""), second: second.client(t, ""), third: third.client(t, "")}
	first.emit(`{"event":"of-first"}`)
	second.emit(`{"event":"of-second"}`)
	// What goes the same way after them has arrived: so would they have.
	first.emit(`{"event":"last-of-first"}`)
	second.emit(`{"event":"last-of-second"}`)
	for s, c := range clients {
		own, other := "first", "second"
		if s != first {
			own, other = other, own
		}
		program.Eventually(t, patience, "the last event arrives", func() bool { return c.received("last-of-"+own) == 1 })
		if c.received("of-"+own) != 1 || c.received("of-"+other, "last-of-"+other) != 0 {
			t.Errorf("a client of the %s deployment received %v", own, c.events)
		}
	}
}
