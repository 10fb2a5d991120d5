package pubsub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

func TestContract(t *testing.T) {
	server := redistest.Start(t)
	adaptertest.RunBus(t, func(t *testing.T, n int) []rooms.Bus {
		var buses []rooms.Bus
		for range n {
			buses = append(buses, openBus(t, server, Options{Key: "a*[k]?" + t.Name()}))
		}
		return buses
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openBus opens a bus on a client of its own and waits until it listens.
func openBus(t *testing.T, server *redistest.Server, o Options) *Bus {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
	})
	b := New(client, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		client.Close()
	})
	adaptertest.Eventually(t, "the subscription", func() bool { return b.Ready() == nil })
	return b
}

// An inbox is what a bus's subscriber got: event names and arguments.
type inbox struct {
	mu   sync.Mutex // guards what
	what []string
}

func subscribe(b rooms.Bus) *inbox {
	h := &inbox{}
	b.Subscribe(func(m rooms.Broadcast) {
		text := m.Event.Name
		for _, arg := range m.Event.Args {
			text += " " + string(arg)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.what = append(h.what, text)
	})
	return h
}

func (h *inbox) count(text string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, one := range h.what {
		if one == text {
			n++
		}
	}
	return n
}

func (h *inbox) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.what, "\n")
}

// dialing tells whether a client that has been closed still tries to dial: it
// notices after a second at most, which is more than goleak waits.
func dialing() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("(*ConnPool).tryDial"))
}

func named(name string) rooms.Broadcast { return rooms.Broadcast{Event: rooms.Event{Name: name}} }

// A message to one room goes to that room's channel, where Node servers that
// have the room listen.
func TestBusChannels(t *testing.T) {
	server := redistest.Start(t)
	b := openBus(t, server, Options{})
	sub := server.Client().PSubscribe(t.Context(), "*")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rooms   []string
		channel string
	}{{nil, "socket.io#/#"}, {[]string{"user:5"}, "socket.io#/#user:5#"}, {[]string{"a", "b"}, "socket.io#/#"}} {
		b.Publish(rooms.Broadcast{Event: rooms.Event{Name: "e"}, Rooms: c.rooms})
		got, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Channel != c.channel {
			t.Errorf("to %q: channel %q, want %q", c.rooms, got.Channel, c.channel)
		}
	}
	// Node servers count those who listen for requests, and wait for them.
	for _, channel := range []string{"socket.io-request#/#", "socket.io-response#/#"} {
		if n := server.Client().PubSubNumSub(t.Context(), channel).Val()[channel]; n != 0 {
			t.Errorf("%d listen on %s", n, channel)
		}
	}
}

// What is refused is counted, logged once, and reaches nobody; the bus goes on.
func TestBusRefusesFromElsewhere(t *testing.T) {
	server := redistest.Start(t)
	var log adaptertest.Log
	b := openBus(t, server, Options{MaxMessage: 1000, Log: log.Logger()})
	got := subscribe(b)
	refused := []string{"", "x", "\x93", "{}", string(pack(t, []any{"u"})), strings.Repeat("x", 1001),
		string(pack(t, []any{"u", map[string]any{"type": 2, "data": []any{"bytes", []byte{1}}}, map[string]any{}})),
		string(pack(t, []any{"u", map[string]any{"type": 2, "data": []any{"connect"}}, map[string]any{}})),
	}
	for range 50 {
		for _, payload := range refused {
			server.Do("PUBLISH", "socket.io#/#", payload)
		}
	}
	server.Do("PUBLISH", "socket.io#/#", pack(t, []any{"u", map[string]any{"type": 2, "data": []any{"good"}}, map[string]any{}}))
	server.Do("PUBLISH", "socket.io#/other#", pack(t, []any{"u", map[string]any{"type": 2, "data": []any{"bad"}, "nsp": "/other"}, map[string]any{}}))
	server.Do("PUBLISH", "socket.io#/#room#", pack(t, []any{"u", map[string]any{"type": 2, "data": []any{"last"}}, map[string]any{}}))
	adaptertest.Eventually(t, "the last message", func() bool { return got.count("last") == 1 })
	if got.all() != "good\nlast" {
		t.Errorf("got %q", got.all())
	}
	if s := b.Stats(); s.Refused != uint64(50*len(refused)) || s.Received != 2 {
		t.Errorf("counted %+v", s)
	}
	if n := strings.Count(log.String(), "a message from Redis cannot be brought to clients"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, log.String())
	}
}

