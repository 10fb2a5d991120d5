package rooms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rollcall/rooms"
)

// A model is a plain list of who is online, the reference of the property test. The
// test's users tell their ids in "k" too, so that neither the model nor the clients
// share the code under test.
type model struct {
	entries []modelEntry // in order of their last put
	users   []modelUser  // in order of arrival
	born    int
	why     map[int]rooms.Reason // of each departure, by modelUser.born
}

type modelEntry struct{ socket, k, user string }

type modelUser struct {
	k    string
	born int // unique: a user that comes back has a new one
}

// A listed user is one element of a list.
type listed struct {
	born    int
	k, data string
}

func (m *model) put(socket, k, user string) {
	if i := m.find(socket); i >= 0 {
		if m.entries[i].k == k {
			m.entries = slices.Delete(m.entries, i, i+1)
		} else {
			m.remove(socket, rooms.SignedOut)
		}
	}
	m.entries = append(m.entries, modelEntry{socket, k, user})
	if !slices.ContainsFunc(m.users, func(u modelUser) bool { return u.k == k }) {
		m.born++
		m.users = append(m.users, modelUser{k, m.born})
	}
}

func (m *model) remove(socket string, reason rooms.Reason) {
	i := m.find(socket)
	if i < 0 {
		return
	}
	k := m.entries[i].k
	m.entries = slices.Delete(m.entries, i, i+1)
	if slices.ContainsFunc(m.entries, func(e modelEntry) bool { return e.k == k }) {
		return
	}
	m.users = slices.DeleteFunc(m.users, func(u modelUser) bool {
		if u.k == k {
			m.why[u.born] = reason
		}
		return u.k == k
	})
}

func (m *model) find(socket string) int {
	return slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.socket == socket })
}

func (m *model) list() []listed {
	var out []listed
	for _, u := range m.users {
		for _, e := range slices.Backward(m.entries) {
			if e.k == u.k {
				out = append(out, listed{u.born, u.k, e.user})
				break
			}
		}
	}
	return out
}

// text is a list as online_users has it.
func text(list []listed) string {
	var data []string
	for _, u := range list {
		data = append(data, u.data)
	}
	return "[" + strings.Join(data, ",") + "]"
}

// deltas are the events that lead from one list to the next, as text:
// removes in any order, here sorted, then updates, then adds in order.
func (m *model) deltas(before, now []listed) []string {
	var removes, updates, adds []string
	at := func(list []listed, born int) int {
		return slices.IndexFunc(list, func(u listed) bool { return u.born == born })
	}
	for _, u := range before {
		if i := at(now, u.born); i < 0 {
			removes = append(removes, fmt.Sprintf(`remove_user %s {"reason":"%s"}`, u.data, m.why[u.born]))
		} else if now[i].data != u.data {
			updates = append(updates, "update_user "+now[i].data)
		}
	}
	for _, u := range now {
		if at(before, u.born) < 0 {
			adds = append(adds, "add_user "+u.data)
		}
	}
	slices.Sort(removes)
	slices.Sort(updates)
	return slices.Concat(removes, updates, adds)
}

// A client applies what it is sent, strictly, as a page would.
type client struct {
	users []listed // without born
	known bool     // had a list: deltas mean something
}

func (c *client) apply(e rooms.Event) error {
	if e.Name == "online_users" {
		var users []json.RawMessage
		if err := json.Unmarshal(e.Args[0], &users); err != nil {
			return err
		}
		c.users, c.known = nil, true
		for _, u := range users {
			c.users = append(c.users, listed{k: nameOf(u), data: string(u)})
		}
		return nil
	}
	if !c.known || e.Name == "online_count" {
		return nil
	}
	k, data := nameOf(e.Args[0]), string(e.Args[0])
	i := slices.IndexFunc(c.users, func(u listed) bool { return u.k == k })
	switch {
	case e.Name == "add_user" && i >= 0:
		return fmt.Errorf("%s was added and is there already", k)
	case e.Name == "add_user":
		c.users = append(c.users, listed{k: k, data: data})
	case i < 0:
		return fmt.Errorf("%s %s: not there", e.Name, k)
	case e.Name == "update_user":
		c.users[i].data = data
	case e.Name == "remove_user" && c.users[i].data != data:
		return fmt.Errorf("%s was removed as %s, but last shown as %s", k, data, c.users[i].data)
	case e.Name == "remove_user":
		c.users = slices.Delete(c.users, i, i+1)
	default:
		return fmt.Errorf("unknown event %s", e.Name)
	}
	return nil
}

// nameOf is the "k" of a test's user.
func nameOf(user []byte) string {
	_, rest, _ := bytes.Cut(user, []byte(`"k":"`))
	name, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(name)
}
