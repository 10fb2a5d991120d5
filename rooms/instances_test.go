package rooms_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// Several instances whose changes reach each other late, and in an order that
// only each sender keeps; one or the other is cut off for a while and compares
// afterwards. At rest all of them must show the same.

// A network is the instances and what is under way between them.
type network struct {
	random     *rand.Rand
	now        int64 // microseconds
	instances  []*node
	opened     int
	registered int                              // for distinct data
	spoil      func(to string, c *rooms.Change) // a fault, for controls; or nil
}

// A node is an instance with its store, whose watcher it calls when it likes.
type node struct {
	*memory.Store
	name    string
	net     *network
	rooms   *rooms.Rooms
	skew    int64
	last    int64
	own     map[rooms.EntryKey]rooms.Entry
	known   map[rooms.EntryKey]rooms.Entry // of the others
	watcher func([]rooms.Change)
	inbox   map[string][]rooms.Change // by sender
	away    bool                      // cut off
	conns   []*conn
}

func (n *node) Now() int64 {
	n.last = max(n.last+1, n.net.now+n.skew)
	return n.last
}

func (n *node) Put(e rooms.Entry) {
	n.own[e.EntryKey] = e
	n.send(rooms.Change{Entry: e})
}

func (n *node) Remove(p rooms.EntryKey, reason rooms.Reason) {
	if _, ok := n.own[p]; ok {
		delete(n.own, p)
		n.send(removal(p, reason))
	}
}

func removal(p rooms.EntryKey, reason rooms.Reason) rooms.Change {
	return rooms.Change{Entry: rooms.Entry{EntryKey: p}, Removed: true, Reason: reason}
}

func (n *node) Watch(f func([]rooms.Change)) func() {
	n.watcher = f
	return func() {}
}

func (n *node) send(c rooms.Change) {
	for _, to := range n.net.instances {
		if to != n {
			to.inbox[n.name] = append(to.inbox[n.name], c)
		}
	}
}

// receive takes the next change of one sender, and reports whether there was one.
func (n *node) receive(from string) bool {
	if len(n.inbox[from]) == 0 {
		return false
	}
	c := n.inbox[from][0]
	n.inbox[from] = n.inbox[from][1:]
	n.take(c)
	return true
}

func (n *node) take(c rooms.Change) {
	if c.Removed {
		delete(n.known, c.Entry.EntryKey)
	} else {
		n.known[c.Entry.EntryKey] = c.Entry
	}
	if n.net.spoil != nil {
		n.net.spoil(n.name, &c)
	}
	n.watcher([]rooms.Change{c})
}

// compare makes what is known of another instance right at once, in any order,
// as after an outage.
func (n *node) compare(from *node) {
	n.inbox[from.name] = nil
	keys := slices.SortedFunc(maps.Keys(from.own), func(a, b rooms.EntryKey) int {
		return strings.Compare(a.List+a.Key, b.List+b.Key)
	})
	n.net.random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, p := range keys {
		n.take(rooms.Change{Entry: from.own[p]})
	}
	for p, e := range n.known {
		if _, there := from.own[p]; e.Instance == from.name && !there {
			n.take(removal(p, rooms.Closed))
		}
	}
}

func newNetwork(seed uint64, n int, spoil func(string, *rooms.Change)) *network {
	net := &network{random: rand.New(rand.NewPCG(seed, 2)), now: 1_000_000, spoil: spoil}
	for i := range n {
		one := &node{
			Store: memory.New(), name: string(rune('A' + i)), net: net, skew: net.random.Int64N(2000),
			own: map[rooms.EntryKey]rooms.Entry{}, known: map[rooms.EntryKey]rooms.Entry{}, inbox: map[string][]rooms.Change{},
		}
		one.rooms = rooms.New(rooms.Options{Instance: one.name, Bus: &memory.Bus{}}, one, &sender{})
		net.instances = append(net.instances, one)
	}
	return net
}

func (net *network) step() error {
	net.now += net.random.Int64N(300)
	n := net.instances[net.random.IntN(len(net.instances))]
	from := net.instances[net.random.IntN(len(net.instances))]
	switch p := net.random.IntN(100); {
	case p < 40:
		if !n.away && !from.away {
			n.receive(from.name)
		}
	case p < 50:
		n.rooms.Flush(net.random.IntN(2) == 0)
	case p < 53:
		if n.away = !n.away; !n.away {
			net.reunite(n)
		}
	case p < 63 || len(n.conns) == 0:
		net.opened++
		c := &conn{id: fmt.Sprintf("%x-%d", net.random.IntN(16), net.opened)}
		n.conns = append(n.conns, c)
		return c.connect(n.rooms, handshake([]string{"", changes}[net.random.IntN(2)], nil))
	case p < 70:
		i := net.random.IntN(len(n.conns))
		n.conns[i].disconnect()
		n.conns = slices.Delete(n.conns, i, i+1)
	default:
		return net.act(n.conns[net.random.IntN(len(n.conns))])
	}
	return nil
}

// reunite compares an instance that was cut off with those that are not.
func (net *network) reunite(n *node) {
	for _, other := range net.instances {
		if other != n && !other.away {
			n.compare(other)
			other.compare(n)
		}
	}
}

