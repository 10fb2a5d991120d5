package adaptertest

import (
	"slices"
	"sync"

	"rollcall/rooms"
)

// A Cluster is the stores of several instances in one process that are told of each
// other's changes a while later, in one order: what a shared store over a network
// looks like.
type Cluster struct {
	records Store // what all of them remember

	// mu guards the fields below.
	mu      sync.Mutex
	entries map[rooms.EntryKey]rooms.Entry
	members []*Member
}

// A Member is the store of one instance.
type Member struct {
	Store      // the cluster's records
	cluster    *Cluster
	instance   string
	delivering sync.Mutex // held while the watcher is called

	// These are guarded by the cluster's mu.
	watcher func([]rooms.Change)
	inbox   []rooms.Change
	running bool // a goroutine delivers
}

// NewCluster makes one without instances. They remember in one store, of its own.
func NewCluster(records Store) *Cluster {
	c := &Cluster{records: records, entries: make(map[rooms.EntryKey]rooms.Entry)}
	c.records.Watch(func(some []rooms.Change) { // mu is held
		for _, m := range c.members {
			m.add(some...)
		}
	})
	return c
}

// Open is the store of one more instance.
func (c *Cluster) Open(instance string) *Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &Member{Store: c.records, cluster: c, instance: instance}
	c.members = append(c.members, m)
	return m
}

// Deliver tells the watchers all that has happened.
func (c *Cluster) Deliver() {
	c.mu.Lock()
	members := slices.Clone(c.members)
	c.mu.Unlock()
	for _, m := range members {
		for m.deliver() {
		}
	}
}

// Entries is all that there are.
func (c *Cluster) Entries() (all []rooms.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		all = append(all, e)
	}
	return all
}

// add queues changes for a member. The cluster's mu is held.
func (m *Member) add(changes ...rooms.Change) {
	if m.watcher == nil {
		return
	}
	m.inbox = append(m.inbox, changes...)
	if !m.running {
		m.running = true
		go m.run()
	}
}

// run delivers until there is nothing more.
func (m *Member) run() {
	for {
		m.deliver()
		m.cluster.mu.Lock()
		m.running = len(m.inbox) > 0
		running := m.running
		m.cluster.mu.Unlock()
		if !running {
			return
		}
	}
}

// deliver tells the watcher what there is, and reports whether there was anything.
func (m *Member) deliver() bool {
	m.delivering.Lock()
	defer m.delivering.Unlock()
	m.cluster.mu.Lock()
	watcher, changes := m.watcher, m.inbox
	m.inbox = nil
	m.cluster.mu.Unlock()
	if watcher == nil || len(changes) == 0 {
		return false
	}
	watcher(changes)
	return true
}

// tellOthers tells the others of a change. The cluster's mu is held.
func (m *Member) tellOthers(c rooms.Change) {
	for _, other := range m.cluster.members {
		if other != m {
			other.add(c)
		}
	}
}

// Put implements rooms.Store.
func (m *Member) Put(e rooms.Entry) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	e.Instance = m.instance
	m.cluster.entries[e.EntryKey] = e
	m.Store.Put(e)
	m.tellOthers(rooms.Change{Entry: e})
}

// Remove implements rooms.Store.
func (m *Member) Remove(p rooms.EntryKey, reason rooms.Reason) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	if _, ok := m.cluster.entries[p]; ok {
		delete(m.cluster.entries, p)
		m.Store.Remove(p, reason)
		m.tellOthers(rooms.Change{Entry: rooms.Entry{EntryKey: p}, Removed: true, Reason: reason})
	}
}

// Watch implements rooms.Store.
func (m *Member) Watch(f func([]rooms.Change)) (stop func()) {
	m.cluster.mu.Lock()
	m.watcher = f
	for _, e := range m.cluster.entries {
		if e.Instance != m.instance {
			m.add(rooms.Change{Entry: e})
		}
	}
	m.cluster.mu.Unlock()
	m.deliver()
	return func() {
		m.delivering.Lock() // waits for a call that is under way
		defer m.delivering.Unlock()
		m.cluster.mu.Lock()
		defer m.cluster.mu.Unlock()
		m.watcher, m.inbox = nil, nil
	}
}

// PostMessage implements rooms.Store.
func (m *Member) PostMessage(message rooms.ChatPost) (<-chan int64, error) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	return m.Store.PostMessage(message)
}

// SignOut implements rooms.Store.
func (m *Member) SignOut(user string) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	m.tellOthers(rooms.Change{SignOut: user})
}
