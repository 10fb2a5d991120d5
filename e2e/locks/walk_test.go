// Package locks counts the lock acquisitions between a client's frame and the frame
// that another client gets for it: go test ./e2e/locks -v prints each.
package locks

import (
	"context"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/adapter/memory"
	"rollcall/adapter/redis"
	"rollcall/adapter/redistest"
	"rollcall/e2e/locks/locktrace"
	"rollcall/internal/socketio"
	"rollcall/rooms"
)

// The most acquisitions that one register may take, with the memory store and with
// Redis, and how deep they may be nested.
const (
	mostAlone  = 14
	mostShared = 25
	mostDepth  = 2
)

func TestWalkAlone(t *testing.T) {
	needsTrace(t)
	store := memory.New()
	url := serve(t, "local", store, store, &memory.Bus{})
	walk(t, url, url, mostAlone)
}

func TestWalkShared(t *testing.T) {
	needsTrace(t)
	server := redistest.Start(t)
	var urls []string
	for _, name := range []string{"a", "b"} {
		store, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), Instance: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close(context.Background()) })
		urls = append(urls, serve(t, name, store, store, &memory.Bus{}))
	}
	walk(t, urls[0], urls[1], mostShared)
}

func needsTrace(t *testing.T) {
	if os.Getenv("LOCKS_WALK") == "" {
		t.Skip("TestLocks runs this, in a build that counts")
	}
}

// serve runs an instance and returns its address for WebSockets.
func serve(t *testing.T, name string, store rooms.Store, records rooms.Records, bus rooms.Bus) string {
	sockets := socketio.New(socketio.Options{})
	r := rooms.New(rooms.Options{Instance: name, Bus: bus, Records: records}, store, sockets)
	sockets.Serve(r)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = r.Run(ctx); close(ended) }()
	server := httptest.NewServer(sockets)
	t.Cleanup(func() {
		stopping, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		sockets.Stop(stopping, 0)
		server.Close()
		cancel()
		<-ended
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// walk has a client register, and counts until another one is told. The least of
// several counts is the way itself: leases and pings come in between at times.
func walk(t *testing.T, from, to string, most int) {
	sender, receiver := dial(t, from, "none"), dial(t, to, "changes")
	send(t, receiver, `42["sync"]`)
	await(t, receiver, `42["online_users"`)
	var least []locktrace.Acquisition
	for range 10 {
		send(t, sender, `42["unregister"]`)
		time.Sleep(300 * time.Millisecond) // no flush is due, nothing is on its way
		locktrace.Start()
		send(t, sender, `42["register",{"id":1}]`)
		await(t, receiver, `42["add_user"`)
		if got := locktrace.Stop(); least == nil || len(got) < len(least) {
			least = got
		}
	}
	depth := 0
	for i, a := range least {
		t.Logf("%3d %s", i+1, a)
		depth = max(depth, a.Depth)
	}
	t.Logf("%d acquisitions, %d deep", len(least), depth)
	if len(least) > most || depth > mostDepth {
		t.Errorf("%d acquisitions, %d deep; want %d, %d deep at most", len(least), depth, most, mostDepth)
	}
}

func dial(t *testing.T, url, presence string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial(url+"/socket.io/?EIO=4&transport=websocket&presence="+presence, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	send(t, conn, "40")
	await(t, conn, "40")
	return conn
}

func send(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, conn *websocket.Conn, prefix string) {
	t.Helper()
	for {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, text, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), prefix) {
			return
		}
	}
}
