package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
	"rollcall/public"
)

func environment(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	program.Eventually(t, 20*time.Second, what, ok)
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
		case <-time.After(20 * time.Second):
			return fmt.Errorf("it does not end:\n%s", log)
		}
	})
	t.Cleanup(func() { stop() })
	base = "http://127.0.0.1:" + vars["PORT"]
	if program.Wait(20*time.Second, func() bool { status, _ := get(base + "/readyz"); return status == http.StatusOK }) != nil {
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
