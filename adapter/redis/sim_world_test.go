package redis

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"rollcall/adapter/redissim"
	"rollcall/rooms"
)

// A simWorld is a history while it happens: several stores, one Redis.
type simWorld struct {
	simPlan
	*simNet
	ledger *simLedger
	slots  [simSlots]*simInstance // nil: none is there at the moment
	all    []*simInstance
	backup redissim.Image
	count  int       // of puts, messages and sign-outs
	lasts  time.Time // when the last fault ends
	over   bool      // nobody starts any more
}

// A simInstance is a process from its start to its end.
type simInstance struct {
	name  string
	link  *simLink
	store *Store
	// opened is closed when store is set.
	opened chan struct{}
	// ended says that the process is gone; left that it could say so to Redis.
	ended, crashed, left bool
	stopped              time.Time
	// harmed is until when others may have given it up.
	harmed time.Time
	faults int
	nonce  string // of the message that was sent last with one
}

func (p simPlan) options(name string) Options {
	o := Options{Instance: name, Prefix: "r", Grace: p.grace, HandOver: p.handOver}
	if *simLog {
		o.Log = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})).With("in", name)
	}
	o.batch = p.batch
	o.Timing.setDefaults()
	return o
}

// open starts an instance in a slot.
func (w *simWorld) open(slot int) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if w.over {
		return
	}
	name := fmt.Sprintf("%c%d", 'a'+slot, len(w.all))
	in := &simInstance{name: name, link: w.link(name), opened: make(chan struct{})}
	w.all = append(w.all, in)
	w.slots[slot] = in
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		in.store = startStore(ctx, w.options(name), in.link)
		see := w.ledger.watcher(in)
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
func (w *simWorld) usable(slot int) *simInstance {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	in := w.slots[slot]
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
func (w *simWorld) do(s simStep) {
	time.Sleep(s.after + 1)
	if end := time.Now().Add(s.lasts + time.Millisecond); s.do != "clock" && end.After(w.lasts) {
		w.lasts = end
	}
	if w.fault(s) {
		return
	}
	in := w.usable(s.slot)
	if in == nil {
		return
	}
	w.count++
	switch s.do {
	case "put":
		w.put(in, s.n)
	case "remove":
		place := in.place(s.n)
		reason := []rooms.Reason{rooms.Closed, rooms.SignedOut}[s.n%2]
		w.ledger.removing(place)
		in.store.Remove(place, reason)
	case "say":
		w.say(in, s.n)
	case "sign out":
		in.store.SignOut(fmt.Sprint("out", w.count))
	case "revoke":
		at := time.Now().Add(time.Duration(s.n-500) * time.Millisecond)
		w.note(func() { w.ledger.revoked = append(w.ledger.revoked, simRevoked{in, fmt.Sprint("u", s.n%5), at}) })
		in.store.Revoke(fmt.Sprint("u", s.n%5), at)
	case "crash":
		w.crash(s.slot, in, s.lasts)
	case "close":
		w.close(s.slot, in, s.lasts)
	case "cut":
		w.harm(in, s.lasts, &in.link.cut)
	case "hang":
		w.harm(in, s.lasts, &in.link.hung)
	case "slow":
		w.harm(in, s.lasts, &in.link.slow)
	case "pause":
		w.harm(in, s.lasts, &in.link.paused)
	}
}

func (w *simWorld) put(in *simInstance, n int) {
	w.count++
	e := rooms.Entry{
		EntryKey: in.place(n), UserID: fmt.Sprint("u", n%5), JoinedAt: 1,
		Data:   fmt.Appendf(nil, `{"id":"u%d","n":%d}`, n%5, w.count),
		Status: []rooms.Status{rooms.Active, rooms.Away, rooms.Hidden}[n%3],
	}
	w.ledger.putting(e.EntryKey, w.count)
	in.store.Put(e)
}

// say sends a message, or with the same nonce one that was sent before.
func (w *simWorld) say(in *simInstance, n int) {
	text, nonce := fmt.Sprint(w.count), ""
	if n%3 > 0 {
		if nonce = in.nonce; nonce == "" || n%3 == 1 {
			nonce = text
		}
		text, in.nonce = nonce, nonce
	}
	if _, err := in.store.PostMessage(rooms.ChatPost{Room: "1", Username: in.name, Content: text, Nonce: nonce}); err == nil {
		w.accepted(in, text)
	}
}

// accepted notes a message that a store took.
func (w *simWorld) accepted(by *simInstance, text string) {
	var all []*simInstance
	w.note(func() { all = slices.Clone(w.all) })
	to := make(map[*simInstance]bool)
	for _, in := range all {
		if in.isOpen() {
			in.store.mu.Lock()
			to[in] = in.store.health.synced
			in.store.mu.Unlock()
		}
	}
	w.note(func() {
		if _, again := w.ledger.said[text]; !again {
			w.ledger.said[text] = simSaid{by, to}
		}
	})
}

// harm lets a fault of one instance last for a while.
func (w *simWorld) harm(in *simInstance, d time.Duration, fault *int) {
	w.note(func() { in.faults++ })
	in.link.change(func() { *fault++ })
	time.AfterFunc(d, func() {
		in.link.change(func() { *fault-- })
		w.note(func() {
			in.faults--
			in.harmed = time.Now().Add(10 * time.Second)
		})
	})
}

// note changes what is said of instances.
func (w *simWorld) note(f func()) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	f()
}

func (w *simWorld) crash(slot int, in *simInstance, d time.Duration) {
	w.note(func() { in.ended, in.crashed, in.stopped = true, true, time.Now() })
	go in.store.disconnect()
	time.AfterFunc(d, func() { w.open(slot) })
}

func (w *simWorld) close(slot int, in *simInstance, d time.Duration) {
	w.note(func() { in.ended, in.stopped = true, time.Now() })
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err := in.store.Close(ctx) // Redis may be away
		w.note(func() { in.stopped, in.left = time.Now(), err == nil })
		time.Sleep(d)
		w.open(slot)
	}()
}

// fault does what concerns all, and reports whether the step was that.
func (w *simWorld) fault(s simStep) bool {
	if losesEntries(s.do) { // and leases: an eviction that is on its way may fit the older ones
		defer w.change(func() { clear(w.rules.renewed) })
	}
	switch s.do {
	case "wait":
	case "all gone": // of the first instance
		w.note(func() { w.ledger.checkGone(w.all[0]) })
	case "restart", "restart empty", "restart older":
		w.stop()
		w.change(func() {
			switch s.do {
			case "restart empty":
				w.redis.Flush()
			case "restart older":
				w.redis.Load(w.backup)
			}
		})
		time.AfterFunc(s.lasts, w.start)
	case "flush":
		w.change(w.redis.Flush)
	case "swap": // as flush, but for older data: nobody's connection ends
		w.change(func() { w.redis.Load(w.backup) })
	case "back up":
		w.change(func() { w.backup = w.redis.Save() })
	case "kill connections":
		w.killConnections()
	case "trim":
		w.change(func() { _, _ = w.redis.Do("XTRIM", "{r}:stream", "MAXLEN", fmt.Sprint(s.n%3)) }) // it may be damaged
	case "asleep":
		w.sleep(s.lasts)
	case "clock":
		w.change(func() {
			w.offset += time.Duration(s.n%9-4) * s.lasts
			w.rules.jumped = time.Now()
		})
	default:
		return false
	}
	return true
}

func (w *simWorld) change(f func()) {
	w.simNet.mu.Lock()
	defer w.simNet.mu.Unlock()
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
