package adaptertest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// A spoiltBus is a bus of one process with one fault.
type spoiltBus struct {
	*memory.Bus
	// publish takes the place of Publish, and spoil what subscribers hear.
	publish func(b *memory.Bus, m rooms.Broadcast)
	spoil   func(f func(rooms.Broadcast)) func(rooms.Broadcast)
	endless bool
}

func (b *spoiltBus) Publish(m rooms.Broadcast) {
	if b.publish != nil {
		b.publish(b.Bus, m)
		return
	}
	b.Bus.Publish(m)
}

func (b *spoiltBus) Subscribe(f func(rooms.Broadcast)) func() {
	if b.spoil != nil {
		f = b.spoil(f)
	}
	stop := b.Bus.Subscribe(f)
	if b.endless {
		return func() {}
	}
	return stop
}

func TestBrokenBusesFail(t *testing.T) {
	const order = "each publisher's order is kept, nothing is lost or doubled"
	for _, b := range []struct {
		fault, fails string
		bus          *spoiltBus
	}{
		{"loses a message", order, &spoiltBus{spoil: eachChange(loseSome[rooms.Broadcast])}},
		{"doubles a message", order, &spoiltBus{spoil: eachChange(doubleSome[rooms.Broadcast])}},
		{"swaps two messages", order, &spoiltBus{spoil: func(f func(rooms.Broadcast)) func(rooms.Broadcast) {
			var held *rooms.Broadcast
			return func(m rooms.Broadcast) {
				switch {
				case m.Event.Name == "1-1" && string(m.Event.Args[0]) == "7":
					held = &m
				case m.Event.Name == "1-1" && held != nil:
					f(m)
					f(*held)
					held = nil
				default:
					f(m)
				}
			}
		}}},
		{"tells its own late", "the own subscribers have been called when Publish returns", &spoiltBus{
			publish: func(b *memory.Bus, m rooms.Broadcast) {
				time.AfterFunc(5*time.Millisecond, func() { b.Publish(m) })
			}}},
		{"forgets exceptions", "messages arrive whole", &spoiltBus{publish: func(b *memory.Bus, m rooms.Broadcast) {
			m.Except = nil
			b.Publish(m)
		}}},
		{"re-encodes values", "numbers, text and order of keys are kept", &spoiltBus{publish: func(b *memory.Bus, m rooms.Broadcast) {
			m.Event.Args = slices.Clone(m.Event.Args)
			for i, arg := range m.Event.Args {
				var v any
				_ = json.Unmarshal(arg, &v)
				m.Event.Args[i], _ = json.Marshal(v)
			}
			b.Publish(m)
		}}},
		{"lets reserved names pass", "what is no event reaches nobody", &spoiltBus{publish: func(b *memory.Bus, m rooms.Broadcast) {
			m.Event.Name = strings.TrimPrefix(m.Event.Name, "dis")
			if m.Event.Name == "connecting" {
				m.Event.Name = "is passed"
			}
			b.Publish(m)
		}}},
		{"never stops", "stopped is stopped, and the past is not told", &spoiltBus{endless: true}},
	} {
		t.Run(b.fault, func(t *testing.T) {
			i := slices.IndexFunc(busContract, func(c busCheck) bool { return c.name == b.fails })
			if i < 0 {
				t.Fatalf("there is no check %q", b.fails)
			}
			b.bus.Bus = &memory.Bus{}
			c := busContract[i]
			expectFailure(t, b.fails, func(r reporter) {
				c.run(&busSuite{r, slices.Repeat([]rooms.Bus{b.bus}, c.instances), time.Second})
			})
		})
	}
}
