package rooms_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/adapter"
	"rollcall/rooms"
)

// aroundPut is a store in which something happens while an entry is put.
type aroundPut struct {
	*adapter.Memory
	around func(put func())
}

func (s *aroundPut) Put(e rooms.Entry, complete ...func(*rooms.Entry)) (kept rooms.Entry) {
	s.around(func() { kept = s.Memory.Put(e, complete...) })
	return kept
}

// After a register that was acknowledged a list with the user comes, whatever is
// flushed meanwhile. The acknowledgement waits for no flush.
func TestListFollowsRegister(t *testing.T) {
	flushes := map[string]func(r *rooms.Rooms, put func()){
		"nothing":               func(_ *rooms.Rooms, put func()) { put() },
		"lists, before":         func(r *rooms.Rooms, put func()) { r.Flush(true); put() },
		"lists, after":          func(r *rooms.Rooms, put func()) { put(); r.Flush(true) },
		"increments, before":    func(r *rooms.Rooms, put func()) { r.Flush(false); put() },
		"increments, after":     func(r *rooms.Rooms, put func()) { put(); r.Flush(false) },
		"both, before and then": func(r *rooms.Rooms, put func()) { r.Flush(false); r.Flush(true); put(); r.Flush(false); r.Flush(true) },
	}
	before := map[string][]string{
		"the first tab":               nil,
		"the second":                  {`{"id":7}`},
		"the second, with other data": {`{"id":7,"name":"Ada"}`},
	}
	for name, flush := range flushes {
		for tab, others := range before {
			for _, presence := range []string{"both", "list", "changes"} {
				for _, strict := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/strict %t", name, tab, presence, strict), func(t *testing.T) {
						store := &aroundPut{adapter.NewMemory(), func(put func()) { put() }}
						r := rooms.New(rooms.Options{Strict: strict}, store, &fakeSender{})
						for i, user := range others {
							registered(t, r, fmt.Sprint("other", i), "none", user)
						}
						r.Flush(true)
						store.around = func(put func()) { flush(r, put) }
						c := registered(t, r, "c", presence, `{"id":7}`)
						r.Flush(false)
						r.Flush(true)
						for _, event := range c.told() {
							if strings.HasPrefix(event, "online_users ") && strings.Contains(event, `{"id":7}`) {
								return
							}
						}
						t.Error("no list has the user")
					})
				}
			}
		}
	}
}

// registered is a new socket that has registered a user.
func registered(t *testing.T, r *rooms.Rooms, id, presence, user string) *fakeConn {
	t.Helper()
	c := &fakeConn{id: id}
	if _, err := r.Connect(c, handshake(presence)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Handle(c, "register", raw([]string{user})); err != nil {
		t.Fatal(err)
	}
	return c
}
