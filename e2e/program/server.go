package program

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Patience bounds every wait that has no bound of its own; a passing test never
// needs it.
const Patience = time.Minute

// A Server is Rollcall on a port that it keeps when it is started again.
type Server struct {
	*Process // the one that was started last
	T        testing.TB
	Port     string
	Vars     []string  // of its environment
	Output   io.Writer // of all its processes
	Command  []string  // that starts the program; default none
}

// NewServer is a server that is not started yet, without GRACE unless vars say
// otherwise.
func NewServer(t testing.TB, vars ...string) *Server {
	s := &Server{T: t, Port: FreePort(t), Output: &Log{}}
	s.Vars = append([]string{"HOST=127.0.0.1", "PORT=" + s.Port, "LOG_FORMAT=logfmt", "GRACE=0s"}, vars...)
	return s
}

// Launch starts the process, no more.
func (s *Server) Launch() {
	s.T.Helper()
	command := append(append([]string(nil), s.Command...), Binary)
	s.Process = Launch(s.T, s.Output, s.Vars, command[0], command[1:]...)
}

// Start starts the process and waits until it says that it is ready.
func (s *Server) Start() {
	s.T.Helper()
	s.Launch()
	if err := Wait(Patience, func() bool { return s.Ended() || s.Ready() }); err != nil || s.Ended() {
		s.T.Fatalf("the server is not ready: %v\n%s", err, s.Log.Last(3000))
	}
}

// Ready asks the server whether it can serve.
func (s *Server) Ready() bool {
	response, err := (&http.Client{Timeout: time.Second}).Get(s.URL("/readyz"))
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// URL is that of a path.
func (s *Server) URL(path string) string { return "http://127.0.0.1:" + s.Port + path }

// An Answer is what an HTTP request got.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Ask sends a request, which has to be answered. Headers are "Name: value".
func (s *Server) Ask(method, path, body string, headers ...string) Answer {
	s.T.Helper()
	a, err := s.Try(method, path, body, headers...)
	if err != nil {
		s.T.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Get is Ask without a body.
func (s *Server) Get(path string, headers ...string) Answer {
	s.T.Helper()
	return s.Ask(http.MethodGet, path, "", headers...)
}

var httpClient = &http.Client{Timeout: Patience}

// Try is Ask for requests that may remain without an answer.
func (s *Server) Try(method, path, body string, headers ...string) (Answer, error) {
	request, err := http.NewRequest(method, s.URL(path), strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(text)}, err
}

// StartRedis starts a redis-server that writes to disk only when it is told to.
func StartRedis(t testing.TB, output io.Writer, port string, vars []string, args ...string) *Process {
	t.Helper()
	args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}, args...)
	return Launch(t, output, vars, "redis-server", args...)
}
