// Package locks counts the lock acquisitions between a client's frame and the frame
// that another client gets for it: go test ./e2e/locks -v prints each.
package locks

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/adapter/redis"
	"rollcall/adapter/redistest"
	"rollcall/e2e/client"
	"rollcall/e2e/locks/locktrace"
	"rollcall/internal/socketio"
	"rollcall/rooms"
)

// The other tests count lock acquisitions, in a build in which this module's mutexes
// are those of locktrace. This one makes that build and runs it: nothing that
// production runs is changed.
func TestLocks(t *testing.T) {
	if os.Getenv("LOCKS_WALK") != "" {
		t.Skip("this is that build")
	}
	args := []string{"test", "-count=1", "-v", "-run", "^TestWalk", "-overlay", overlay(t), "."}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "LOCKS_WALK=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// overlay writes this module's files with other mutexes, and returns the file that
// names them for go test.
func overlay(t *testing.T) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), make(map[string]string)
	for _, part := range []string{"rooms", "adapter", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(text, []byte("sync.Mutex")) && !bytes.Contains(text, []byte("sync.RWMutex")) {
				return err
			}
			for _, kind := range []string{"Mutex", "RWMutex"} {
				text = bytes.ReplaceAll(text, []byte("sync."+kind), []byte("locktrace."+kind))
			}
			text = bytes.Replace(text, []byte("import ("), []byte("import (\n\t\"rollcall/e2e/locks/locktrace\""), 1)
			text = bytes.Replace(text, []byte(`import "sync"`), []byte("import (\n\t\"rollcall/e2e/locks/locktrace\"\n\t\"sync\"\n)"), 1)
			text = append(text, "\nvar _ sync.Locker\n"...)
			file := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root+"/"), "/", "_"))
			replace[path] = file
			return os.WriteFile(file, text, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text, _ := json.Marshal(map[string]any{"Replace": replace})
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

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
	base := serve(t, "local", store, store, &memory.Bus{})
	walk(t, base, base, mostAlone)
}

func TestWalkShared(t *testing.T) {
	needsTrace(t)
	server := redistest.Start(t)
	var bases []string
	for _, name := range []string{"a", "b"} {
		store, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), Instance: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close(context.Background()) })
		bases = append(bases, serve(t, name, store, store, &memory.Bus{}))
	}
	walk(t, bases[0], bases[1], mostShared)
}

func needsTrace(t *testing.T) {
	if os.Getenv("LOCKS_WALK") == "" {
		t.Skip("TestLocks runs this, in a build that counts")
	}
}

// serve runs an instance and returns its address.
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
	return server.URL
}

// walk has a client register, and counts until another one is told. The least of
// several counts is that of the way itself: leases and pings come in between at times.
func walk(t *testing.T, from, to string, most int) {
	listed, told := make(chan bool, 1), make(chan []locktrace.Acquisition, 1)
	sender := dial(t, from, "none", nil)
	receiver := dial(t, to, "changes", func(_ time.Time, name string, _ []byte) {
		switch name {
		case "online_users":
			listed <- true
		case "add_user":
			told <- locktrace.Stop()
		}
	})
	send(t, receiver, `42["sync"]`)
	<-listed
	var least []locktrace.Acquisition
	for range 10 {
		send(t, sender, `42["unregister"]`)
		time.Sleep(300 * time.Millisecond) // no flush is due, nothing is on its way
		locktrace.Start()
		send(t, sender, `42["register",{"id":1}]`)
		if got := <-told; least == nil || len(got) < len(least) {
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

func dial(t *testing.T, base, presence string, onEvent func(time.Time, string, []byte)) *client.Client {
	t.Helper()
	c, err := client.New(base, "presence="+presence, client.Handlers{Event: onEvent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func send(t *testing.T, c *client.Client, packet string) {
	t.Helper()
	if err := c.Send(packet); err != nil {
		t.Fatal(err)
	}
}
