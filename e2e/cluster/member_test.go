package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"rollcall/e2e/client"
)

// A member is one tab of a user that is online or wants to be: the members are the
// truth that the watchers must see.
type member struct {
	d  *deployment
	id string // the user's

	presence string        // the subscription
	pause    time.Duration // before it reconnects, longer and longer
	only     *instance     // to which it reconnects, any if it is nil
	// onEvent gets every event but server_closing; it may be nil.
	onEvent func(at time.Time, event string, args []json.RawMessage)
	// begin is called before each new connection; it may be nil.
	begin func()
	// settle is what it does with each new connection, once it is registered; nil: nothing.
	settle func(*client.Client) error

	mu      sync.Mutex // guards all below
	user    string     // JSON; "": it does not register
	returns bool       // connects again when it is dropped, as browsers do
	wanted  bool       // wants to be online
	home    *instance  // where it is or was last connected
	client  *client.Client
	warned  []time.Duration // by server_closing: the time until the end
	ends    []time.Time     // of its connections
}

func userJSON(id string, version int) string {
	return fmt.Sprintf(`{"id":%q,"name":"%s, version %d"}`, id, id, version)
}

// newMember is a member that has not joined yet.
func (d *deployment) newMember(id string, returns bool) *member {
	m := &member{d: d, id: id, presence: "none", pause: time.Second, user: userJSON(id, 0), returns: returns}
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
	m.want(true)
	err := m.connect(in)
	if err != nil {
		m.want(false)
	}
	return err
}

// want sets whether the member wants to be online, and returns its connection.
func (m *member) want(online bool) *client.Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = online
	return m.client
}

// connect registers at an instance, as long as the member wants that.
func (m *member) connect(in *instance) error {
	if m.begin != nil {
		m.begin()
	}
	c, err := client.New(in.URL(""), "presence="+m.presence, client.Handlers{Event: m.event, Ended: m.dropped})
	if err != nil {
		return err
	}
	for {
		user, _, _, wanted := m.online()
		if !wanted {
			c.Close()
			return nil
		}
		err := error(nil)
		if user != "" {
			err = c.Do("register", user)
		}
		if err == nil && m.settle != nil {
			err = m.settle(c)
		}
		if err != nil {
			c.Close()
			return err
		}
		if done, err := m.arrived(c, in, user); done {
			return err
		}
	}
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

func (m *member) event(at time.Time, event string, array []byte) {
	var args []json.RawMessage
	var told struct{ In *int64 }
	if err := json.Unmarshal(array, &args); err != nil {
		m.d.t.Errorf("%s was told %s: %v", m.id, array, err)
		return
	}
	args = args[1:]
	switch {
	case event != "server_closing":
		if m.onEvent != nil {
			m.onEvent(at, event, args)
		}
	case len(args) != 1 || json.Unmarshal(args[0], &told) != nil || told.In == nil || *told.In < 0:
		m.d.t.Errorf("%s was told %s %s", m.id, event, args)
	default:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.warned = append(m.warned, time.Duration(*told.In)*time.Millisecond)
	}
}

// dropped is what happens when a connection has ended.
func (m *member) dropped(c *client.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != c {
		return // not the one that counts
	}
	m.client = nil
	m.ends = append(m.ends, time.Now())
	switch {
	case !m.wanted:
	case m.returns:
		m.d.spawn(m.comeBack)
	default:
		m.wanted = false
	}
}

// comeBack tries as the official clients do: after a pause, then after longer ones.
func (m *member) comeBack() {
	for pause := m.pause; m.d.sleep(pause/2 + rand.N(pause)); pause = min(2*pause, 5*m.pause) {
		if _, _, _, wanted := m.online(); !wanted {
			return
		}
		in := m.only
		if in == nil {
			in = m.d.balance()
		}
		if in != nil && in.open.Load() && m.connect(in) == nil {
			return
		}
	}
}

// rename changes the user's data.
func (m *member) rename(version int) error {
	m.mu.Lock()
	m.user = userJSON(m.id, version)
	user := m.user
	m.mu.Unlock()
	if err := m.try("register", user); !errors.Is(err, client.ErrEnded) {
		return err
	}
	return nil // it registers as that when it is back
}

// losses is how often the member's connection has ended.
func (m *member) losses() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ends)
}

// leave breaks the connection for good.
func (m *member) leave() {
	if c := m.want(false); c != nil {
		c.Close()
	}
}

// signOut is leave after unregister.
func (m *member) signOut() error {
	err := m.try("unregister", "")
	m.leave()
	if errors.Is(err, client.ErrEnded) {
		return nil
	}
	return err
}

// try sends an event, which has to succeed. The error is client.ErrEnded for a member
// that is not connected.
func (m *member) try(event, arg string) error {
	m.mu.Lock()
	c := m.client
	m.mu.Unlock()
	if c == nil {
		return client.ErrEnded
	}
	return c.Do(event, arg)
}

// online reports whether the member wants to be online, as whom and where.
func (m *member) online() (user string, home *instance, connected, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user, m.home, m.client != nil, m.wanted
}
