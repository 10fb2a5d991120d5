// Package redistest starts real redis-server processes for tests: one alone, a
// cluster, or a pair under Sentinel. Each has its own directory and free port
// on loopback, and ends with its test. A machine without redis-server fails
// the test; nothing is skipped.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/adapter/adaptertest"
)

// A Server is a redis-server process that can be stopped and started again.
type Server struct {
	t      testing.TB
	dir    string
	port   int
	args   []string
	client *redis.Client
	cmd    *exec.Cmd // nil while it is stopped
	out    adaptertest.Log
	// sentinel: args is the whole command line.
	sentinel bool
}

// Start starts a server; args are redis-server options, such as
// "--appendonly", "yes".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := prepare(t, args...)
	s.Restart()
	return s
}

// startSentinel starts a sentinel, which keeps its state in its configuration.
func startSentinel(t testing.TB, master int) *Server {
	t.Helper()
	s := prepare(t)
	s.sentinel = true
	path := filepath.Join(s.dir, "sentinel.conf")
	s.args = []string{path, "--sentinel"}
	conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n"+
		"sentinel monitor %[3]s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %[3]s 500\n"+
		"sentinel failover-timeout %[3]s 3000\n", s.port, s.dir, masterName, master)
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	return s
}

// prepare makes a server that is not running yet.
func prepare(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatalf("redis-server is not installed, and these tests need a real one (Debian: apt-get install redis-server): %v", err)
	}
	s := &Server{t: t, dir: t.TempDir(), port: FreePort(t), args: args}
	s.client = redis.NewClient(&redis.Options{Addr: s.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, ReadTimeout: 30 * time.Second})
	t.Cleanup(func() {
		s.client.Close()
		s.Kill()
		if t.Failed() {
			t.Logf("redis-server on port %d wrote:\n%s", s.port, tail(&s.out))
		}
	})
	return s
}

// Restart starts the server again, with the data that its directory has.
func (s *Server) Restart() {
	s.t.Helper()
	s.launch()
	s.Await(func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

func (s *Server) launch() {
	s.t.Helper()
	args := s.args
	if !s.sentinel {
		args = append([]string{
			"--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
			"--save", "", "--enable-debug-command", "yes", "--daemonize", "no",
		}, s.args...)
	}
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
}

// Kill ends the process at once, as a crash would.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it may be gone
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Empty removes what a stopped server had stored.
func (s *Server) Empty() {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Addr is host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL is how to connect.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Client is a client of the test's own. It does not try anything again.
func (s *Server) Client() *redis.Client { return s.client }

// Do runs a command and fails the test if the server refuses.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	reply, err := s.client.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("redis %v: %v", args, err)
	}
	return reply
}

// Await repeats a check until it succeeds, 20 s at most.
func (s *Server) Await(check func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("redis-server on port %d: waited in vain: %v", s.port, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// FreePort finds a port that is free, and whose cluster bus port (10000 above)
// is one too. None is given twice.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port > 55000 { // the bus port would be none
			continue
		}
		bus, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10000))
		if err != nil {
			continue
		}
		bus.Close()
		ports.Lock()
		taken := ports.given[port]
		if ports.given == nil {
			ports.given = make(map[int]bool)
		}
		ports.given[port] = true
		ports.Unlock()
		if !taken {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// tail is the last lines of what a process wrote.
func tail(out *adaptertest.Log) string {
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
