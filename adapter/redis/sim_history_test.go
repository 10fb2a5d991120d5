package redis

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"rollcall/adapter/redistest/redissim"
	"rollcall/rooms"
)

// A simHistory is a history while it happens: several stores, one Redis.
type simHistory struct {
	simPlan
	*simNet
	reference *simReference
	slots     [simSlots]*simInstance // nil: none is there at the moment
	all       []*simInstance
	backup    redissim.Image
	count     int       // of puts, messages and sign-outs
	lasts     time.Time // when the last fault ends
	over      bool      // nobody starts any more
}

// A simInstance is a process from its start to its end.
type simInstance struct {
	name  string
	link  *simLink
	store *Store
	// opened is closed when store is set.
	opened chan struct{}
	// ended says that the process is gone; left that it could say so to Redis.
	ended, left bool
	stopped     time.Time
	nonce       string // of the message that was sent last with one
}

func (p simPlan) options(name string) Options {
	o := Options{Instance: name, Prefix: "r", Grace: p.grace, HandOver: p.handOver}
	if *simLog {
		o.Log = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})).With("in", name)
	}
	o.batch = p.batch
	// Leases are Redis' time alone: the local clocks are a minute apart.
	off := time.Duration(name[0]-'b') * time.Minute
	o.Timing.Now = func() time.Time { return time.Now().Add(off) }
	o.Timing.setDefaults()
	return o
}

// open starts an instance in a slot.
func (h *simHistory) open(slot int) {
	h.reference.mu.Lock()
	defer h.reference.mu.Unlock()
	if h.over {
		return
	}
	name := fmt.Sprintf("%c%d", 'a'+slot, len(h.all))
	in := &simInstance{name: name, link: h.link(name), opened: make(chan struct{})}
	h.all = append(h.all, in)
	h.slots[slot] = in
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		in.store = startStore(ctx, h.options(name), in.link)
		see := h.reference.watcher(in)
		in.store.Watch(func(some []rooms.Change) {
			for _, c := range some {
				see(c)
			}
		})
		close(in.opened)
	}()
}

func (in *simInstance) isOpen() bool {
	select {
	case <-in.opened:
		return true
	default:
		return false
	}
}

// usable is the instance of a slot, if somebody could do something there.
func (h *simHistory) usable(slot int) *simInstance {
	h.reference.mu.Lock()
	defer h.reference.mu.Unlock()
	in := h.slots[slot]
	if in == nil || !in.isOpen() || in.ended || in.link.isPaused() {
		return nil
	}
	return in
}

func (in *simInstance) place(n int) rooms.EntryKey {
	place := rooms.EntryKey{Key: fmt.Sprintf("%s/%d", in.name, n%12)}
	if n%3 == 0 {
		place.List = rooms.RoomList("1")
	}
	return place
}

// do does one step.
func (h *simHistory) do(s simStep) {
	time.Sleep(s.after + 1)
	if end := time.Now().Add(s.lasts + time.Millisecond); s.do != "clock" && end.After(h.lasts) {
		h.lasts = end
	}
	if h.fault(s) {
		return
	}
	in := h.usable(s.slot)
	if in == nil {
		return
	}
	h.count++
	switch s.do {
	case "put":
		h.put(in, s.n)
	case "remove":
		place := in.place(s.n)
		reason := []rooms.Reason{rooms.Closed, rooms.SignedOut}[s.n%2]
		h.reference.removing(place)
		in.store.Remove(place, reason)
	case "say":
		h.say(in, s.n)
	case "sign out":
		in.store.SignOut(fmt.Sprint("out", h.count))
	case "revoke":
		at := time.Now().Add(time.Duration(s.n-500) * time.Millisecond)
		h.note(func() { h.reference.revoked = append(h.reference.revoked, simRevoked{in, fmt.Sprint("u", s.n%5), at}) })
		in.store.Revoke(fmt.Sprint("u", s.n%5), at)
	case "crash":
		h.crash(s.slot, in, s.lasts)
	case "close":
		h.close(s.slot, in, s.lasts)
	case "cut":
		h.harm(in, s.lasts, &in.link.cut)
	case "hang":
		h.harm(in, s.lasts, &in.link.hung)
	case "slow":
		h.harm(in, s.lasts, &in.link.slow)
	case "pause":
		h.harm(in, s.lasts, &in.link.paused)
	}
}

