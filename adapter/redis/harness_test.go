package redis

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// TestMain fails the run if a goroutine outlives the tests. The same binary
// serves as an instance in a process of its own: see startProcess.
func TestMain(m *testing.M) {
	if url := os.Getenv("ROLLCALL_TEST_REDIS"); url != "" {
		if err := beInstance(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// They mostly wait, so there may be more at a time than there are cores.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	// The proxy's own pipes may be left in a send when a link is cut: not ours.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}

// skipUnderRace leaves simulated histories to make test's step simulation, which
// has them without -race: with it they take ten times as long.
func skipUnderRace(t *testing.T) {
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("without -race only")
	}
}

// An instance is a store with a watcher that notes what it is told.
type instance struct {
	t *testing.T
	*Store

	// mu guards the fields below.
	mu        sync.Mutex
	shown     map[string]string // content by name: the others' entries
	puts      []string          // content, in order
	removals  map[string][]rooms.Reason
	said      []rooms.ChatMessage
	signedOut []string
	revokedAt map[string]time.Time // what was known of a user's revocation at the sign-out
}

// name is what tests call an entry: of those online, the socket.
func name(p rooms.EntryKey) string {
	if p.List == rooms.Online {
		return p.Key
	}
	return p.List + "/" + p.Key
}

// content is what tests compare of an entry: its data, and its status if it has
// one.
func content(e rooms.Entry) string {
	if e.Status == "" {
		return string(e.Data)
	}
	return fmt.Sprintf("%s %s %d", e.Data, e.Status, e.StatusAt)
}

func open(t *testing.T, o Options) *instance {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	i := watch(t, s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // Redis may be gone by now
	})
	return i
}

func watch(t *testing.T, s *Store) *instance {
	i := &instance{t: t, Store: s, shown: make(map[string]string), removals: make(map[string][]rooms.Reason), revokedAt: make(map[string]time.Time)}
	s.Watch(func(some []rooms.Change) {
		for _, c := range some {
			i.note(c)
		}
	})
	return i
}

// openAll opens instances with n entries each, which agree.
func openAll(t *testing.T, server *redistest.Server, n int, ids ...string) []*instance {
	t.Helper()
	var all []*instance
	for _, id := range ids {
		all = append(all, open(t, Options{URL: server.URL(), Instance: id}))
		all[len(all)-1].enter(n)
	}
	agree(t, all...)
	return all
}

func (i *instance) note(c rooms.Change) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := name(c.Entry.EntryKey)
	_, there := i.shown[at]
	switch {
	case c.Message != nil:
		i.said = append(i.said, *c.Message)
	case c.SignOut != "":
		i.signedOut = append(i.signedOut, c.SignOut)
		i.revokedAt[c.SignOut] = i.RevokedAt(c.SignOut)
	case c.Removed && !there:
		i.t.Errorf("%s was told twice that %s left", i.instance, at)
	case c.Removed:
		delete(i.shown, at)
		i.removals[at] = append(i.removals[at], c.Reason)
	case c.Entry.Instance == i.instance:
		i.t.Errorf("%s was told of its own entry %s", i.instance, at)
	default:
		i.shown[at] = content(c.Entry)
		i.puts = append(i.puts, content(c.Entry))
	}
}

// view is what it was told of the others' entries, and its own.
func (i *instance) view() map[string]string {
	all := truth(i)
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.Copy(all, i.shown)
	return all
}

func (i *instance) departures() map[string][]rooms.Reason {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.removals)
}

func (i *instance) signOuts() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.signedOut)
}

// messages is those of a room that it was told.
func (i *instance) messages(room string) []rooms.ChatMessage {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(i.said), func(m rooms.ChatMessage) bool { return m.Room != room })
}

// enter puts n sockets, named after the instance.
func (i *instance) enter(n int) {
	for k := range n {
		i.put(fmt.Sprintf("%s/%d", i.instance, k), fmt.Sprintf(`{"id":"%s-%d"}`, i.instance, k))
	}
}

func (i *instance) put(socket, user string) { i.Put(online(socket, user)) }

