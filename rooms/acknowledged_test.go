package rooms_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/rooms"
)

// After a register that was acknowledged a list with the user comes, whatever was
// flushed before. The acknowledgement waits for no flush.
func TestListFollowsRegister(t *testing.T) {
	for tab, others := range map[string][]string{
		"the first tab":               nil,
		"the second":                  {`{"id":7}`},
		"the second, with other data": {`{"id":7,"name":"Ada"}`},
	} {
		for _, presence := range []string{"both", "list", "changes"} {
			for _, strict := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/strict %t", tab, presence, strict), func(t *testing.T) {
					r := newHouseWith(t, rooms.Options{Strict: strict}).rooms
					for i, user := range others {
						registered(t, r, fmt.Sprint("other", i), "none", user)
					}
					r.Flush(true)
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
