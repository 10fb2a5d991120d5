package adapter

import (
	"fmt"
	"testing"
	"time"
)

// at is a moment of the local clock, which is ahead of the server's by a minute.
func at(d time.Duration) time.Time { return time.Unix(1_000_060, 0).Add(d) }

func TestClockFollowsTheServer(t *testing.T) {
	local := at(0)
	c := NewClock(func() time.Time { return local })
	if got := c.Now(); got != at(0).UnixMicro() {
		t.Error("before any measurement:", got)
	}
	const server = int64(1_000_000_000) // milliseconds
	c.Measure(server, at(0), at(10*time.Millisecond))
	local = at(25 * time.Millisecond)
	if got, want := c.Now(), server*1000+20_500; got != want {
		t.Errorf("20 ms after the middle of the round trip: %d, want %d", got, want)
	}
	if a, b := c.Now(), c.Now(); b <= a {
		t.Errorf("%d after %d", b, a)
	}
	// A slow answer says less than is known, a quick one more.
	c.Measure(server+1300, at(time.Second), at(time.Second+400*time.Millisecond))
	local = at(2 * time.Second)
	if got, want := c.Now(), server*1000+1_995_500; got != want {
		t.Errorf("after a slow answer: %d, want %d", got, want)
	}
	c.Measure(server+2001, at(2*time.Second), at(2*time.Second+2*time.Millisecond))
	local = at(3 * time.Second)
	if got, want := c.Now(), server*1000+3_000_500; got != want {
		t.Errorf("after a quick answer: %d, want %d", got, want)
	}
	// The clock was set forward, and back: what was told is never told again.
	c.Measure(server+60_000, at(3*time.Second), at(3*time.Second+100*time.Millisecond))
	local = at(3*time.Second + 50*time.Millisecond)
	set := c.Now()
	if want := server*1000 + 60_000_500; set != want {
		t.Errorf("after the clock was set: %d, want %d", set, want)
	}
	c.Measure(server+3100, at(3100*time.Millisecond), at(3100*time.Millisecond))
	local = at(4 * time.Second)
	if got := c.Now(); got != set+1 {
		t.Errorf("after the clock was set back: %d, want %d", got, set+1)
	}
	local = at(64 * time.Second)
	if got, want := c.Now(), server*1000+64_000_500; got != want {
		t.Errorf("when the clock is there again: %d, want %d", got, want)
	}
}

// Their number and age are bounded in memory too.
func TestRevocationsAreBounded(t *testing.T) {
	r := NewRevocations()
	now := time.Now()
	for n := range MaxRevoked + 10 {
		r.Note(fmt.Sprint(n), now.UnixMilli(), now)
	}
	if len(r.All()) != MaxRevoked || !r.At("9").IsZero() || r.At("10").IsZero() {
		t.Errorf("%d are kept", len(r.All()))
	}
	r.Note("late", now.Add(-KeepRevoked-time.Second).UnixMilli(), now)
	if !r.At("late").IsZero() {
		t.Error("a revocation that is forgotten was taken")
	}
	later := now.Add(KeepRevoked + time.Second)
	r.Note("new", later.UnixMilli(), later)
	if len(r.All()) != 1 || r.At("new").IsZero() {
		t.Errorf("%d old ones are kept", len(r.All())-1)
	}
}
