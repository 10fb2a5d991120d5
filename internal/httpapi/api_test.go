package httpapi

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/memory"
	"rollcall/rooms"
)

const theKey, withKey = "k-1/2+3==", "Bearer " + theKey

// fakeRooms returns what a test sets and records the calls.
type fakeRooms struct {
	list     []byte
	users    map[string]rooms.UserInfo
	members  map[string][]string
	said     map[string][]rooms.ChatMessage
	err      error // of Messages and Emit
	emitted  []rooms.Broadcast
	mu       sync.Mutex // guards signed
	signed   []string
	hidden   map[string]bool
	deadline bool // the last look-up was bounded in time
	fromApp  bool // and asked for by the app
}

func (f *fakeRooms) OnlineUsers() []byte { return f.list }

func (f *fakeRooms) Counts() rooms.Counts { return rooms.Counts{Users: 6, Sockets: 9, Connections: 12} }

func (f *fakeRooms) lookUp(ctx context.Context) {
	_, f.deadline = ctx.Deadline()
	f.fromApp = rooms.IsFromApp(ctx)
}

func (f *fakeRooms) User(ctx context.Context, id string) rooms.UserInfo {
	f.lookUp(ctx)
	return f.users[id]
}

func (f *fakeRooms) IsHidden(id string) bool { return f.hidden[id] }

func (f *fakeRooms) Sockets(string) int { return 2 }

func (f *fakeRooms) SignOut(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signed = append(f.signed, id)
	return 2
}

func (f *fakeRooms) RoomUsers(room string) []string { return f.members[room] }

func (f *fakeRooms) Messages(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
	f.lookUp(ctx)
	return f.said[room], f.err
}

func (f *fakeRooms) Emit(m rooms.Broadcast) error {
	if err := cmp.Or(f.err, rooms.CheckEvent(m.Event.Name)); err != nil {
		return err
	}
	f.emitted = append(f.emitted, m)
	return nil
}

// newAPI serves the API with fakeRooms and, for each option that is not set, the one
// that changes least.
func newAPI(f *fakeRooms, opts Options) http.Handler {
	opts.Rooms = f
	if opts.Revoke == nil {
		opts.Revoke = func(string) {}
	}
	if opts.Refused == nil {
		opts.Refused = func(string) {}
	}
	if opts.OriginAllowed == nil {
		opts.OriginAllowed = func(*http.Request) bool { return true }
	}
	opts.Address = func(*http.Request) string { return "192.0.2.7" }
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	opts.Scheduler = cmp.Or(opts.Scheduler, &Scheduler{})
	opts.MaxBody = cmp.Or(opts.MaxBody, 64<<10)
	opts.Inbound = cmp.Or(opts.Inbound, memory.NewBudget(64<<20))
	opts.Attempts = cmp.Or(opts.Attempts, promptAttempts())
	return API(opts)
}

// promptAttempts delays nothing.
func promptAttempts() *Attempts {
	a := NewAttempts(func(*http.Request) string { return "" }, slog.New(slog.DiscardHandler), func(string) {})
	a.delay = 0
	return a
}

// answerTo is what a handler answers, without a network.
func answerTo(h http.Handler, method, path, authorization string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// server is a server under test. Every exchange has to match openapi.json.
type server struct {
	*fakeRooms
	t   *testing.T
	url string
}

// foreignHost is what no server of these tests may be called.
const foreignHost = "evil.example.com"

// serve starts a server with fakeRooms.
func serve(t *testing.T, opts Options) *server {
	s := &server{fakeRooms: &fakeRooms{list: []byte("[]")}, t: t}
	isAllowed := func(r *http.Request) bool { return r.Host != foreignHost }
	refused := func(code string) {
		if opts.Refused != nil {
			opts.Refused(code)
		}
	}
	srv := httptest.NewServer(AllowedHosts(isAllowed, refused, newAPI(s.fakeRooms, opts)))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// ask sends a request without a body; headers are names and values by turns.
func (s *server) ask(method, path string, headers ...string) exchange {
	s.t.Helper()
	return s.exchange(exchange{method: method, path: path}, headers...)
}

// app sends a request without a body, with the key.
func (s *server) app(method, path string) exchange {
	s.t.Helper()
	return s.ask(method, path, "Authorization", withKey)
}

// exchange sends the request of x and returns x with the answer.
func (s *server) exchange(x exchange, headers ...string) exchange {
	s.t.Helper()
	req, err := http.NewRequest(x.method, s.url+x.path, strings.NewReader(x.body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	req.Host = req.Header.Get("Host") // "": that of the URL
	x.header = req.Header.Clone()
	res, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	x.status, x.answer, x.got = res.StatusCode, res.Header, string(got)
	if err := theContract.check(x); err != nil {
		s.t.Errorf("%s %.80s answered with %d %s\nis not as described: %v", x.method, x.path, x.status, x.got, err)
	}
	return x
}

// want compares an answer. The text is that of the body, or an error's code.
func (s *server) want(x exchange, status int, text string) {
	s.t.Helper()
	got := strings.TrimSuffix(x.got, "\n")
	if x.method == http.MethodHead {
		text = ""
	}
	isError := status >= 400 && strings.HasPrefix(got, `{"error":"`+text+`",`)
	if x.status != status || got != text && !isError {
		s.t.Errorf("%s %.80s: got %d %s, want %d %s", x.method, x.path, x.status, got, status, text)
	}
	if x.answer.Get("X-Content-Type-Options") != "nosniff" {
		s.t.Errorf("%s %.80s: browsers may guess what this is", x.method, x.path)
	}
}

func TestUnknownPaths(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	for _, path := range []string{
		"/api/", "/api/nothing", "/api/users/", "/api/rooms/", "/api/../api/online_users", "/api/./online_users", "/api//online_users", "/api/users/7/", "/api/users/a/b", "/api/users/7/emit", "/api/rooms/a",
		"/api/rooms/a/", "/api/rooms/a/b", "/api/rooms/a/b/users", "/api/emit/", "/api/online_users/", "/api/online_users/counts",
		"/api/Emit", "/api/openapi.yaml", "/api/%2Fusers", "/api/users%2F7",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"} {
			s.want(s.app(method, path), 404, "not_found")
		}
	}
}

// The contract compares Allow.
func TestMethods(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	refused := 0
	for path, item := range theContract.doc.Paths.Map() {
		path = filled(path)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			known := method == "HEAD" && item.Get != nil
			for name := range item.Operations() {
				known = known || name == method
			}
			if known {
				continue
			}
			refused++
			// Even without a key: that a path has no such method is no secret.
			s.want(s.ask(method, path), 405, "method_not_allowed")
		}
	}
	if refused < 40 || len(s.emitted)+len(s.signed) > 0 {
		t.Errorf("%d refused; %v %v", refused, s.emitted, s.signed)
	}
}

// deadlines records the deadlines of a connection.
type deadlines struct {
	http.ResponseWriter
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// Slow sending or reading does not keep a request open.
func TestRequestsEnd(t *testing.T) {
	d := &deadlines{ResponseWriter: httptest.NewRecorder()}
	before := time.Now()
	newAPI(&fakeRooms{}, Options{}).ServeHTTP(d, httptest.NewRequest("GET", "/api/online_users/count", nil))
	for name, took := range map[string]time.Duration{"send": d.read.Sub(before), "read": d.write.Sub(before)} {
		if took < time.Second || took > time.Minute {
			t.Errorf("to %s may take %v", name, took)
		}
	}
}
