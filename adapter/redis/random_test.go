package redis

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

var (
	randomSeed = flag.Uint64("redis.seed", 0, "repeat TestRedisRandom with this seed")
	randomTime = flag.Duration("redis.random", 8*time.Second, "how long TestRedisRandom goes on")
)

// Changes and faults in any order: in the end every view is the truth, and
// nobody was seen to leave more often than there was a departure.
func TestRedisRandom(t *testing.T) {
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
		born:       make(map[string]bool),
	}
	for n := range 3 {
		f.instances = append(f.instances, f.open(n))
	}
	for end := time.Now().Add(*randomTime); time.Now().Before(end); {
		f.step()
		time.Sleep(time.Duration(f.IntN(5)) * time.Millisecond) // the run's pace
	}
	for _, w := range f.wires() {
		w.mend()
	}
	t.Logf("%d changes, %d faults; repaired after %v", f.changes, f.faults, agree(t, 2*bound, f.living()...))
	checkProjection(t, f.server, "1", f.living()...)
	checkOnline(t, f.server, f.living()...)
	for _, i := range f.living() {
		for socket, reasons := range i.departures() {
			// An instance that died or was cut off is a departure of all its
			// sockets too; Redis restarting, even empty, is none of anybody.
			owner, _, _ := strings.Cut(strings.TrimPrefix(socket, "room:1/"), "/")
			if most := f.departures[socket] + f.lost[owner]; len(reasons) > most {
				t.Errorf("%s saw %s leave %d times, %v; it left %d times, and its instance was lost or cut off %d times",
					i.Instance(), socket, len(reasons), reasons, f.departures[socket], f.lost[owner])
			}
		}
	}
}

type randomInstance struct {
	*instance
	wire *wire
}

type randomRun struct {
	t *testing.T
	*rand.Rand
	server                  *redistest.Server
	instances               []*randomInstance
	starts, changes, faults int
	lost                    map[string]int // by instance: cut off, dead or closed
	departures              map[string]int // by socket
	born                    map[string]bool
}

func (f *randomRun) open(n int) *randomInstance {
	f.starts++
	w := newWire(f.t, f.server.Addr())
	id := fmt.Sprintf("%d.%d", n, f.starts)
	return &randomInstance{open(f.t, Options{URL: w.url(), Instance: id}), w}
}

func (f *randomRun) living() []*instance {
	var out []*instance
	for _, i := range f.instances {
		out = append(out, i.instance)
	}
	return out
}

func (f *randomRun) wires() []*wire {
	var out []*wire
	for _, i := range f.instances {
		out = append(out, i.wire)
	}
	return out
}

func (f *randomRun) step() {
	n := f.IntN(len(f.instances))
	i := f.instances[n]
	place := rooms.EntryKey{Key: fmt.Sprintf("%s/%d", i.Instance(), f.IntN(40))}
	if f.IntN(2) == 0 {
		place.List = rooms.RoomList("1")
	}
	socket := name(place)
	switch k := f.IntN(1000); {
	case k < 600:
		f.changes++
		f.born[socket] = true
		i.Put(rooms.Entry{
			EntryKey: place, UserID: fmt.Sprint("user ", f.IntN(20)), Data: fmt.Appendf(nil, `{"n":%d}`, f.changes), JoinedAt: 1,
			Status: []rooms.Status{rooms.Active, rooms.Away, rooms.Hidden}[f.IntN(3)],
		})
	case k < 970:
		f.changes++
		if f.born[socket] {
			f.departures[socket]++
			i.Remove(place, rooms.Closed)
		}
		f.born[socket] = false
	default:
		f.faults++
		f.fault(n, i)
	}
}

func (f *randomRun) fault(n int, i *randomInstance) {
	switch f.IntN(7) {
	case 0:
		f.server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	case 1:
		f.server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	case 2:
		i.wire.disturb("latency", `{"latency":100,"jitter":80}`)
		time.Sleep(time.Duration(f.IntN(300)) * time.Millisecond)
		i.wire.mend()
	case 3: // the network is dead for a while, perhaps for longer than a lease
		i.wire.disturb("timeout", `{"timeout":0}`)
		d := time.Duration(f.IntN(1500)) * time.Millisecond
		if f.IntN(3) == 0 {
			d += 3 * time.Second
		}
		f.lost[i.Instance()]++
		time.Sleep(d)
		i.wire.mend()
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
		f.lost[i.Instance()]++
		if f.IntN(2) == 0 {
			i.disconnect()
		} else {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = i.Close(ctx) // Redis may be unreachable
			cancel()
		}
		f.instances[n] = f.open(n)
	}
}