func (net *network) act(c *conn) (err error) {
	switch p := net.random.IntN(20); {
	case p < 7:
		net.registered++
		id := net.random.IntN(4)
		_, err = c.handle("register", fmt.Sprintf(`{"id":%d,"k":"%d","n":%d}`, id, id, net.registered))
	case p < 8:
		_, err = c.handle("unregister")
	case p < 12:
		_, err = c.handle("status", []string{`"active"`, `"away"`, `"hidden"`}[net.random.IntN(3)])
	case p < 17:
		_, err = c.handle("join", fmt.Sprintf(`{"room":"r","username":"n%d"}`, net.random.IntN(4)))
	case p < 19:
		_, _ = c.handle("leave", `{"room":"r"}`) // refused if it is not in it
	default:
		_, err = c.handle("sync")
	}
	return err
}

// rest lets everything arrive, and what follows from it.
func (net *network) rest() {
	for _, n := range net.instances {
		if n.away {
			n.away = false
			net.reunite(n)
		}
	}
	for again := true; again; {
		again = false
		for _, n := range net.instances {
			for _, from := range net.instances {
				for n.receive(from.name) {
					again = true // and something may follow
				}
			}
		}
	}
	for _, n := range net.instances {
		n.rooms.Sweep(time.Now().Add(time.Hour))
		n.rooms.Flush(true)
	}
}

// agree checks that all instances show the same, and that it is right.
func (net *network) agree() error {
	first := net.instances[0]
	for _, n := range net.instances[1:] {
		if a, b := string(first.rooms.OnlineUsers()), string(n.rooms.OnlineUsers()); a != b {
			return fmt.Errorf("%s lists\n  %s\n%s lists\n  %s", first.name, a, n.name, b)
		}
		if a, b := first.rooms.RoomUsers("r"), n.rooms.RoomUsers("r"); !slices.Equal(a, b) {
			return fmt.Errorf("in the room %s has\n  %s\n%s has\n  %s", first.name, a, n.name, b)
		}
	}
	latest := make(map[string]rooms.Entry) // by user
	for _, n := range net.instances {
		for p, e := range n.own {
			before := latest[e.UserID]
			if p.List == rooms.Online && cmp.Or(cmp.Compare(e.RegisteredAt, before.RegisteredAt), // ties by instance and socket
				cmp.Compare(e.Instance, before.Instance), cmp.Compare(e.Key, before.Key)) > 0 {
				latest[e.UserID] = e
			}
		}
	}
	list := string(first.rooms.OnlineUsers())
	for id, e := range latest {
		if shown := strings.Contains(list, `"k":"`+id+`"`); shown && !strings.Contains(list, string(e.Data)) {
			return fmt.Errorf("of %s the latest is %s, the list is %s", id, e.Data, list)
		}
	}
	return net.checkClients(list)
}

// checkClients checks what the sockets make of what they received.
func (net *network) checkClients(list string) error {
	sorted := func(list string) []string {
		users := strings.Split(strings.Trim(list, "[{}]"), "},{")
		slices.Sort(users)
		return users
	}
	for _, n := range net.instances {
		for _, c := range n.conns {
			client := client{}
			events, _ := c.take()
			for _, e := range events {
				if err := client.apply(e); err != nil && !strings.HasPrefix(e.Name, "user_") {
					return fmt.Errorf("%s on %s: %w", c.id, n.name, err)
				}
			}
			if got := text(client.users); client.known && !slices.Equal(sorted(got), sorted(list)) {
				return fmt.Errorf("%s on %s has %s, the list is %s", c.id, n.name, got, list)
			}
		}
	}
	return nil
}

func playInstances(seed uint64, spoil func(string, *rooms.Change)) error {
	net := newNetwork(seed, 3, spoil)
	for n := range 400 {
		if err := net.step(); err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
	}
	net.rest()
	return net.agree()
}

func TestInstancesShowTheSame(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(300) {
		if err := playInstances(base+i, nil); err != nil {
			t.Fatalf("seed %d: %v", base+i, err)
		}
	}
}

// The controls: each of these faults of what reaches another instance must be
// noticed.
func TestFaultyInstancesAreNoticed(t *testing.T) {
	arrived := int64(0)
	joinedOnArrival := func(online bool) func(string, *rooms.Change) {
		return func(_ string, c *rooms.Change) {
			if arrived++; online == (!c.Removed && c.Entry.List == rooms.Online) {
				c.Entry.JoinedAt = 2_000_000 + arrived
			}
		}
	}
	for fault, spoil := range map[string]func(string, *rooms.Change){
		"registrations without a time":        func(_ string, c *rooms.Change) { c.Entry.RegisteredAt = 0 },
		"joining is arriving, online":         joinedOnArrival(true),
		"joining is arriving, in rooms":       joinedOnArrival(false),
		"coming back from hiding has no time": func(_ string, c *rooms.Change) { c.Entry.VisibleAt = 0 },
		"one instance receives no status": func(to string, c *rooms.Change) {
			if to == "B" {
				c.Entry.Status = ""
			}
		},
	} {
		t.Run(fault, func(t *testing.T) {
			expectNoticed(t, 60, func(seed uint64) error { return playInstances(seed, spoil) })
		})
	}
}