func online(socket, user string) rooms.Entry {
	id := cmp.Or(rooms.UserID([]byte(user)), "user of "+socket)
	return rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: id, Data: []byte(user), JoinedAt: 1}
}

func (i *instance) say(room, content string) error {
	_, err := i.PostMessage(rooms.ChatPost{Room: room, Username: "somebody", Content: content})
	return err
}

// mustSay says something in a room, which must not be refused.
func (i *instance) mustSay(room, content string) {
	i.t.Helper()
	if err := i.say(room, content); err != nil {
		i.t.Fatalf("%s may not say %q: %v", i.instance, content, err)
	}
}

// repeat asks until there is an answer: on a busy machine a call may time out.
func repeat[T any](ask func() (T, error)) (got T, err error) {
	for end := time.Now().Add(adaptertest.Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got, err = ask(); err == nil {
			break
		}
	}
	return got, err
}

func (i *instance) History(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
	return repeat(func() ([]rooms.ChatMessage, error) { return i.Store.History(ctx, room) })
}

func (i *instance) LastActive(ctx context.Context, user string) (int64, error) {
	return repeat(func() (int64, error) { return i.Store.LastActive(ctx, user) })
}

func (i *instance) eventually(what string, met func() bool) {
	i.t.Helper()
	adaptertest.Eventually(i.t, i.instance+": "+what, met)
}

// awaitWritten waits until Redis has all that the instance did.
func (i *instance) awaitWritten() {
	i.t.Helper()
	i.eventually("all is written", func() bool { return i.Stats().Queued == 0 })
}

// settle waits until everybody could have evicted another wrongly: five
// renewals after it held its lease.
func settle(all ...*instance) {
	for _, i := range all {
		i.t.Helper()
		from := i.Stats().Renewals
		defer i.eventually("renewals", func() bool { return i.Stats().Renewals >= from+5 })
	}
}

// truth is what everybody should see: all that the instances hold themselves.
func truth(instances ...*instance) map[string]string {
	out := make(map[string]string)
	for _, i := range instances {
		i.Store.mu.Lock()
		for place, e := range i.own.entries {
			out[name(place)] = content(e.Entry)
		}
		i.Store.mu.Unlock()
	}
	return out
}

// agree waits until every instance is ready and shows exactly the truth, and
// Redis has it, with what follows from it for other programs.
func agree(t *testing.T, instances ...*instance) {
	t.Helper()
	want := truth(instances...)
	await := func(name string, problem func() string) {
		t.Helper()
		for end := time.Now().Add(adaptertest.Patience); problem() != ""; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s after %v: %s", name, adaptertest.Patience, problem())
			}
		}
	}
	for _, i := range instances {
		await(i.instance, func() string { return difference(i.view(), want) })
		i.eventually("ready", func() bool { return i.Ready() == nil })
	}
	keys := realKeys{instances[0].Client(), instances[0].prefix + ":"}
	await("Redis", func() string {
		all := make(map[string]string)
		for place, value := range entriesIn(keys) {
			if e, err := parseEntry(place, value); err == nil {
				value = content(e.Entry)
			}
			all[name(place)] = value
		}
		return difference(all, want)
	})
	await("Redis", func() string { return strings.Join(checkPublic(keys), "; ") })
}

// difference is "" if there is none.
func difference(got, want map[string]string) string {
	var out []string
	for at := range want {
		if got[at] != want[at] {
			out = append(out, fmt.Sprintf("%s is %q, want %q", at, got[at], want[at]))
		}
	}
	for at := range got {
		if _, ok := want[at]; !ok {
			out = append(out, at+" is still there")
		}
	}
	return strings.Join(out[:min(8, len(out))], "; ")
}

// nobodyLeft fails if any watcher saw anybody leave.
func nobodyLeft(t *testing.T, instances ...*instance) {
	t.Helper()
	for _, i := range instances {
		if gone := i.departures(); len(gone) > 0 {
			t.Errorf("%s saw %d leave, and nobody left: %v", i.instance, len(gone), gone)
		}
	}
}
