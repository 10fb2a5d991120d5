package redis

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/rooms"
)

// TestMain fails the run if a goroutine outlives the tests. The same binary
// serves as an instance in a process of its own: see startProcess.
func TestMain(m *testing.M) {
	if url := os.Getenv("ROLLCALL_TEST_REDIS"); url != "" {
		if err := beInstance(url, os.Getenv("ROLLCALL_TEST_INSTANCE")); err != nil {
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

// bound is generous: a busy machine may take long. How soon things are right is
// held by the simulation, in virtual time.
const bound = 30 * time.Second

// An instance is a store under test with a watcher that keeps account.
type instance struct {
	t *testing.T
	*Store

	// mu guards the fields below.
	mu        sync.Mutex
	present   map[string]string // data by name
	removals  map[string][]rooms.Reason
	puts      map[string]int
	said      []rooms.ChatMessage
	signedOut []string
}

// name is what the account calls an entry: of those online, the socket.
func name(p rooms.EntryKey) string {
	if p.List == rooms.Online {
		return p.Key
	}
	return p.List + "/" + p.Key
}

// content is what the account notes of an entry: its data, and its status if
// it has one.
func content(e rooms.Entry) string {
	if e.Status == "" {
		return string(e.Data)
	}
	return fmt.Sprintf("%s %s %d", e.Data, e.Status, e.StatusAt)
}

func open(t *testing.T, o Options) *instance {
	t.Helper()
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, Store: r}
	i.forget()
	stop := r.Watch(func(some []rooms.Change) {
		for _, c := range some {
			i.see(c)
		}
	})
	t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.Close(ctx) // Redis may be gone by now
	})
	return i
}

// opens opens instances that are settled with each other.
func opens(t *testing.T, url string, ids ...string) []*instance {
	t.Helper()
	var out []*instance
	for _, id := range ids {
		out = append(out, open(t, Options{URL: url, Instance: id}))
	}
	for _, i := range out {
		i.eventually("ready", bound, func() bool { return i.Ready() == nil })
		// Before it has held its lease for that long it would suspect nobody.
		i.eventually("a failure detector", 2*bound, func() bool { return i.renewals() > 4 })
	}
	return out
}

func (i *instance) see(c rooms.Change) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case c.Message != nil:
		i.said = append(i.said, *c.Message)
		return
	case c.SignOut != "":
		i.signedOut = append(i.signedOut, c.SignOut)
		return
	}
	socket := name(c.Entry.EntryKey)
	if c.Entry.Instance == i.instance {
		i.t.Errorf("%s was told of its own entry %s", i.instance, socket)
	}
	if c.Removed {
		if _, ok := i.present[socket]; !ok {
			i.t.Errorf("%s was told twice that %s left", i.Instance(), socket)
		}
		delete(i.present, socket)
		i.removals[socket] = append(i.removals[socket], c.Reason)
		return
	}
	i.present[socket] = content(c.Entry)
	i.puts[socket]++
}

func (i *instance) renewals() uint64 { return i.Stats().Renewals }

// forget begins the account of removals and puts anew.
func (i *instance) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.removals, i.puts = make(map[string][]rooms.Reason), make(map[string]int)
	if i.present == nil {
		i.present = make(map[string]string)
	}
}

// view is what it was told of the others' entries, and its own.
func (i *instance) view() map[string]string {
	own := truth(i)
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.Copy(own, i.present)
	return own
}

func (i *instance) departures() map[string][]rooms.Reason {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.removals)
}

// enter puts n sockets, named after the instance.
func (i *instance) enter(n int) {
	for k := range n {
		i.put(fmt.Sprintf("%s/%d", i.Instance(), k), fmt.Sprintf(`{"id":"%s-%d"}`, i.Instance(), k))
	}
}

func (i *instance) put(socket, user string) {
	i.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: cmp.Or(rooms.UserID([]byte(user)), "user of "+socket), Data: []byte(user), JoinedAt: 1})
}

// eventually waits for a condition, and fails when it takes too long.
func (i *instance) eventually(what string, within time.Duration, met func() bool) time.Duration {
	i.t.Helper()
	return eventually(i.t, i.Instance()+": "+what, within, met)
}

