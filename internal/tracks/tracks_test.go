package tracks

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rollcall/e2e/program"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs Tracks until the end of the test, with short pauses.
func start(t *testing.T, url string, timeout time.Duration) (*Tracks, *program.Log) {
	t.Helper()
	log := &program.Log{}
	tracks, err := New(url, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tracks.every, tracks.retry, tracks.timeout = time.Millisecond, time.Millisecond, timeout
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); tracks.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return tracks, log
}

// patience bounds every wait and every request that is to succeed.
const patience = program.Patience

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	program.Eventually(t, patience, what, ok)
}

func joined(ids []json.RawMessage) string {
	var texts []string
	for _, id := range ids {
		texts = append(texts, string(id))
	}
	return strings.Join(texts, " ")
}

// app is a Rails app with an answer that can be changed.
type app struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

func newApp(t *testing.T, answer http.HandlerFunc) *app {
	a := &app{}
	a.answer.Store(&answer)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		(*a.answer.Load())(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// setAnswer sets the answer to further requests.
func (a *app) setAnswer(answer http.HandlerFunc) { a.answer.Store(&answer) }

// askedAgain waits for two more requests: the answer to the first one has been handled
// then.
func (a *app) askedAgain(t *testing.T) {
	t.Helper()
	before := a.asked.Load()
	eventually(t, "asked again", func() bool { return a.asked.Load() >= before+2 })
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func TestIDsAsTheyAre(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/racer/api/tracks" || r.Method != "GET" || r.Header.Get("Accept") != "application/json" {
			http.NotFound(w, r)
			return
		}
		says(`[{"id":1,"name":"a"}, {"name":"none"}, {"id":"b\u00e9"}, {"id":12345678901234567890}, {"id":1.50},
			{"id":null}, {"id":{}}, {"id":[1]}, {"id":true}, {"ID":9}, 7, null, [], "x", {"id": -0 }]`)(w, r)
	})
	tracks, _ := start(t, a.URL+"/racer/", patience)
	eventually(t, "tracks", func() bool { return len(tracks.IDs()) > 0 })
	if got, want := joined(tracks.IDs()), `1 "b\u00e9" 12345678901234567890 1.50 -0`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// After any fault of the app the last valid list is kept, the log has one line, and the
// next valid list is used.
func TestTheLastGoodListIsKept(t *testing.T) {
	elsewhere := newApp(t, says(`[{"id":666}]`))
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		err    string
	}{
		"slow to begin": {slow, "no complete answer within"},
		"slow to end": {func(w http.ResponseWriter, r *http.Request) {
			says(`[{"id":666},`)(w, r)
			w.(http.Flusher).Flush()
			slow(w, r)
		}, "no complete answer within"},
		"broken JSON": {says(`[{"id":666}`), "not JSON"},
		"more JSON":   {says(`[{"id":666}] []`), "not JSON"},
		"not UTF-8":   {says("[{\"id\":\"\xff\"}]"), "not JSON"},
		"HTML":        {says("<html>"), "not JSON"},
		"nothing":     {says(""), "not JSON"},
		"an object":   {says(`{"id":666}`), "not an array"},
		"null":        {says(`null`), "no track with an id"},
		"no track":    {says(`[]`), "no track with an id"},
		"no id":       {says(`[{"name":"a"},{"id":null}]`), "no track with an id"},
		"too large":   {says(`[{"id":666}` + strings.Repeat(" ", maxBytes) + `]`), "larger than 1048576 bytes"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			says(strings.Repeat(" ", 2*maxBytes))(w, r)
			slow(w, r)
		}, "larger than 1048576 bytes"},
		"too many":   {says(`[{"id":666}` + strings.Repeat(`,{"id":1}`, maxTracks) + `]`), "more than 10000 tracks"},
		"broken off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			says(`[{"id":666},`)(w, r)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
		"an error":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "the answer is 500 Internal Server Error"},
		"not there":     {http.NotFound, "the answer is 404 Not Found"},
		"no content":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "the answer is 204 No Content"},
		"another host":  {http.RedirectHandler(elsewhere.URL+"/api/tracks", http.StatusFound).ServeHTTP, "redirected to another host"},
		"a circle":      {http.RedirectHandler("/api/tracks", http.StatusFound).ServeHTTP, "more than 5 redirects"},
		"a strange way": {http.RedirectHandler("file:///etc/passwd", http.StatusFound).ServeHTTP, "redirected to another host"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t, says(`[{"id":1}]`))
			// Without a connection to the server that is to be cut off, Close
			// would wait for it.
			t.Cleanup(a.CloseClientConnections)
			tracks, log := start(t, a.URL, timeoutFor(name))
			eventually(t, "tracks", func() bool { return joined(tracks.IDs()) == "1" })
			a.setAnswer(tc.answer)
			eventually(t, "the failure", func() bool { return strings.Contains(log.String(), tc.err) })
			a.askedAgain(t)
			if got := joined(tracks.IDs()); got != "1" {
				t.Errorf("the list became %q", got)
			}
			a.setAnswer(says(`[{"id":2}]`))
			eventually(t, "new tracks", func() bool { return joined(tracks.IDs()) == "2" })
			eventually(t, "the log", func() bool { return strings.Count(log.String(), "got the tracks") == 2 })
			text := log.String()
			if strings.Count(text, "\n") != 3 || !strings.Contains(text, tc.err) || !strings.Contains(text, "kept=1") {
				t.Errorf("want three lines, one with %q: got\n%s", tc.err, text)
			}
		})
	}
}

