package redis

import (
	"testing"
	"time"

	"rollcall/adapter/redistest"
)

// An instance that hands over leaves its entries to the others for a while:
// longer than silence or a lease alone would give them.
func TestRedisHandsOverSlowly(t *testing.T) {
	t.Parallel()
	const stay = 5 * time.Second
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a", HandOver: stay})
	b := open(t, Options{URL: server.URL(), Instance: "b", HandOver: stay})
	a.enter(1)
	b.enter(10)
	agree(t, bound, a, b)
	began := time.Now()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(a.view()); n != 11 {
		t.Errorf("%d entries right after the end", n)
	}
	a.eventually("b's entries to go", stay+bound, func() bool { return len(a.view()) == 1 })
	if took := time.Since(began); took < stay {
		t.Error("they went after", took)
	}
	leftOnce(t, a, "b/", 10, "closed")
	agree(t, bound, a)
}

// The last one has nobody to hand over to.
func TestRedisLastOneTakesAllAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a", HandOver: time.Hour})
	b := open(t, Options{URL: server.URL(), Instance: "b", HandOver: time.Hour})
	a.enter(3)
	b.enter(3)
	agree(t, bound, a, b)
	for _, i := range []*instance{b, a} { // b's wait for a, which does not wait for b
		if err := i.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Do("HLEN", "{rollcall}:users"); n != int64(3) {
		t.Errorf("%v entries are left, want b's 3", n)
	}
}
