package adaptertest

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/rooms"
)

// RunBus checks a bus. open returns n handles on one fresh bus, as n instances
// would have them, each hearing the others; it cleans up by t.Cleanup. A bus of
// one process returns one handle n times.
func RunBus(t *testing.T, open func(t *testing.T, n int) []rooms.Bus) {
	for _, c := range busContract {
		t.Run(c.name, func(t *testing.T) {
			c.run(&busSuite{t, open(t, c.instances), Patience})
		})
	}
}

type busSuite struct {
	reporter
	buses    []rooms.Bus
	patience time.Duration
}

type busCheck struct {
	name      string
	instances int
	run       func(*busSuite)
}

var busContract = []busCheck{
	{"the own subscribers have been called when Publish returns", 2, busOwnFirst},
	{"messages arrive whole", 2, busWhole},
	{"numbers, text and order of keys are kept", 2, busValues},
	{"each publisher's order is kept, nothing is lost or doubled", 3, busOrder},
	{"what is no event reaches nobody", 2, busRefusals},
	{"stopped is stopped, and the past is not told", 2, busStopped},
}

// A mailbox is a subscriber that keeps what it is told, as text.
type mailbox struct {
	s      *busSuite
	stop   func()
	inside atomic.Bool

	// mu guards the fields below.
	mu       sync.Mutex
	messages []string
	overlap  bool
}

func (s *busSuite) subscribe(i int) *mailbox {
	b := &mailbox{s: s}
	b.stop = s.buses[i].Subscribe(b.take)
	return b
}

func (s *busSuite) subscribeAll() []*mailbox {
	var boxes []*mailbox
	for i := range s.buses {
		boxes = append(boxes, s.subscribe(i))
	}
	return boxes
}

func (b *mailbox) take(m rooms.Broadcast) {
	alone := b.inside.CompareAndSwap(false, true)
	runtime.Gosched() // a call beside this one gets its chance to show
	b.mu.Lock()
	b.messages = append(b.messages, asText(m))
	b.overlap = b.overlap || !alone
	b.mu.Unlock()
	b.inside.Store(false)
}

// asText is what the contract promises of a message: none and no rooms are one.
func asText(m rooms.Broadcast) string {
	args := make([]string, len(m.Event.Args))
	for i, arg := range m.Event.Args {
		args[i] = string(arg)
	}
	return fmt.Sprintf("%q(%s) to %q except %q", m.Event.Name, strings.Join(args, ", "), m.Rooms, m.Except)
}

func (b *mailbox) seen() []string {
	b.s.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.overlap {
		b.s.Fatalf("a subscriber was called while it was being called")
	}
	return slices.Clone(b.messages)
}

// await waits for n messages.
func (b *mailbox) await(n int) []string {
	b.s.Helper()
	deadline := time.Now().Add(b.s.patience)
	for {
		seen := b.seen()
		if len(seen) >= n {
			return seen
		}
		if time.Now().After(deadline) {
			b.s.Fatalf("waited in vain for %d messages; was told %d", n, len(seen))
		}
		time.Sleep(time.Millisecond)
	}
}

// told fails unless these messages were told, and no others.
func (s *busSuite) told(what string, got []string, want ...rooms.Broadcast) {
	s.Helper()
	var texts []string
	for _, m := range want {
		texts = append(texts, asText(m))
	}
	for i := range min(len(got), len(texts)) {
		if got[i] != texts[i] {
			s.Fatalf("%s was told, as number %d, %.500s; want %.500s", what, i+1, got[i], texts[i])
		}
	}
	if len(got) != len(texts) {
		s.Fatalf("%s was told %d messages, want %d", what, len(got), len(texts))
	}
}

func event(name string, args ...string) rooms.Broadcast {
	m := rooms.Broadcast{Event: rooms.Event{Name: name}}
	for _, arg := range args {
		m.Event.Args = append(m.Event.Args, json.RawMessage(arg))
	}
	return m
}

// last is what a test publishes after everything else: when it has arrived, so
// has all that will.
var last = event("last")

func busOwnFirst(s *busSuite) {
	boxes := s.subscribeAll()
	var want []rooms.Broadcast
	for i := range 20 {
		want = append(want, event("e", fmt.Sprint(i)))
		s.buses[0].Publish(want[i])
		s.told("the own subscriber, when Publish has returned,", boxes[0].seen(), want...)
	}
	for _, b := range boxes {
		s.told("a subscriber of any instance", b.await(len(want)), want...)
	}
}

