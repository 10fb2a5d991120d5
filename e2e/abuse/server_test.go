package abuse

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// A server is the program under test.
type server struct {
	*program.Process
	t    testing.TB
	port string
}

// serve starts the program with its defaults, but for vars and without GRACE, and waits until it
// is ready.
func serve(t testing.TB, vars ...string) *server {
	t.Helper()
	s := &server{t: t, port: program.FreePort(t)}
	s.Process = program.Launch(t, newLog(), append([]string{"HOST=127.0.0.1", "PORT=" + s.port, "LOG_FORMAT=logfmt", "GRACE=0s"}, vars...), priority[0], append(priority[1:], binary)...)
	s.waitReady()
	return s
}

// waitReady waits until the server says that it is ready.
func (s *server) waitReady() {
	s.t.Helper()
	program.Eventually(s.t, patience, "the server is ready", func() bool {
		if s.Ended() {
			s.t.Fatalf("the server ended:\n%s", s.Log.Last(3000))
		}
		got, err := s.try("GET", "/readyz", "")
		return err == nil && got.status == http.StatusOK
	})
}

func (s *server) address() string        { return "127.0.0.1:" + s.port }
func (s *server) url(path string) string { return "http://" + s.address() + path }

// dialTCP is a connection without any manners.
func (s *server) dialTCP() net.Conn {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", s.address(), 10*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// An answer is what an HTTP request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask does a request. Headers are "Name: value".
func (s *server) ask(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// try is ask where failing is no end.
func (s *server) try(method, path, body string, headers ...string) (answer, error) {
	request, err := http.NewRequest(method, s.url(path), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
	}
	response, err := asker.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

var asker = &http.Client{Timeout: patience}

// metric is one series of /metrics, 0 if it is not there yet.
func (s *server) metric(series string) float64 {
	s.t.Helper()
	return valueOf(s.ask("GET", "/metrics", "").body, series)
}

// valueOf reads a series.
func valueOf(metrics, series string) float64 {
	lines := bufio.NewScanner(strings.NewReader(metrics))
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			value, _ := strconv.ParseFloat(text, 64)
			return value
		}
	}
	return 0
}

// counts waits until a series has reached a value: some are counted after the
// client has its answer.
func (s *server) counts(series string, least float64) {
	s.t.Helper()
	program.Eventually(s.t, patience, fmt.Sprintf("%s is at least %v", series, least), func() bool { return s.metric(series) >= least })
}

// countsRefusal is counts for the refusals of a reason.
func (s *server) countsRefusal(reason string, least float64) {
	s.t.Helper()
	s.counts(fmt.Sprintf("rollcall_refusals_total{reason=%q}", reason), least)
}

// resident is the server's memory in MiB.
const resident = "process_resident_memory_bytes"

const mib = 1 << 20

// newLog keeps all that a server says in a test: what is looked for may be
// anywhere.
func newLog() *program.Log { return &program.Log{Max: 64 << 20} }
