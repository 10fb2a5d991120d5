package redis

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

var (
	randomSeed = flag.Uint64("redis.seed", 0, "repeat TestRandomFaults with this seed")
	randomTime = flag.Duration("redis.random", 5*time.Second, "how long TestRandomFaults goes on")
)

// Changes and faults of real means in any order: in the end every view is the
// truth, and nobody was seen to leave more often than there was a departure.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seed := *randomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -redis.seed=%d", seed)
	f := &randomRun{
		t:          t,
		Rand:       rand.New(rand.NewPCG(seed, 1)),
		server:     redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"),
		departures: make(map[string]int),
		lost:       make(map[string]int),
		there:      make(map[string]bool),
	}
	for n := range f.instances {
		f.open(n)
	}
	for end := time.Now().Add(*randomTime); time.Now().Before(end); {
		f.step()
		time.Sleep(time.Duration(f.IntN(5)) * time.Millisecond) // the run's pace
	}
	var all []*instance
	for _, i := range f.instances {
		all = append(all, i.instance)
	}
	agree(t, all...)
	t.Logf("%d changes, %d faults", f.changes, f.faults)
	for _, i := range all {
		for at, reasons := range i.departures() {
			// An instance that died or was cut off is a departure of all its
			// sockets too; Redis restarting, even empty, is none of anybody.
			owner, _, _ := strings.Cut(strings.TrimPrefix(at, "room:1/"), "/")
			if most := f.departures[at] + f.lost[owner]; len(reasons) > most {
				t.Errorf("%s saw %s leave %d times, %v; it left %d times, and its instance was lost or cut off %d times",
					i.instance, at, len(reasons), reasons, f.departures[at], f.lost[owner])
			}
		}
	}
}

type randomRun struct {
	t *testing.T
	*rand.Rand
	server    *redistest.Server
	instances [3]struct {
		*instance
		proxy *toxiproxy.Proxy
	}
	starts, changes, faults int
	lost                    map[string]int // by instance: how often it was cut off, died or closed
	departures              map[string]int // by entry
	there                   map[string]bool
}

// open starts an instance behind a proxy of its own.
func (f *randomRun) open(n int) {
	f.t.Helper()
	f.starts++
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", f.server.Addr())
	if err := proxy.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(proxy.Stop)
	f.instances[n].instance = open(f.t, Options{URL: "redis://" + proxy.Listen, Instance: fmt.Sprintf("%d.%d", n, f.starts)})
	f.instances[n].proxy = proxy
}

// disturb does something to both directions of an instance's network for a
// while: "timeout" lets data vanish and leaves the connections open.
func (f *randomRun) disturb(n int, kind, attributes string, d time.Duration) {
	f.t.Helper()
	toxics := f.instances[n].proxy.Toxics
	for _, direction := range []string{"upstream", "downstream"} {
		body := fmt.Sprintf(`{"name":"%s","type":"%s","stream":"%s","attributes":%s}`, direction, kind, direction, attributes)
		if _, err := toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			f.t.Fatal(err)
		}
	}
	time.Sleep(d)
	toxics.ResetToxics(f.t.Context())
}

func (f *randomRun) step() {
	n := f.IntN(len(f.instances))
	i := f.instances[n]
	at := rooms.EntryKey{Key: fmt.Sprintf("%s/%d", i.Instance(), f.IntN(40))}
	if f.IntN(2) == 0 {
		at.List = rooms.RoomList("1")
	}
	switch k := f.IntN(1000); {
	case k < 600:
		f.changes++
		f.there[name(at)] = true
		i.Put(rooms.Entry{
			EntryKey: at, UserID: fmt.Sprint("user ", f.IntN(20)), Data: fmt.Appendf(nil, `{"n":%d}`, f.changes), JoinedAt: 1,
			Status: []rooms.Status{rooms.Active, rooms.Away, rooms.Hidden}[f.IntN(3)],
		})
	case k < 970:
		f.changes++
		if f.there[name(at)] {
			f.departures[name(at)]++
			i.Remove(at, rooms.Closed)
		}
		f.there[name(at)] = false
	default:
		f.faults++
		f.fault(n)
	}
}

func (f *randomRun) fault(n int) {
	id := f.instances[n].Instance()
	switch f.IntN(7) {
	case 0:
		f.server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	case 1:
		f.server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	case 2:
		f.disturb(n, "latency", `{"latency":100,"jitter":80}`, time.Duration(f.IntN(300))*time.Millisecond)
	case 3: // the network is dead for a while, perhaps for longer than a lease
		d := time.Duration(f.IntN(1500)) * time.Millisecond
		if f.IntN(3) == 0 {
			d += 3 * time.Second
		}
		f.lost[id]++
		f.disturb(n, "timeout", `{"timeout":0}`, d)
	case 4:
		f.server.Do("XTRIM", "{rollcall}:stream", "MAXLEN", f.IntN(3))
	case 5: // Redis restarts, with its data or without
		f.server.Kill()
		if f.IntN(2) == 0 {
			f.server.Empty()
		}
		time.Sleep(time.Duration(f.IntN(500)) * time.Millisecond)
		f.server.Restart()
	case 6: // an instance dies, or closes, and another takes its place
		f.lost[id]++
		if f.IntN(2) == 0 {
			f.instances[n].disconnect()
		} else {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = f.instances[n].Close(ctx) // Redis may be unreachable
			cancel()
		}
		f.open(n)
	}
}
