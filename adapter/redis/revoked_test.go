package redis

import (
	"testing"
	"time"

	"rollcall/adapter/redistest"
)

func (r *Store) knows(user string, at time.Time) func() bool {
	return func() bool { return r.RevokedAt(user).Equal(at) }
}

// A revocation is known on every instance, before the sign-out behind it; new
// instances know it, and so does a Redis that had lost it.
func TestRevocations(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	agree(t, bound, a, b)
	at := time.UnixMilli(time.Now().UnixMilli())
	a.Revoke("7", at)
	a.SignOut("7")
	if !a.knows("7", at)() {
		t.Error("the instance that was asked does not know")
	}
	b.eventually("the sign-out", bound, func() bool { return len(b.signOuts()) == 1 })
	if !b.knows("7", at)() {
		t.Errorf("the other instance signed out and knows %v", b.RevokedAt("7"))
	}
	if !b.RevokedAt("8").IsZero() {
		t.Error("somebody else's tokens are revoked")
	}
	// Of several the latest counts, in whatever order they come.
	b.Revoke("7", at.Add(-time.Hour))
	if !b.knows("7", at)() {
		t.Error("an earlier revocation took the place of a later one")
	}
	c := open(t, Options{URL: server.URL(), Instance: "c"})
	if !c.knows("7", at)() {
		t.Error("a new instance does not know")
	}
	if n := server.Do("ZCARD", "{rollcall}:revoked"); n != int64(1) {
		t.Errorf("%v are kept", n)
	}
	server.Do("FLUSHALL")
	a.eventually("Redis has it again", 4*bound, func() bool { return server.Do("ZCARD", "{rollcall}:revoked") == int64(1) })
	d := open(t, Options{URL: server.URL(), Instance: "d"})
	if !d.knows("7", at)() {
		t.Error("an instance that is new after the loss does not know")
	}
}

// What is not Redis' is no stumbling block, and what is too old goes.
func TestRevocationsThatSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("SET", "{rollcall}:revoked", "x")
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	agree(t, bound, a)
	a.Revoke("7", time.Now())
	a.eventually("it is kept", 4*bound, func() bool { return server.Do("TYPE", "{rollcall}:revoked") == "zset" })
	server.Do("ZADD", "{rollcall}:revoked", "1000", "old")
	a.Revoke("8", time.Now())
	a.eventually("the old one goes", bound, func() bool { return server.Do("ZSCORE", "{rollcall}:revoked", "old") == nil })
}
