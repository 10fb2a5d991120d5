package abuse

import (
	"bufio"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
)

// serveLoggingTo starts the program with its log going into a pipe, whose reading
// end is the test's.
func serveLoggingTo(t *testing.T, vars ...string) (*server, *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	defer write.Close()
	s := &server{program.NewServer(t, append(vars, "LOG_LEVEL=debug")...)}
	s.Output = write
	s.Start()
	return s, read
}

// endsInTime tells the server to end, which takes it 11 s at most.
func (s *server) endsInTime(t *testing.T) {
	t.Helper()
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	program.Eventually(t, 11*time.Second, "the server ends after SIGTERM", s.Ended)
	t.Logf("ended %s after SIGTERM", time.Since(began).Round(time.Millisecond))
}

// heartbeats checks that events of a client are handled.
func (c *client) heartbeats(t *testing.T, n int) {
	t.Helper()
	for range n {
		c.expect(t, "", "heartbeat", "")
	}
}

// fillLog has the server log more than a pipe and its own buffer hold.
func (s *server) fillLog(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * patience); !done(); { // some 8,000 lines
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
	s, read := serveLoggingTo(t, "EVENTS_PER_SECOND=0", "AUTH_SECRET="+authSecret, "ALLOW_GUESTS=true")
	c := s.client(t, "presence=changes")
	s.fillLog(t, func() bool { return s.metric(dropped) > 0 })
	c.heartbeats(t, 20)
	t.Logf("%v lines dropped, %.0f MiB resident", s.metric(dropped), s.metric(resident)/mib)

	// It is read again: the lines that waited, then the one about the others.
	lines, reported := bufio.NewScanner(read), false
	for !reported && lines.Scan() {
		reported = strings.Contains(lines.Text(), "log lines were dropped")
	}
	if !reported {
		t.Error("no line says that lines are missing")
	}

	// And no more, until at least the pipe is full: the server ends all the same.
	rounds := 0
	s.fillLog(t, func() bool { rounds++; return rounds > 3 })
	s.endsInTime(t)
}

// A closed log costs the log only.
func TestLogThatIsClosed(t *testing.T) {
	t.Parallel()
	s, read := serveLoggingTo(t)
	if _, err := io.ReadAtLeast(read, make([]byte, 1), 1); err != nil {
		t.Fatal(err)
	}
	read.Close()
	for range 20 {
		s.client(t, "").heartbeats(t, 1)
	}
	s.counts(dropped, 20)
	s.endsInTime(t)
	if code := s.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %v", s.Cmd.ProcessState)
	}
}
