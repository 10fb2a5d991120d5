package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
	"rollcall/internal/config"
	"rollcall/public"
)

func environment(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	program.Eventually(t, program.Patience, what, ok)
}

// serve runs the program until the test ends or stop is called, which returns
// what run returned.
func serve(t *testing.T, vars map[string]string) (base string, log *program.Log, stop func() error) {
	t.Helper()
	vars["HOST"], vars["PORT"] = "127.0.0.1", program.FreePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	log = &program.Log{}
	go func() { ended <- run(ctx, nil, environment(vars), log) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(program.Patience):
			return fmt.Errorf("it does not end:\n%s", log)
		}
	})
	t.Cleanup(func() { stop() })
	base = "http://127.0.0.1:" + vars["PORT"]
	if program.Wait(program.Patience, func() bool { status, _ := get(base + "/readyz"); return status == http.StatusOK }) != nil {
		t.Fatalf("not ready:\n%s", log)
	}
	return base, log, stop
}

func get(url string) (int, string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// TestRun starts the whole program, uses each part once and ends it.
func TestRun(t *testing.T) {
	base, log, stop := serve(t, map[string]string{"LOG_FORMAT": "json"})
	page, element := "<!doctype html>", "rollcall-online"
	if !public.IsBuilt() {
		page, element = "make build", "make build"
	}
	for path, want := range map[string]string{
		"/":                                   page,
		"/rollcall.js":                        element,
		"/healthz":                            "ok",
		"/metrics":                            "rollcall_users 0",
		"/socket.io/?EIO=4&transport=polling": `0{"`,
	} {
		if status, body := get(base + path); (status != http.StatusOK) != (want == "make build") || !strings.Contains(strings.ToLower(body), want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	for path, want := range map[string]int{"/nowhere": 404, "/socket.io/?EIO=4": 400, "/embed.go": 404} {
		if status, _ := get(base + path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	for _, path := range []string{
		"/socket.io", "/socket.io/1/", "/socket.io//", "/socket.io/../x", "/socket.io/%2e%2e/%2E/", "/socket.io/socket.io.esm.js",
	} { // are the endpoint, as they stand
		if status, body := get(base + path + "?EIO=4&transport=polling"); status != http.StatusOK || !strings.HasPrefix(body, `0{"sid":"`) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(base, "http")+"/socket.io/?EIO=4&transport=websocket&presence=changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.WriteMessage(websocket.TextMessage, []byte("40"))
	conn.WriteMessage(websocket.TextMessage, []byte(`421["register",{"id":1,"n":9007199254740993}]`))
	seen := map[string]bool{}
	for !seen[`431[{"ok":true}]`] || !seen[`42["online_users",[{"id":1,"n":9007199254740993}]]`] {
		_, message, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err, seen)
		}
		seen[string(message)] = true
	}
	eventually(t, "the metrics know the user", func() bool {
		_, body := get(base + "/metrics")
		return strings.Contains(body, "rollcall_users 1\n") &&
			strings.Contains(body, `rollcall_events_in_total{event="register"} 1`) &&
			strings.Contains(body, `rollcall_sessions{protocol="4",transport="websocket"} 1`)
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	for {
		if _, _, err = conn.ReadMessage(); err != nil {
			break
		}
	}
	if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error("the client saw", err)
	}
	for _, line := range []string{`"msg":"memory limit"`, `AUTH_SECRET is not set"`, `"msg":"bye"`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("%s is not in the log:\n%s", line, log)
		}
	}
}

func TestHealthArgument(t *testing.T) {
	base, _, stop := serve(t, map[string]string{})
	port := base[strings.LastIndex(base, ":")+1:]
	vars := environment(map[string]string{"HOST": "127.0.0.1", "PORT": port})
	if err := run(context.Background(), []string{"-health"}, vars, io.Discard); err != nil {
		t.Error(err)
	}
	stop()
	if err := run(context.Background(), []string{"-health"}, vars, io.Discard); err == nil {
		t.Error("nobody is there, and it is healthy")
	}
}

func TestRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for name, c := range map[string]struct {
		vars map[string]string
		args []string
		want string
	}{
		"a wrong value":       {map[string]string{"PORT": "many"}, nil, `PORT must be`},
		"a taken port":        {map[string]string{"HOST": "127.0.0.1", "PORT": port}, nil, "address already in use"},
		"an unknown argument": {nil, []string{"-help-me"}, "unknown argument"},
	} {
		err := run(context.Background(), c.args, environment(c.vars), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Pending polls carry a session: none is closed as an idle connection.
func TestPollsAreNotIdle(t *testing.T) {
	base, _, _ := serve(t, map[string]string{"MAX_IDLE_CONNECTIONS": "10", "LOG_LEVEL": "warn"})
	const sessions = 20
	answers := make(chan string, sessions)
	var urls []string
	for range sessions {
		_, open := get(base + "/socket.io/?EIO=4&transport=polling")
		_, sid, _ := strings.Cut(open, `"sid":"`)
		sid, _, _ = strings.Cut(sid, `"`)
		url := base + "/socket.io/?EIO=4&transport=polling&sid=" + sid
		urls = append(urls, url)
		go func() {
			status, body := get(url)
			answers <- http.StatusText(status) + " " + body
		}()
	}
	eventually(t, "all polls wait", func() bool {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		return strings.Count(stacks.String(), "engineio.exchange.awaitQueued(") == sessions
	})
	for range 15 { // more than may be idle
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(program.Patience))
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "idle connections are closed", func() bool {
		_, metrics := get(base + "/metrics")
		return strings.Contains(metrics, `rollcall_refusals_total{reason="idle_connection"}`)
	})
	for _, url := range urls {
		response, err := http.Post(url, "text/plain", strings.NewReader("40"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if answer := <-answers; !strings.HasPrefix(answer, "OK 40") {
			t.Errorf("a poll was answered %q", answer)
		}
	}
}

// Every risk has a warning at start, and nothing else has.
func TestWarnings(t *testing.T) {
	const enough = 1 << 20
	secret := map[string]string{"AUTH_SECRET": "0123456789abcdef"}
	for _, c := range []struct {
		name  string
		set   map[string]string
		files uint64
		want  string // of the one warning; "": there is none
	}{
		{"nothing", nil, enough, ""},
		{"a profiler on all interfaces", map[string]string{"DEBUG_ADDRESS": ":6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"written as IPv4", map[string]string{"DEBUG_ADDRESS": "0.0.0.0:6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"written as IPv6", map[string]string{"DEBUG_ADDRESS": "[::]:6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"written as both", map[string]string{"DEBUG_ADDRESS": "[::ffff:0.0.0.0]:6060"}, enough, "DEBUG_ADDRESS listens on all interfaces"},
		{"a profiler for this machine", map[string]string{"DEBUG_ADDRESS": "127.0.0.1:6060"}, enough, ""},
		{"guests of somebody", map[string]string{"ALLOW_GUESTS": "true"}, enough, ""},
		{"any sandboxed page", map[string]string{"CORS_ORIGINS": "https://app.example.com,null"}, enough, "CORS_ORIGINS allows null"},
		{"few files", nil, 1024, "the limit of open files is 1024, below MAX_CONNECTIONS (50000)"},
		{"just too few", map[string]string{"MAX_CONNECTIONS": "925"}, 1024, "the limit of open files is 1024"},
		{"just enough", map[string]string{"MAX_CONNECTIONS": "924"}, 1024, ""},
		{"no limit of our own", map[string]string{"MAX_CONNECTIONS": "0"}, 1024, "MAX_CONNECTIONS is 0, and the limit of open files is 1024"},
		{"nobody knows", nil, 0, ""},
	} {
		cfg, err := config.Load(func(name string) string { return c.set[name] + secret[name] })
		if err != nil {
			t.Fatal(err)
		}
		got := warnings(cfg, c.files)
		if len(got) > 1 || (c.want == "") != (len(got) == 0) || !strings.HasPrefix(strings.Join(got, ""), c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	cfg, _ := config.Load(func(name string) string { return map[string]string{"ALLOW_GUESTS": "true", "PUBLIC_API": "true"}[name] })
	if got := strings.Join(warnings(cfg, enough), "\n"); !strings.Contains(got, "ALLOW_GUESTS has no effect") || !strings.Contains(got, "PUBLIC_API has no effect") || !strings.Contains(got, "AUTH_SECRET is not set") {
		t.Errorf("without a secret: %q", got)
	}
	if openFilesLimit() == 0 {
		t.Error("the limit of open files is not known here")
	}
}
