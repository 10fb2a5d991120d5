package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/e2e/program"
)

// A redisServer is one redis-server, which may be stopped and started again on
// its port. It writes its data to disk only when it is told to.
type redisServer struct {
	*program.Process
	t      testing.TB
	dir    string
	port   string
	vars   []string      // of its environment
	client *redis.Client // directly, whatever lies between it and the instances
}

func startRedis(t testing.TB, vars ...string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, dir: t.TempDir(), port: program.FreePort(t), vars: vars}
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
	log := &program.Log{}
	if s.Process != nil {
		log = s.Log
	}
	s.Process = program.Launch(s.t, log, s.vars, "redis-server", "--port", s.port, "--bind", "127.0.0.1",
		"--dir", s.dir, "--save", "", "--appendonly", "no", "--enable-debug-command", "yes")
	if err := program.Wait(patience, func() bool {
		return s.Ended() || s.client.Ping(context.Background()).Err() == nil
	}); err != nil || s.Ended() {
		s.t.Fatalf("redis-server does not run: %v\n%s", err, s.Log.Last(2000))
	}
}

// do runs a command, which must succeed.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	reply, err := s.client.Do(context.Background(), args...).Result()
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

// killClients closes all connections of a type but the one that says so.
func (s *redisServer) killClients(kind string) int64 {
	n, _ := s.do("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").(int64)
	return n
}

// sleep has the server do nothing for a while. awake waits until that is over.
func (s *redisServer) sleep(seconds float64) (awake func()) {
	over := make(chan error, 1)
	go func() { over <- s.client.Do(context.Background(), "DEBUG", "SLEEP", fmt.Sprint(seconds)).Err() }()
	return func() {
		s.t.Helper()
		if err := <-over; err != nil {
			s.t.Errorf("DEBUG SLEEP: %v", err)
		}
	}
}

// trim empties every stream.
func (s *redisServer) trim() {
	for _, key := range s.client.Keys(context.Background(), "*").Val() {
		if s.client.Type(context.Background(), key).Val() == "stream" {
			s.do("XTRIM", key, "MAXLEN", "0")
		}
	}
}

// now is Redis' clock.
func (s *redisServer) now() time.Time {
	s.t.Helper()
	now, err := s.client.Time(context.Background()).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return now
}

// has reports whether the shared map has an entry with a text in it.
func (s *redisServer) has(text string) bool {
	s.t.Helper()
	values, err := s.client.HVals(context.Background(), "{rollcall}:users").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, text) })
}

// differs says how what Rails may read there differs from the truth, "" if it
// does not: the map of sockets and the set of users.
func (s *redisServer) differs(truth map[string]string) string {
	s.t.Helper()
	entries, err := s.client.HVals(context.Background(), "{rollcall}:users").Result()
	if err != nil {
		return err.Error()
	}
	shared := view{users: make(map[string]string)}
	for _, entry := range entries {
		var e struct{ User json.RawMessage }
		if err := json.Unmarshal([]byte(entry), &e); err != nil {
			return fmt.Sprintf("an entry is %q: %v", entry, err)
		}
		shared.users[idOf(e.User)] = string(e.User)
	}
	if difference := shared.differs(truth); difference != "" {
		return "the map of Redis " + difference
	}
	ids, err := s.client.ZRange(context.Background(), "{rollcall}:online", 0, -1).Result()
	if err != nil {
		return err.Error()
	}
	online := view{users: make(map[string]string)}
	for _, id := range ids {
		online.users[id] = truth[id]
	}
	if difference := online.differs(truth); difference != "" {
		return "the set of users in Redis " + difference
	}
	return ""
}

// leases is the instances and when their leases end, by Redis' clock.
func (s *redisServer) leases() map[string]int64 {
	s.t.Helper()
	rows, err := s.client.ZRangeWithScores(context.Background(), "{rollcall}:instances", 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	leases := make(map[string]int64)
	for _, row := range rows {
		leases[row.Member.(string)] = int64(row.Score)
	}
	return leases
}

// awaitRenewal returns when an instance renews its lease. An instance's id
// begins with its name.
func (s *redisServer) awaitRenewal(name string) {
	s.t.Helper()
	till := func() (ends int64) {
		for id, end := range s.leases() {
			if strings.HasPrefix(id, name) {
				ends = max(ends, end)
			}
		}
		return ends
	}
	before := till()
	program.Eventually(s.t, patience, "renewal of "+name, func() bool { return till() > before })
}
