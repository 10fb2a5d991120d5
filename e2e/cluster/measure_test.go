package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/e2e/client"
	"rollcall/e2e/program"
)

// These measure, and say so in their own units:
//
//	go test -run '^$' -bench . -benchtime 1x ./e2e/cluster

// BenchmarkAcross is the time from a register at one instance to add_user at
// the clients of another: three instances, 300 watchers.
func BenchmarkAcross(b *testing.B) {
	for b.Loop() {
		d := bare(b, plan{instances: 3})
		book := newArrivals()
		for _, in := range d.instances {
			for range 100 {
				book.follow(b, in)
			}
		}
		var times []time.Duration
		for i := range 200 {
			id := fmt.Sprintf("u%d", i)
			c, err := client.Dial(d.instances[0].port, "presence=none", client.Handlers{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(c.Close)
			began := time.Now()
			if err := c.Send(`42["register",{"id":"` + id + `"}]`); err != nil {
				b.Fatal(err)
			}
			program.Eventually(b, patience, "all are told", func() bool { return book.told(id) == 300 })
			for _, at := range book.elsewhere(id, d.instances[0]) {
				times = append(times, at.Sub(began))
			}
		}
		slices.Sort(times)
		report(b, times, 50, 99)
	}
}

// BenchmarkThousand is 1,000 registers at once over three instances, until each
// of the 1,000 clients has all.
func BenchmarkThousand(b *testing.B) {
	for b.Loop() {
		d := bare(b, plan{instances: 3})
		const n = 1000
		book := &arrivals{} // who and when is not asked
		var clients []*client.Client
		for i := range n {
			clients = append(clients, book.follow(b, d.instances[i%3]))
		}
		before, trips := d.redis.commands(), d.redis.trips()
		began := time.Now()
		for i, c := range clients {
			if err := c.Send(fmt.Sprintf(`42["register",{"id":"u%d","name":"User %d"}]`, i, i)); err != nil {
				b.Fatal(err)
			}
		}
		program.Eventually(b, patience, "all have all", func() bool { return book.complete.Load() == n })
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms")
		b.ReportMetric(float64(d.redis.trips()-trips), "trips")
		b.ReportMetric(float64(d.redis.commands()-before)/n, "commands/register")
	}
}

// BenchmarkCommands is what Redis is asked: by three idle instances in a
// second, and for a register that is alone.
func BenchmarkCommands(b *testing.B) {
	for b.Loop() {
		d := deploy(b, plan{instances: 3})
		d.populate(10, false)
		d.sleep(2 * time.Second)
		before, trips := d.redis.commands(), d.redis.trips()
		began := time.Now()
		d.sleep(10 * time.Second)
		idle := float64(d.redis.commands()-before) / time.Since(began).Seconds()
		idleTrips := float64(d.redis.trips()-trips) / time.Since(began).Seconds()
		b.ReportMetric(idle, "commands/s-idle")
		b.ReportMetric(idleTrips, "trips/s-idle")

		before, trips = d.redis.commands(), d.redis.trips()
		began = time.Now()
		const n = 50
		for i := range n {
			d.join(d.instances[i%3], fmt.Sprintf("single%d", i))
			d.converge("seen", soon, d.truth(), d.watching())
		}
		took := time.Since(began).Seconds()
		b.ReportMetric((float64(d.redis.commands()-before)-idle*took)/n, "commands/register")
		b.ReportMetric((float64(d.redis.trips()-trips)-idleTrips*took)/n, "trips/register")
	}
}

func report(b *testing.B, times []time.Duration, percentiles ...int) {
	for _, p := range percentiles {
		at := times[min(len(times)-1, len(times)*p/100)]
		b.ReportMetric(float64(at.Microseconds())/1000, fmt.Sprintf("ms-p%d", p))
	}
}

// arrivals is when whom was announced where.
type arrivals struct {
	clients  atomic.Int64
	complete atomic.Int64 // those that have seen as many users as there are clients

	mu    sync.Mutex // guards all below
	at    map[string][]time.Time
	where map[string][]*instance
}

func newArrivals() *arrivals {
	return &arrivals{at: make(map[string][]time.Time), where: make(map[string][]*instance)}
}

func (a *arrivals) arrived(id string, at time.Time, where *instance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[id], a.where[id] = append(a.at[id], at), append(a.where[id], where)
}

// follow connects a client of changes, which has its snapshot.
func (a *arrivals) follow(b *testing.B, in *instance) *client.Client {
	a.clients.Add(1)
	complete := false
	seen := make(map[string]bool) // of one goroutine
	first := make(chan struct{})
	var once sync.Once
	c, err := client.Dial(in.port, "presence=changes", client.Handlers{Raw: func(at time.Time, event []byte) {
		// Decoding JSON would take longer than what is measured.
		for _, part := range bytes.Split(event, []byte(`{"id":"`))[1:] {
			id, _, _ := bytes.Cut(part, []byte(`"`))
			if !seen[string(id)] {
				seen[string(id)] = true
				if a.at != nil {
					a.arrived(string(id), at, in)
				}
			}
		}
		if bytes.HasPrefix(event, []byte(`["online_users"`)) {
			once.Do(func() { close(first) })
		}
		if int64(len(seen)) == a.clients.Load() && !complete {
			complete = true
			a.complete.Add(1)
		}
	}})
	if err == nil {
		err = c.Do("sync", "")
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	<-first
	return c
}

func (a *arrivals) told(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at[id])
}

// elsewhere is when the clients of all other instances were told.
func (a *arrivals) elsewhere(id string, home *instance) (times []time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range a.at[id] {
		if a.where[id][i] != home {
			times = append(times, at)
		}
	}
	return times
}

// trips is how many calls the instances have made.
func (s *redisServer) trips() (n int64) {
	text, _ := s.do("INFO", "commandstats").(string)
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if slices.Contains([]string{"evalsha", "eval", "xread", "subscribe", "psubscribe", "publish", "ping"}, name) {
			calls, _, _ := strings.Cut(rest, ",")
			more, err := strconv.ParseInt(calls, 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			n += more
		}
	}
	return n
}

// commands is how many commands Redis has carried out, those within scripts
// included.
func (s *redisServer) commands() int64 {
	n, err := strconv.ParseInt(s.info("stats", "total_commands_processed"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
