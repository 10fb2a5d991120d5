package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"rollcall/e2e/client"
)

// A member is one tab of somebody who is online or wants to be: the members are
// the truth that the watchers must see.
type member struct {
	d  *deployment
	id string // the user's
	// onEvent gets every event, ended is called at a connection's end; both may be nil.
	onEvent func(at time.Time, event string, args []json.RawMessage)
	ended   func()
	// settle is what it does with each new connection, once it is registered; nil: nothing.
	settle func(*client.Client) error

	mu      sync.Mutex // guards all below
	user    string     // JSON; "": it does not register
	returns bool       // connects again when it is dropped, as browsers do
	wanted  bool       // wants to be online
	home    *instance  // where it is or was last connected
	client  *client.Client
	lost    int // how many connections ended
}

func userJSON(id string, version int) string {
	return fmt.Sprintf(`{"id":%q,"name":"%s, version %d"}`, id, id, version)
}

// newMember is a member that has not joined yet.
func (d *deployment) newMember(id string, returns bool) *member {
	m := &member{d: d, id: id, user: userJSON(id, 0), returns: returns}
	d.mu.Lock()
	d.members = append(d.members, m)
	d.mu.Unlock()
	return m
}

// join adds a member and has it online when it returns.
func (d *deployment) join(in *instance, id string) *member {
	d.t.Helper()
	m := d.newMember(id, false)
	m.join(in)
	return m
}

// join comes online at an instance.
func (m *member) join(in *instance) {
	m.d.t.Helper()
	if err := m.tryJoin(in); err != nil {
		m.d.t.Fatalf("%s joins at %s: %v", m.id, in.name, err)
	}
}

func (m *member) tryJoin(in *instance) error {
	m.mu.Lock()
	m.wanted = true
	m.mu.Unlock()
	err := m.connect(in)
	if err != nil {
		m.mu.Lock()
		m.wanted = false
		m.mu.Unlock()
	}
	return err
}

// connect registers at an instance, as long as the member wants that.
func (m *member) connect(in *instance) error {
	c, err := client.Dial(in.port, "presence=none", client.Handlers{Event: m.onEvent, Ended: m.dropped})
	if err != nil {
		return err
	}
	for {
		m.mu.Lock()
		user, wanted := m.user, m.wanted
		m.mu.Unlock()
		if !wanted {
			c.Close()
			return nil
		}
		if err := m.enter(c, user); err != nil {
			c.Close()
			return err
		}
		if done, err := m.arrived(c, in, user); done {
			return err
		}
	}
}

func (m *member) enter(c *client.Client, user string) error {
	if user != "" {
		if err := c.Do("register", user); err != nil {
			return err
		}
	}
	if m.settle == nil {
		return nil
	}
	return m.settle(c)
}

// arrived takes a registered connection as the member's, unless what was
// registered is not what the member wants any more.
func (m *member) arrived(c *client.Client, in *instance, user string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case c.HasEnded():
		return true, client.ErrEnded
	case !m.wanted || m.user != user:
		return false, nil
	}
	m.client, m.home = c, in
	return true, nil
}

// dropped is what happens when a connection has ended.
func (m *member) dropped(c *client.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != c {
		return // not the one that counts
	}
	m.client = nil
	m.lost++
	if m.ended != nil {
		m.ended()
	}
	switch {
	case !m.wanted:
	case m.returns:
		m.d.spawn(m.comeBack)
	default:
		m.wanted = false
	}
}

// comeBack tries as the official clients do: after about a second, then after
// longer pauses.
func (m *member) comeBack() {
	for pause := time.Second; ; pause = min(2*pause, 5*time.Second) {
		if !m.d.sleep(pause/2 + rand.N(pause)) {
			return
		}
		m.mu.Lock()
		wanted := m.wanted
		m.mu.Unlock()
		if !wanted {
			return
		}
		if in := m.d.balance(); in != nil && m.connect(in) == nil {
			return
		}
	}
}

// rename changes the user's data.
func (m *member) rename(version int) error {
	m.mu.Lock()
	m.user = userJSON(m.id, version)
	user, c := m.user, m.client
	m.mu.Unlock()
	if c == nil {
		return nil // it registers as that when it is back
	}
	return c.Do("register", user)
}

// losses is how often the member's connection has ended.
func (m *member) losses() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// leave breaks the connection for good.
func (m *member) leave() {
	m.mu.Lock()
	m.wanted = false
	c := m.client
	m.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// signOut leaves politely: it unregisters, and then goes.
func (m *member) signOut() error {
	m.mu.Lock()
	m.wanted = false
	c := m.client
	m.mu.Unlock()
	if c == nil {
		return nil
	}
	err := c.Do("unregister", "")
	c.Close()
	return err
}

// online reports whether the member wants to be online, as whom and where.
func (m *member) online() (user string, home *instance, connected, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user, m.home, m.client != nil, m.wanted
}
