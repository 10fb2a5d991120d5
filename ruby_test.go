package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"rollcall/adapter/redistest"
)

// TestRuby runs the Ruby of docs/redis.md, word for word, against a live
// server: it must list who is online.
func TestRuby(t *testing.T) {
	doc, err := os.ReadFile("docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("require 'redis'; require 'json'\n")
	blocks := regexp.MustCompile("(?s)```ruby\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/redis.md has %d blocks of Ruby; this test knows of two, which set users and ids", len(blocks))
	}
	for _, block := range blocks {
		script.Write(block[1])
	}
	script.WriteString("puts users.map { |u| u['name'] }.sort.join(','), ids.sort.join(',')\n")
	server := redistest.Start(t)
	base, _, _ := serve(t, map[string]string{"REDIS_URL": server.URL()})
	for _, user := range []string{`{"id":1,"name":"Ann"}`, `{"id":2,"name":"Bob"}`, `{"id":1,"name":"Ann"}`} {
		conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(base, "http")+"/socket.io/?EIO=4&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.WriteMessage(websocket.TextMessage, []byte("40"))
		conn.WriteMessage(websocket.TextMessage, []byte(`42["register",`+user+`]`))
	}
	eventually(t, "three sockets are in Redis", func() bool {
		return server.Do("HLEN", "{rollcall}:users") == int64(3)
	})
	ruby := exec.Command("ruby", "-e", script.String())
	ruby.Env = append(os.Environ(), "REDIS_URL="+server.URL())
	out, err := ruby.CombinedOutput()
	if err != nil || string(out) != "Ann,Bob\n1,2\n" {
		t.Errorf("%v: %s\n%s", err, out, script.String())
	}
}
