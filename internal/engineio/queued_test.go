package engineio

import (
	"strings"
	"testing"
)

// What waits is counted as long as it waits, in all and for whom most waits.
func TestQueued(t *testing.T) {
	d, base := start(t, Options{})
	waiting := func(packet string) *guest {
		t.Helper()
		before := d.conns()
		p, err := poll(base, 4, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Post(p.Join("40")); err != nil {
			t.Fatal(err)
		}
		if answer, err := p.Next(); err != nil || !strings.HasPrefix(answer, "40") {
			t.Fatal(answer, err)
		}
		for _, c := range d.conns() {
			if len(before) == 0 || c != before[0] {
				c.Send([]byte(AppendText(nil, []byte(packet))))
				return c
			}
		}
		t.Fatal("nobody came")
		return nil
	}
	if all, most := d.srv.Queued(); all != 0 || most != 0 {
		t.Fatalf("nobody is there, and %d bytes wait, %d of one", all, most)
	}
	one := waiting("42" + strings.Repeat("x", 1000))
	var small int // what is sent while CONNECT is on its way waits elsewhere for a moment
	eventually(t, "the bytes of one client wait", func() bool {
		all, most := d.srv.Queued()
		small = all
		return all > 1000 && all < 1100 && most == all
	})
	two := waiting("42" + strings.Repeat("x", 3000))
	eventually(t, "the bytes of two clients wait", func() bool {
		all, most := d.srv.Queued()
		return most > 3000 && all == small+most
	})
	for _, c := range []*guest{one, two} {
		c.conn.CloseNow()
	}
	if all, most := d.srv.Queued(); all != 0 || most != 0 {
		t.Errorf("they are gone, and %d bytes wait, %d of one", all, most)
	}
}
