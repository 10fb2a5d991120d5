package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

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
		_, metrics := get(base + "/metrics")
		return strings.Contains(metrics, "rollcall_connections 20\n")
	})
	for range 15 { // more than may be idle
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
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
