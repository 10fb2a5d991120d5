package adaptertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rollcall/rooms"
)

// A history is what one socket does: step n puts {"n":n}, every fifth removes.
// So a watcher's account can be checked without knowing when it began.
const cycle = 5

func (s *suite) step(i int, socket string, n int) {
	if n%cycle == 0 {
		s.stores[i].Remove(rooms.EntryKey{Key: socket}, rooms.Closed)
		return
	}
	s.stores[i].Put(entry(i, socket, fmt.Sprintf(`{"n":%d}`, n), 1))
}

// checkHistories fails unless each socket's changes are consecutive steps, up
// to step last.
func (s *suite) checkHistories(changes []rooms.Change, sockets []string, last int) {
	s.Helper()
	at := make(map[string]int) // the step seen last; 0: none yet
	for _, c := range changes {
		socket := c.Entry.Key
		n := at[socket] + 1
		if !c.Removed {
			var user struct{ N int }
			if err := json.Unmarshal(c.Entry.Data, &user); err != nil {
				s.Fatalf("user %q: %v", c.Entry.Data, err)
			}
			if at[socket] == 0 {
				n = user.N // where this watcher began
			}
			if n != user.N {
				s.Fatalf("%s: step %d came after step %d", socket, user.N, n-1)
			}
		}
		if at[socket] == 0 && c.Removed || c.Removed != (n%cycle == 0) {
			s.Fatalf("%s: after step %d came a change with removed=%v", socket, n-1, c.Removed)
		}
		at[socket] = n
	}
	for _, socket := range sockets {
		if at[socket] != last {
			s.Fatalf("%s: the last step seen is %d, want %d", socket, at[socket], last)
		}
	}
}

// finished reports whether every socket's last step has been told.
func finished(sockets []string, last int) func([]rooms.Change) bool {
	want := fmt.Sprintf(`{"n":%d}`, last)
	return func(changes []rooms.Change) bool {
		open := make(map[string]bool, len(sockets))
		for _, socket := range sockets {
			open[socket] = true
		}
		for _, c := range slices.Backward(changes) {
			switch {
			case !open[c.Entry.Key]: // this was not its last change
			case c.Removed || string(c.Entry.Data) != want:
				return false
			default:
				delete(open, c.Entry.Key)
			}
			if len(open) == 0 {
				break
			}
		}
		return len(open) == 0
	}
}

func snapshotIsExact(s *suite) {
	const last, late = 2_001, 6
	sockets := []string{"a", "b"}
	var writing sync.WaitGroup
	begin := make(chan struct{})
	for _, socket := range sockets {
		writing.Go(func() {
			for n := 1; n <= last; n++ {
				s.step(0, socket, n)
				if every := last / (late / len(sockets)); n%every == 0 {
					begin <- struct{}{} // and goes on while another instance starts
				}
			}
		})
	}
	var journals []*journal
	for range late {
		<-begin
		journals = append(journals, s.join())
	}
	writing.Wait()
	for _, j := range journals {
		j.await("the end of the history", finished(sockets, last))
		j.stop()
		s.checkHistories(j.seen(), sockets, last)
	}
}

func orderOfASocket(s *suite) {
	const last, each = 301, 10
	journals := s.watchAll()
	var sockets []string
	var writing sync.WaitGroup
	for i := range s.stores {
		for k := range each {
			socket := fmt.Sprintf("s-%d-%d", i, k)
			sockets = append(sockets, socket)
			writing.Go(func() {
				for n := 1; n <= last; n++ {
					s.step(i, socket, n)
				}
			})
		}
	}
	writing.Wait()
	for i, j := range journals {
		others := slices.DeleteFunc(slices.Clone(sockets), func(socket string) bool { return strings.HasPrefix(socket, fmt.Sprintf("s-%d-", i)) })
		j.await("the end of all histories", finished(others, last))
		j.stop()
		changes := j.seen()
		if want := len(others) * last; len(changes) != want {
			s.Fatalf("was told %d changes, want %d", len(changes), want)
		}
		s.checkHistories(changes, others, last)
	}
}

func stopped(s *suite) {
	const changes = 2000
	ends, stays := s.watch(1), s.watch(2)
	halfway, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := range changes {
			s.stores[0].Put(entry(0, "a", fmt.Sprintf(`{"n":%d}`, n), 1))
			if n == changes/2 {
				close(halfway)
			}
		}
	}()
	<-halfway
	ends.stop()
	told := len(ends.seen())
	<-done
	stays.awaitCount(changes)
	// Once more, so that a stopped watcher meets a change whatever the timing.
	s.stores[0].Remove(rooms.EntryKey{Key: "a"}, rooms.Closed)
	if n := len(stays.awaitCount(changes + 1)); n != changes+1 {
		s.Fatalf("the other watcher was told %d changes, want %d", n, changes+1)
	}
	if n := len(ends.seen()); n != told {
		s.Fatalf("a stopped watcher was told %d changes more", n-told)
	}
	ends.stop() // again
}