// timeoutFor is short where the test is about it, else long enough for any machine.
func timeoutFor(name string) time.Duration {
	if strings.HasPrefix(name, "slow") {
		return 3 * time.Second
	}
	return patience
}

// The app does not run yet at the start, and stops later.
func TestGone(t *testing.T) {
	a := newApp(t, says(`[{"id":1}]`))
	addr := a.Listener.Addr().String()
	a.Close()
	tracks, log := start(t, "http://"+addr, patience)
	eventually(t, "a line", func() bool { return strings.Contains(log.String(), "cannot get the tracks") })
	if text := log.String(); len(tracks.IDs()) != 0 || !strings.Contains(text, "connection refused") || !strings.Contains(text, "kept=0") {
		t.Errorf("got %q and\n%s", joined(tracks.IDs()), text)
	}
}

// A list of the maximal size is accepted.
func TestTheLargestList(t *testing.T) {
	a := newApp(t, says("["+strings.Repeat(`{"id":1},`, maxTracks-1)+`{"id":2}`+strings.Repeat(" ", maxBytes-9*maxTracks-1)+"]"))
	tracks, _ := start(t, a.URL, patience)
	eventually(t, "tracks", func() bool { return len(tracks.IDs()) == maxTracks })
}

// Redirects within the host are followed, with the password.
func TestRedirectAndPassword(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "rollcall" || password != "hunter 2":
			w.WriteHeader(401)
		case r.URL.Path == "/api/tracks":
			http.Redirect(w, r, "/api/v2/tracks?token=hunter3", http.StatusMovedPermanently)
		default:
			says(`[{"id":1}]`)(w, r)
		}
	})
	tracks, log := start(t, strings.Replace(a.URL, "http://", "http://rollcall:hunter%202@", 1), patience)
	eventually(t, "tracks", func() bool { return len(tracks.IDs()) == 1 })
	a.setAnswer(http.RedirectHandler("http://u:hunter4@127.0.0.2:1/?token=hunter3", http.StatusFound).ServeHTTP)
	eventually(t, "a refusal", func() bool { return strings.Contains(log.String(), "another host") })
	a.CloseClientConnections()
	if strings.Contains(log.String(), "hunter") || !strings.Contains(log.String(), a.URL+"/api/tracks") {
		t.Error(log.String())
	}
}

func TestNoURL(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	tracks, err := New("", log)
	if err != nil {
		t.Fatal(err)
	}
	tracks.Run(t.Context()) // returns
	if tracks.IDs() != nil {
		t.Error(tracks.IDs())
	}
	for _, bad := range []string{"app.example.com", "ftp://hunter2@a", "http://", "http://hunter2@%zz"} {
		if _, err := New(bad, log); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The times of requests, in virtual time: at once, soon after failures, otherwise every
// five minutes.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracks, err := New("http://app.example.com", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var asked []string
		tracks.fetch = func(context.Context) ([]json.RawMessage, error) {
			asked = append(asked, time.Since(begin).String())
			if n := len(asked); n == 1 || n >= 4 && n <= 13 {
				return nil, errors.New("gone")
			}
			return []json.RawMessage{json.RawMessage("1")}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); tracks.Run(ctx) }()
		time.Sleep(36 * time.Minute) // of virtual time
		cancel()
		<-done
		want := "0s 2s 5m2s 10m2s 10m4s 10m8s 10m16s 10m32s 11m4s 12m8s 14m16s 18m32s 23m32s 28m32s 33m32s"
		if got := strings.Join(asked, " "); got != want {
			t.Errorf(" got %s\nwant %s", got, want)
		}
	})
}

// The end of ctx is not logged as a failure of the app, and does not wait for it.
func TestEndWhileAsking(t *testing.T) {
	asked := make(chan struct{})
	a := newApp(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	var log program.Log
	tracks, err := New(a.URL, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	tracks.Run(ctx)
	if log.String() != "" {
		t.Error(log.String())
	}
}