func (h *simHistory) put(in *simInstance, n int) {
	h.count++
	e := rooms.Entry{
		EntryKey: in.place(n), UserID: fmt.Sprint("u", n%5), JoinedAt: 1,
		Data:   fmt.Appendf(nil, `{"id":"u%d","n":%d}`, n%5, h.count),
		Status: []rooms.Status{rooms.Active, rooms.Away, rooms.Hidden}[n%3],
	}
	h.reference.putting(e.EntryKey, h.count)
	in.store.Put(e)
}

// say sends a message, or with the same nonce one that was sent before.
func (h *simHistory) say(in *simInstance, n int) {
	text, nonce := fmt.Sprint(h.count), ""
	if n%3 > 0 {
		if nonce = in.nonce; nonce == "" || n%3 == 1 {
			nonce = text
		}
		text, in.nonce = nonce, nonce
	}
	if _, err := in.store.PostMessage(rooms.ChatPost{Room: "1", Username: in.name, Content: text, Nonce: nonce}); err == nil {
		h.accepted(in, text)
	}
}

// accepted notes a message that a store took.
func (h *simHistory) accepted(by *simInstance, text string) {
	var all []*simInstance
	h.note(func() { all = slices.Clone(h.all) })
	to := make(map[*simInstance]bool)
	for _, in := range all {
		if in.isOpen() {
			in.store.mu.Lock()
			to[in] = in.store.others.started != ""
			in.store.mu.Unlock()
		}
	}
	h.note(func() {
		if _, again := h.reference.posted[text]; !again {
			h.reference.posted[text] = simMessage{by, to}
		}
	})
}

// harm lets a fault of one instance last for a while.
func (h *simHistory) harm(in *simInstance, d time.Duration, fault *int) {
	in.link.change(func() { *fault++ })
	time.AfterFunc(d, func() { in.link.change(func() { *fault-- }) })
}

// note changes what is said of instances.
func (h *simHistory) note(f func()) {
	h.reference.mu.Lock()
	defer h.reference.mu.Unlock()
	f()
}

func (h *simHistory) crash(slot int, in *simInstance, d time.Duration) {
	h.note(func() { in.ended, in.stopped = true, time.Now() })
	go in.store.disconnect()
	time.AfterFunc(d, func() { h.open(slot) })
}

func (h *simHistory) close(slot int, in *simInstance, d time.Duration) {
	h.note(func() { in.ended, in.stopped = true, time.Now() })
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err := in.store.Close(ctx) // Redis may be away
		h.note(func() { in.stopped, in.left = time.Now(), err == nil })
		time.Sleep(d)
		h.open(slot)
	}()
}

// fault does what concerns all, and reports whether the step was that.
func (h *simHistory) fault(s simStep) bool {
	if losesEntries(s.do) { // and leases: an eviction that is on its way may fit the older ones
		defer h.change(func() { clear(h.rules.renewed) })
	}
	switch s.do {
	case "wait":
	case "all gone": // of the first instance
		h.note(func() { h.reference.checkGone(h.all[0]) })
	case "restart", "restart empty", "restart older":
		h.stop()
		h.change(func() {
			switch s.do {
			case "restart empty":
				h.redis.Flush()
			case "restart older":
				h.redis.Load(h.backup)
			}
		})
		time.AfterFunc(s.lasts, h.start)
	case "flush":
		h.change(h.redis.Flush)
	case "swap": // as flush, but for older data: nobody's connection ends
		h.change(func() { h.redis.Load(h.backup) })
	case "back up":
		h.change(func() { h.backup = h.redis.Save() })
	case "kill connections":
		h.killConnections()
	case "trim":
		h.change(func() { _, _ = h.redis.Do("XTRIM", "{r}:stream", "MAXLEN", fmt.Sprint(s.n%3)) }) // it may be damaged
	case "asleep":
		h.sleep(s.lasts)
	case "clock":
		h.change(func() {
			h.offset += time.Duration(s.n%9-4) * s.lasts
			h.rules.jumped = time.Now()
		})
	default:
		return false
	}
	return true
}

func (h *simHistory) change(f func()) {
	h.simNet.mu.Lock()
	defer h.simNet.mu.Unlock()
	f()
}

func (p simPlan) has(what func(do string) bool) bool {
	for _, s := range p.steps {
		if what(s.do) {
			return true
		}
	}
	return false
}

func (p simPlan) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "seed=%d grace=%v handOver=%v batch=%d entries=%d\n", p.seed, p.grace, p.handOver, p.batch, p.entries)
	for i, s := range p.steps {
		fmt.Fprintf(&out, "  %2d %v\n", i, s)
	}
	return out.String()
}