func eventually(t *testing.T, what string, within time.Duration, met func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	for !met() {
		if time.Since(started) > within {
			t.Fatalf("after %v there is still not: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(started)
}

// settle lets everybody hold a lease for long enough to suspect the others, so
// that a wrong eviction shows.
func settle(all ...*instance) {
	for _, i := range all {
		i.t.Helper()
		from := i.renewals()
		defer i.eventually("renewals", 4*bound, func() bool { return i.renewals() >= from+5 })
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

// agree waits until every instance and Redis show exactly the truth.
func agree(t *testing.T, within time.Duration, instances ...*instance) time.Duration {
	t.Helper()
	started := time.Now()
	want := truth(instances...)
	for _, i := range instances {
		left := max(time.Millisecond, within-time.Since(started))
		if !waitUntil(left, func() bool { return maps.Equal(i.view(), want) }) {
			t.Fatalf("%s after %v: %s", i.Instance(), within, difference(i.view(), want))
		}
		i.eventually("ready", left, func() bool { return i.Ready() == nil })
		i.Store.mu.Lock()
		if slices.Contains(i.others.instances(), i.instance) { // it would suspect itself
			t.Errorf("%s takes itself for another", i.instance)
		}
		i.Store.mu.Unlock()
	}
	inRedis := func() map[string]string { return inRedis(t, instances[0]) }
	if !waitUntil(max(time.Second, within-time.Since(started)), func() bool { return maps.Equal(inRedis(), want) }) {
		t.Fatalf("Redis after %v: %s", within, difference(inRedis(), want))
	}
	return time.Since(started)
}

// inRedis is all entries that Redis has, in either hash.
func inRedis(t *testing.T, i *instance) map[string]string {
	t.Helper()
	out := make(map[string]string)
	add := func(place rooms.EntryKey, value string) {
		e, err := parseEntry(place, value)
		if err != nil {
			t.Fatalf("entry of %v in Redis: %q", place, value)
		}
		out[name(place)] = content(e.Entry)
	}
	for socket, value := range i.client.HGetAll(context.Background(), i.prefix+":users").Val() {
		add(rooms.EntryKey{Key: socket}, value)
	}
	for at, value := range i.client.HGetAll(context.Background(), i.prefix+":entries").Val() {
		place, ok := parseAddress(at)
		if !ok {
			t.Fatalf("address %q in Redis", at)
		}
		add(place, value)
	}
	return out
}

func waitUntil(within time.Duration, met func() bool) bool {
	for end := time.Now().Add(within); !met(); {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

func difference(got, want map[string]string) string {
	var out []string
	for socket := range want {
		if got[socket] != want[socket] {
			out = append(out, fmt.Sprintf("%s is %q, want %q", socket, got[socket], want[socket]))
		}
	}
	for socket := range got {
		if _, ok := want[socket]; !ok {
			out = append(out, socket+" is still there")
		}
	}
	return fmt.Sprintf("%d differences: %s", len(out), strings.Join(out[:min(8, len(out))], "; "))
}

// nobodyLeft fails if any watcher saw anybody leave.
func nobodyLeft(t *testing.T, instances ...*instance) {
	t.Helper()
	for _, i := range instances {
		if gone := i.departures(); len(gone) > 0 {
			t.Errorf("%s saw %d leave, and nobody left: %v", i.Instance(), len(gone), gone)
		}
	}
}

// leftOnce fails unless all sockets with a prefix left exactly once, and
// nobody else did.
func leftOnce(t *testing.T, i *instance, prefix string, n int, reason rooms.Reason) {
	t.Helper()
	gone := i.departures()
	for socket, reasons := range gone {
		if !strings.HasPrefix(socket, prefix) || len(reasons) != 1 || reasons[0] != reason {
			t.Errorf("%s saw %s leave for %v", i.Instance(), socket, reasons)
		}
	}
	if len(gone) != n {
		t.Errorf("%s saw %d leave, want %d", i.Instance(), len(gone), n)
	}
}

// A process is an instance in a process of its own, to be killed for real.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
}

// startProcess starts an instance with n sockets, named as by enter.
func startProcess(t *testing.T, url, id string, n int) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLLCALL_TEST_REDIS="+url, "ROLLCALL_TEST_INSTANCE="+id)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, cmd, in}
	t.Cleanup(p.kill)
	for k := range n {
		fmt.Fprintf(in, "%s/%d {\"id\":\"%s-%d\"}\n", id, k, id, k)
	}
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may be gone
		_ = p.cmd.Wait()         // it was killed: the error says just that
	}
}

// beInstance is that process: it puts an entry a line of its input, and closes
// in order at the end of it.
func beInstance(url, id string) error {
	r, err := Open(context.Background(), Options{URL: url, Instance: id})
	if err != nil {
		return err
	}
	r.Watch(func([]rooms.Change) {})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		socket, user, _ := strings.Cut(lines.Text(), " ")
		r.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: cmp.Or(rooms.UserID([]byte(user)), "user of "+socket), Data: []byte(user), JoinedAt: 1})
	}
	return r.Close(context.Background())
}
