package abuse

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
)

// withLogTo starts the program with its log going into a pipe, whose reading end
// is the test's.
func withLogTo(t *testing.T, stdout, stderr *os.File, vars ...string) (*server, chan struct{}) {
	t.Helper()
	s := &server{t: t, port: program.FreePort(t)}
	cmd := exec.Command(binary)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOST=127.0.0.1", "PORT=" + s.port, "LOG_FORMAT=logfmt", "LOG_LEVEL=debug"}, vars...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	s.Process = &program.Process{Cmd: cmd, Log: newLog(), Gone: gone}
	t.Cleanup(s.Kill)
	s.waitReady()
	return s, gone
}

func newPipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}

// fillLog has the server log more than a pipe and its own buffer hold.
func (s *server) fillLog(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * patience) // some 8,000 lines
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("the log does not fill")
		}
		for range 200 {
			conn, err := s.open("token="+strings.Repeat("x", 100), nil) // a line, and one each for coming and going
			if err != nil {
				t.Fatalf("a connection while nobody reads the log: %v", err)
			}
			conn.WriteMessage(websocket.TextMessage, []byte("40"))
			conn.Close()
		}
	}
}

const dropped = "rollcall_log_lines_dropped_total"

// A log that nobody reads (a full pipe) stops neither events, nor connections,
// nor the end; when it is read again, one line says what is missing.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	read, write := newPipe(t)
	s, gone := withLogTo(t, write, write, "EVENTS_PER_SECOND=0", "AUTH_SECRET="+authSecret, "ALLOW_GUESTS=true")
	write.Close()
	c, err := s.join("presence=changes")
	if err != nil {
		t.Fatal(err)
	}
	s.fillLog(t, func() bool { return s.metric(dropped) > 0 })
	for range 20 {
		if r, err := c.Ask("heartbeat", ""); err != nil || !r.OK {
			t.Fatalf("an event while nobody reads the log: %v %v", r, err)
		}
	}
	lost := s.metric(dropped)
	t.Logf("%v lines dropped, %.0f MiB resident", lost, s.metric(resident)/mib)

	// Somebody reads again: what waited, then what is missing.
	lines := bufio.NewScanner(read)
	told := false
	for !told && lines.Scan() {
		told = strings.Contains(lines.Text(), "log lines were dropped")
	}
	if !told {
		t.Error("nothing says that lines are missing")
	}

	// And stops again, until at least the pipe is full: the end comes all the same.
	rounds := 0
	s.fillLog(t, func() bool { rounds++; return rounds > 3 })
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	select {
	case <-gone:
		t.Logf("gone %s after SIGTERM", time.Since(began).Round(time.Millisecond))
	case <-time.After(11 * time.Second):
		t.Error("SIGTERM has no effect while nobody reads the log")
	}
}

// Whoever took the log is gone: that costs the log only.
func TestLogThatIsClosed(t *testing.T) {
	t.Parallel()
	read, write := newPipe(t)
	s, gone := withLogTo(t, write, write)
	write.Close()
	if _, err := io.ReadAtLeast(read, make([]byte, 1), 1); err != nil {
		t.Fatal(err)
	}
	read.Close()
	for range 20 {
		c, err := s.join("")
		if err != nil {
			t.Fatalf("a connection when the log is closed: %v", err)
		}
		if r, err := c.Ask("heartbeat", ""); err != nil || !r.OK {
			t.Fatalf("an event when the log is closed: %v %v", r, err)
		}
	}
	s.counts(dropped, 20)
	s.Signal(syscall.SIGTERM)
	select {
	case <-gone:
		if code := s.Cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("it ended with %v", s.Cmd.ProcessState)
		}
	case <-time.After(11 * time.Second):
		t.Error("it does not end")
	}
}