func busWhole(s *busSuite) {
	boxes := s.subscribeAll()
	addressed := func(to, except []string) rooms.Broadcast {
		m := event("notice", `1`, `"two"`)
		m.Rooms, m.Except = to, except
		return m
	}
	want := []rooms.Broadcast{
		addressed(nil, nil),
		addressed([]string{"user:5"}, nil),
		addressed([]string{"user:5", "b", "#", "a*[b]?\\ü"}, []string{"c"}),
		addressed([]string{"#/#"}, []string{"", "d"}),
		addressed(nil, []string{"5"}),
		event("no arguments"),
		event("Ünï \"quoted\"\n", `[]`, `{}`, `null`),
	}
	for _, m := range want {
		s.buses[0].Publish(m)
	}
	for _, b := range boxes {
		s.told("a subscriber", b.await(len(want)), want...)
	}
}

func busValues(s *busSuite) {
	boxes := s.subscribeAll()
	var want []rooms.Broadcast
	for _, value := range []string{
		`{"z":1,"a":{"y":[1,{"x":2,"b":3}],"":null},"5":true,"__proto__":false}`,
		`[0,-1,127,128,-32,-33,255,256,65535,65536,4294967295,4294967296,-128,-129,-32768,-32769,-2147483648,-2147483649]`,
		`[9007199254740993,-9007199254740993,9223372036854775807,-9223372036854775808,18446744073709551615]`,
		`[0.1,-0.5,3.141592653589793,5e-324,1.7976931348623157e+308,1e+21,-0]`,
		`"a <b> & 'c' \"d\" \\ / \u0000 \u001f` + "\u2028 ü 漢 😀" + `"`,
		`"` + strings.Repeat("x", 70_000) + `"`,
		`[` + strings.Repeat(`1,`, 70_000) + `1]`,
		strings.Repeat(`[`, rooms.MaxDepth) + strings.Repeat(`]`, rooms.MaxDepth),
	} {
		want = append(want, event("value", value))
	}
	for _, m := range want {
		s.buses[0].Publish(m)
	}
	for _, b := range boxes {
		s.told("a subscriber", b.await(len(want)), want...)
	}
}

// busOrder publishes from several goroutines at each instance.
func busOrder(s *busSuite) {
	const publishers, each = 3, 300
	boxes := append(s.subscribeAll(), s.subscribe(0))
	var publishing sync.WaitGroup
	for i, bus := range s.buses {
		for j := range publishers {
			publishing.Go(func() {
				for n := range each {
					bus.Publish(event(fmt.Sprintf("%d-%d", i, j), fmt.Sprint(n)))
				}
			})
		}
	}
	publishing.Wait()
	for _, b := range boxes {
		next := make(map[string]int)
		for _, text := range b.await(len(s.buses) * publishers * each) {
			from, rest, _ := strings.Cut(text, "(")
			n, _, _ := strings.Cut(rest, ")")
			if n != fmt.Sprint(next[from]) {
				s.Fatalf("of publisher %s message %s came when %d was next", from, n, next[from])
			}
			next[from]++
		}
		for from, n := range next {
			if n != each {
				s.Fatalf("of publisher %s came %d messages", from, n)
			}
		}
	}
}

func busRefusals(s *busSuite) {
	boxes := s.subscribeAll()
	for _, m := range []rooms.Broadcast{
		event(""), event("connect"), event("connect_error"), event("disconnect"), event("disconnecting"),
		event("newListener"), event("removeListener"),
		event("e", `{`), event("e", ``), event("e", `1 2`), event("e", "\"\xff\""), event("e", `1`, `undefined`),
	} {
		s.buses[0].Publish(m)
	}
	s.buses[0].Publish(last)
	for _, b := range boxes {
		s.told("a subscriber", b.await(1), last)
	}
}

func busStopped(s *busSuite) {
	early, stayer := s.subscribe(0), s.subscribe(1)
	s.buses[0].Publish(event("one"))
	stayer.await(1)
	early.stop()
	early.stop()
	late := s.subscribe(0)
	s.buses[0].Publish(event("two"))
	s.buses[0].Publish(last)
	late.await(2)
	s.told("who stopped", early.seen(), event("one"))
	s.told("who stayed", stayer.await(3), event("one"), event("two"), last)
	s.told("who came late", late.seen(), event("two"), last)
}