// While Redis is gone, own subscribers are served, Publish does not wait, what
// waits is bounded, and the log says it once. Back, the bus is whole again.
func TestBusOutage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var log adaptertest.Log
	t.Cleanup(func() { adaptertest.Eventually(t, "the end of dialing", func() bool { return !dialing() }) })
	a, b := openBus(t, server, Options{Log: log.Logger(), IdleTimeout: 10 * time.Second, PublishTimeout: 1500 * time.Millisecond}), openBus(t, server, Options{IdleTimeout: 10 * time.Second})
	own, other := subscribe(a), subscribe(b)
	server.Kill()
	adaptertest.Eventually(t, "the loss", func() bool { return a.Ready() != nil && b.Ready() != nil })
	for i := range 200 {
		a.Publish(named(fmt.Sprintf("lost %d", i)))
		if own.count(fmt.Sprintf("lost %d", i)) != 1 {
			t.Fatal("an own subscriber was not called")
		}
	}
	adaptertest.Eventually(t, "the drops", func() bool { return a.Stats().Dropped == 200 && a.Stats().Queued == 0 })
	server.Restart()
	adaptertest.Eventually(t, "the subscriptions", func() bool { return a.Ready() == nil && b.Ready() == nil })
	a.Publish(named("back"))
	b.Publish(named("too"))
	adaptertest.Eventually(t, "messages both ways", func() bool { return other.count("back") == 1 && own.count("too") == 1 })
	if other.all() != "back\ntoo" && other.all() != "too\nback" {
		t.Errorf("the other got %q", other.all())
	}
	for _, text := range []string{"messages from other instances are not received", "messages from other instances are received again", "a message does not reach other instances"} {
		if n := strings.Count(log.String(), text); n != 1 {
			t.Errorf("%d times %q in the log:\n%s", n, text, log.String())
		}
	}
}

// CLIENT KILL and a server that hangs: the bus is back by itself.
func TestBusReconnects(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*redistest.Server){
		"killed": func(s *redistest.Server) {
			s.Do("CLIENT", "KILL", "TYPE", "pubsub")
			s.Do("CLIENT", "KILL", "TYPE", "normal")
		},
		"hung": func(s *redistest.Server) { s.Do("DEBUG", "SLEEP", "1.5") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a, b := openBus(t, server, Options{IdleTimeout: 500 * time.Millisecond}), openBus(t, server, Options{IdleTimeout: 500 * time.Millisecond})
			got := subscribe(b)
			fault(server)
			// A message may be lost around the fault, but none is doubled.
			n := 0
			adaptertest.Eventually(t, "a message", func() bool {
				n++
				a.Publish(named(fmt.Sprint(n)))
				return got.count(fmt.Sprint(n-1)) > 0
			})
			for i := range n {
				if got.count(fmt.Sprint(i)) > 1 {
					t.Errorf("message %d was doubled", i)
				}
			}
		})
	}
}

// A Redis that takes nothing: the queue is full, the rest is dropped and
// counted, and Publish does not wait.
func TestBusQueueIsBounded(t *testing.T) {
	server := redistest.Start(t)
	b := openBus(t, server, Options{MaxQueue: 10_000})
	own := subscribe(b)
	server.Do("CLIENT", "PAUSE", "60000", "WRITE") // PUBLISH counts as one
	for range 2000 {
		b.Publish(named("x"))
	}
	s := b.Stats()
	if s.Queued > 10_000 || s.Queued < 5_000 || s.Dropped == 0 {
		t.Errorf("counted %+v", s)
	}
	if n := own.count("x"); n != 2000 {
		t.Errorf("own subscribers got %d", n)
	}
	server.Do("CLIENT", "UNPAUSE")
	adaptertest.Eventually(t, "an empty queue", func() bool { return b.Stats().Queued == 0 })
	if s := b.Stats(); s.Published+s.Dropped != 2000 || s.Published == 0 {
		t.Errorf("counted %+v", s)
	}
}

// Close publishes what is queued.
func TestBusCloseFlushes(t *testing.T) {
	server := redistest.Start(t)
	other := openBus(t, server, Options{})
	got := subscribe(other)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	b := New(client, Options{})
	for range 1000 {
		b.Publish(named("x"))
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	adaptertest.Eventually(t, "all messages", func() bool { return got.count("x") == 1000 })
	b.Publish(named("late")) // goes nowhere, and does no harm
	if s := b.Stats(); s.Published != 1000 || s.Dropped != 1 {
		t.Errorf("counted %+v", s)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// If Redis does not take it, Close ends with its context and says so.
	server.Do("CLIENT", "PAUSE", "60000", "WRITE")
	defer server.Do("CLIENT", "UNPAUSE")
	stuck := New(client, Options{})
	stuck.Publish(named("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stuck.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
}
