package rooms_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// freeSender costs nothing: what remains is the domain.
type freeSender struct{}

func (freeSender) Encode(...rooms.Event) rooms.Frames    { return nil }
func (freeSender) Fanout([]rooms.Delivery) time.Duration { return 0 }

// benchSockets connects n sockets and has a user object for each.
func benchSockets(b *testing.B, n int) (r *rooms.Rooms, conns []*conn, users []string) {
	r = rooms.New(rooms.Options{Bus: &memory.Bus{}}, memory.New(), freeSender{})
	f := &fixture{t: b, instances: []*rooms.Rooms{r}, running: true}
	for i := range n {
		conns = append(conns, f.connect(0, fmt.Sprintf("socket-%08d", i), ""))
		users = append(users, fmt.Sprintf(
			`{"id":%d,"nickname":"Racer %d","avatar":"https://example.org/avatars/%d.png"}`, i, i, i))
	}
	return r, conns, users
}

// BenchmarkStorm: n sockets register, and one flush is for all.
func BenchmarkStorm(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r, conns, users := benchSockets(b, n)
				b.StartTimer()
				for i, c := range conns {
					c.do("register", users[i])
				}
				r.Flush(true)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/user")
		})
	}
}

// BenchmarkChange: one of n users changes, and a flush is for all.
func BenchmarkChange(b *testing.B) {
	for _, lists := range []bool{false, true} {
		for _, n := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("lists=%v/%d", lists, n), func(b *testing.B) {
				r, conns, users := benchSockets(b, n)
				for i, c := range conns {
					c.do("register", users[i])
				}
				r.Flush(true)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					conns[0].do("register", fmt.Sprintf(`{"id":0,"n":%d}`, i))
					r.Flush(lists)
				}
			})
		}
	}
}
