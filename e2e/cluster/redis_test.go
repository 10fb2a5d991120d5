package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/e2e/program"
)

var background = context.Background()

// A redisServer is one redis-server, which may be stopped and started again on
// its port. It writes its data to disk only when it is told to.
type redisServer struct {
	*program.Process
	t      testing.TB
	dir    string
	port   string
	log    *program.Log  // of all its processes
	vars   []string      // of its environment
	client *redis.Client // directly, whatever lies between it and the instances
}

func startRedis(t testing.TB, vars ...string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, dir: t.TempDir(), port: program.FreePort(t), log: &program.Log{}, vars: vars}
	s.client = redis.NewClient(&redis.Options{Addr: s.address(), Protocol: 2, DisableIdentity: true,
		MaxRetries: -1, ReadTimeout: patience})
	t.Cleanup(func() { s.client.Close() })
	s.start()
	return s
}

func (s *redisServer) address() string { return "127.0.0.1:" + s.port }

// start starts the server with what is on disk, and waits until it answers.
func (s *redisServer) start() {
	s.t.Helper()
	s.Process = program.StartRedis(s.t, s.log, s.port, s.vars, "--dir", s.dir, "--enable-debug-command", "yes")
	if err := program.Wait(patience, func() bool { return s.Ended() || s.client.Ping(background).Err() == nil }); err != nil || s.Ended() {
		s.t.Fatalf("redis-server does not run: %v\n%s", err, s.Log.Last(2000))
	}
}

// do runs a command, which must succeed.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	reply, err := s.client.Do(background, args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("redis: %v: %v", args, err)
	}
	return reply
}

// save puts the data to disk.
func (s *redisServer) save() { s.do("SAVE") }

// shutdown ends the server in order, with its data saved.
func (s *redisServer) shutdown() {
	s.save()
	s.Signal(syscall.SIGTERM)
	<-s.Gone
}

// wipe deletes what is on disk.
func (s *redisServer) wipe() {
	if err := os.Remove(filepath.Join(s.dir, "dump.rdb")); err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
}

// killConnections closes all of them, but this one.
func (s *redisServer) killConnections() (n int64) {
	for _, kind := range []string{"normal", "pubsub"} {
		killed, _ := s.do("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").(int64)
		n += killed
	}
	return n
}

// sleep has the server do nothing for a while. awake waits until that is over.
func (s *redisServer) sleep(seconds float64) (awake func()) {
	over := make(chan error, 1)
	go func() { over <- s.client.Do(background, "DEBUG", "SLEEP", fmt.Sprint(seconds)).Err() }()
	return func() {
		s.t.Helper()
		if err := <-over; err != nil {
			s.t.Errorf("DEBUG SLEEP: %v", err)
		}
	}
}

// trim empties every stream.
func (s *redisServer) trim() {
	for _, key := range s.client.Keys(background, "*").Val() {
		if s.client.Type(background, key).Val() == "stream" {
			s.do("XTRIM", key, "MAXLEN", "0")
		}
	}
}

// now is Redis' clock.
func (s *redisServer) now() time.Time {
	s.t.Helper()
	now, err := s.client.Time(background).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return now
}

// entries are those of the shared map.
func (s *redisServer) entries() []string {
	s.t.Helper()
	values, err := s.client.HVals(background, "{rollcall}:users").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return values
}

// has reports whether the shared map has an entry with a text in it.
func (s *redisServer) has(text string) bool {
	s.t.Helper()
	return slices.ContainsFunc(s.entries(), func(v string) bool { return strings.Contains(v, text) })
}

// differs says how what Rails may read there, the map of sockets and the set of
// users, differs from the truth, "" if it does not.
func (s *redisServer) differs(truth map[string]string) string {
	s.t.Helper()
	shared, online := view{users: make(map[string]string)}, view{users: make(map[string]string)}
	for _, entry := range s.entries() {
		var e struct{ User json.RawMessage }
		if err := json.Unmarshal([]byte(entry), &e); err != nil {
			return fmt.Sprintf("an entry is %q: %v", entry, err)
		}
		shared.users[idOf(e.User)] = string(e.User)
	}
	for _, id := range s.client.ZRange(background, "{rollcall}:online", 0, -1).Val() {
		online.users[id] = truth[id]
	}
	if difference := shared.differs(truth); difference != "" {
		return "the map of Redis " + difference
	} else if difference := online.differs(truth); difference != "" {
		return "the set of users in Redis " + difference
	}
	return ""
}

// leases is the instances and when their leases end, by Redis' clock.
func (s *redisServer) leases() map[string]int64 {
	s.t.Helper()
	rows, err := s.client.ZRangeWithScores(background, "{rollcall}:instances", 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	leases := make(map[string]int64)
	for _, row := range rows {
		leases[row.Member.(string)] = int64(row.Score)
	}
	return leases
}

// idOf is the id under which an instance holds its lease, "" if it holds none.
func (s *redisServer) idOf(name string) string {
	s.t.Helper()
	for id := range s.leases() {
		if strings.HasPrefix(id, name+"-") {
			return id
		}
	}
	return ""
}

// leftOf waits until nothing of an instance is left where Rails reads, and says
// what is, if it takes longer.
func (s *redisServer) leftOf(id string, within time.Duration) (left string) {
	_ = program.Wait(within, func() bool {
		left = ""
		if _, ok := s.leases()[id]; ok {
			left = "there is still the lease"
		} else if s.has(`"` + id + `"`) {
			left = "there are still entries"
		}
		return left == ""
	})
	return left
}

// awaitRenewal returns when all of these instances have renewed their leases.
func (s *redisServer) awaitRenewal(names ...string) {
	s.t.Helper()
	before := s.leases()
	program.Eventually(s.t, patience, fmt.Sprintf("renewals of %v", names), func() bool {
		now := s.leases()
		return !slices.ContainsFunc(names, func(name string) bool { return now[s.idOf(name)] <= before[s.idOf(name)] })
	})
}

// skewSource is a library that moves a C program's clock. Go programs ask the
// kernel itself, so it is Redis' clock that is moved.
const skewSource = `
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
	struct timespec ts;
	int r = syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts);
	(void)tz;
	tv->tv_sec = ts.tv_sec + SKEW;
	tv->tv_usec = ts.tv_nsec / 1000;
	return r;
}
`

// skewedClock is the environment of a program whose clock is off by seconds.
func skewedClock(t testing.TB, seconds int) []string {
	t.Helper()
	source, library := filepath.Join(t.TempDir(), "skew.c"), filepath.Join(t.TempDir(), "skew.so")
	if err := os.WriteFile(source, []byte(skewSource), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-shared", "-fPIC", fmt.Sprintf("-DSKEW=(%d)", seconds), "-o", library, source).CombinedOutput()
	if err != nil {
		t.Fatalf("This test needs gcc and libc6-dev: %v\n%s", err, out)
	}
	return []string{"LD_PRELOAD=" + library}
}
