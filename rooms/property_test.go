package rooms_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/rooms"
)

// The invariant: a list and the deltas after it always give the list. Each
// history is random; a failure names its seed.

const histories, steps = 400, 300

func TestSnapshotPlusDeltasIsTheList(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(histories) {
		if err := playHistory(t, base+i, nil); err != nil {
			t.Fatalf("seed %d: %v", base+i, err)
		}
	}
}

// A fault changes the events of a flush, of which one is at i.
type fault func(events []rooms.Event, i int) []rooms.Event

// The control: each of these faults in what a flush sends must be noticed.
func TestFaultyFlushIsNoticed(t *testing.T) {
	lost := func(events []rooms.Event, i int) []rooms.Event { return slices.Delete(events, i, i+1) }
	twice := func(events []rooms.Event, i int) []rooms.Event { return slices.Insert(events, i, events[i]) }
	edited := func(arg int, edit func(string) string) fault {
		return func(events []rooms.Event, i int) []rooms.Event {
			events[i].Args = slices.Clone(events[i].Args)
			events[i].Args[arg] = []byte(edit(string(events[i].Args[arg])))
			return events
		}
	}
	for name, c := range map[string]struct {
		event string
		fault fault
	}{
		"a remove is lost":     {"remove_user", lost},
		"an update is lost":    {"update_user", lost},
		"an add is lost":       {"add_user", lost},
		"a remove comes twice": {"remove_user", twice},
		"a list comes twice":   {"online_users", twice},
		"a count is wrong":     {"online_count", edited(0, func(string) string { return "77" })},
		"removes come last": {"remove_user", func(events []rooms.Event, _ int) []rooms.Event {
			slices.SortStableFunc(events, func(a, b rooms.Event) int {
				return strings.Compare(a.Name[:1], b.Name[:1]) // add, online, remove, update
			})
			return events
		}},
		"adds are reversed": {"add_user", func(events []rooms.Event, i int) []rooms.Event {
			n := slices.IndexFunc(append(events[i:], rooms.Event{}), func(e rooms.Event) bool { return e.Name != "add_user" })
			slices.Reverse(events[i : i+n])
			return events
		}},
		"a reason is wrong":            {"remove_user", edited(1, func(string) string { return `{"reason":"hidden"}` })},
		"a removed user has new bytes": {"remove_user", edited(0, func(user string) string { return " " + user })},
		"an added user has new bytes":  {"add_user", edited(0, func(user string) string { return strings.Replace(user, "1.0", "1", 1) })},
		"a list lacks one": {"online_users", edited(0, func(list string) string {
			if cut := strings.LastIndex(list, ",{"); cut > 0 {
				return list[:cut] + "]"
			}
			return list
		})},
	} {
		t.Run(name, func(t *testing.T) {
			tamper := func(events []rooms.Event) []rooms.Event {
				if i := slices.IndexFunc(events, func(e rooms.Event) bool { return e.Name == c.event }); i >= 0 {
					return c.fault(slices.Clone(events), i)
				}
				return events
			}
			expectNoticed(t, 20, func(seed uint64) error { return playHistory(t, seed, tamper) })
		})
	}
}

// expectNoticed checks that one of some histories fails.
func expectNoticed(t *testing.T, histories uint64, play func(seed uint64) error) {
	t.Helper()
	for seed := range histories {
		if err := play(seed); err != nil {
			t.Logf("seed %d: %.200v", seed, err)
			return
		}
	}
	t.Fatalf("%d histories, and nobody noticed", histories)
}

// A history is one run of random steps, without the flush loop, so that each
// boundary can be looked at.
type history struct {
	*fixture
	random  *rand.Rand
	model   model
	sockets []*socket
	opened  int
	sent    []listed // the list at the last boundary
	stale   bool     // the list changed since the last flush of lists
}

type socket struct {
	*conn
	presence string
	client   client
	// What it is owed at the next boundary, or flush of lists.
	synced, listOwed, countOwed bool
	following                   bool // a changes socket with a snapshot
}

func playHistory(t *testing.T, seed uint64, tamper func([]rooms.Event) []rooms.Event) error {
	h := &history{
		fixture: newFixture(t, rooms.Options{}),
		random:  rand.New(rand.NewPCG(seed, 1)),
		model:   model{why: make(map[int]rooms.Reason)},
	}
	h.sender.tamper = tamper
	for n := range steps {
		if err := h.step(); err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
	}
	return h.boundary(true) // at rest
}

func (h *history) step() error {
	if len(h.sockets) == 0 {
		h.open()
	}
	i := h.random.IntN(len(h.sockets))
	s := h.sockets[i]
	switch p := h.random.IntN(100); {
	case p < 15 && len(h.sockets) < 25:
		h.open()
	case p < 50:
		h.register(s)
	case p < 55:
		s.do("unregister")
		h.model.remove(s.id, rooms.SignedOut)
	case p < 60:
		s.do("sync")
		s.synced = true
	case p < 63:
		s.refused("bad_user", "register", `{"id":[],"k":"bad"}`)
	case p < 68:
		h.changeElsewhere()
	case p < 78:
		reason := []rooms.Reason{rooms.Closed, rooms.Timeout}[h.random.IntN(2)]
		s.session.Disconnect(reason)
		h.model.remove(s.id, reason)
		h.sockets = slices.Delete(h.sockets, i, i+1)
	default:
		return h.boundary(p >= 93)
	}
	if got, want := string(h.rooms.OnlineUsers()), text(h.model.list()); got != want {
		return fmt.Errorf("OnlineUsers is %s, want %s", got, want)
	}
	want := rooms.Counts{Users: len(h.model.users), Sockets: len(h.model.entries), Connections: len(h.sockets)}
	if got := h.rooms.Counts(); got != want {
		return fmt.Errorf("Counts is %+v, want %+v", got, want)
	}
	return nil
}

func (h *history) open() {
	h.opened++
	presence := []string{"both", "both", "list", "changes", "changes", "count", "none"}[h.random.IntN(7)]
	c := h.connect(0, fmt.Sprint("s", h.opened), "presence="+presence)
	h.sockets = append(h.sockets, &socket{conn: c, presence: presence, countOwed: presence == "count"})
}

// user makes a random user for a socket: one of a few ids in different
// spellings, another socket's id, or none.
func (h *history) user(socket string) (k, user string) {
	data := fmt.Sprintf(`"v":1.0, "n":%d`, h.random.IntN(3))
	switch p := h.random.IntN(10); {
	case p < 7:
		id := h.random.IntN(5)
		spelling := []string{`%d`, `"%d"`, `%d.0`, `%de0`}[h.random.IntN(4)]
		k = fmt.Sprint(id)
		return k, fmt.Sprintf(`{"id":`+spelling+`,"k":"%s",%s}`, id, k, data)
	case p < 8:
		other := h.sockets[h.random.IntN(len(h.sockets))].id
		return other, fmt.Sprintf(`{"k":"%s",%s,"id":"%s"}`, other, data, other)
	}
	k = "nobody on " + socket
	return k, fmt.Sprintf(`{ "k":"%s",%s,"Id":5}`, k, data)
}

func (h *history) register(s *socket) {
	k, user := h.user(s.id)
	h.model.put(s.id, k, user)
	s.listOwed = s.listOwed || s.presence == "both" || s.presence == "list"
	s.synced = s.synced || s.presence == "changes"
	s.do("register", user)
}

// changeElsewhere is a change that another instance made.
func (h *history) changeElsewhere() {
	defer h.stores.Deliver()
	far := fmt.Sprintf("far%d", h.random.IntN(4))
	if h.random.IntN(3) == 0 {
		h.remote.Remove(rooms.EntryKey{Key: far}, rooms.InstanceLost)
		h.model.remove(far, rooms.InstanceLost)
		return
	}
	id := fmt.Sprint(h.random.IntN(5))
	user := fmt.Sprintf(`{"far":%d,"k":"%s","id":%s}`, h.random.IntN(2), id, id)
	joined := h.remote.Now() // a socket carries the time of the user's first
	for _, e := range h.stores.Entries() {
		if e.UserID == id {
			joined = min(joined, e.JoinedAt)
		}
	}
	h.remote.Put(rooms.Entry{
		EntryKey: rooms.EntryKey{Key: far}, UserID: id, Data: []byte(user),
		JoinedAt: joined, RegisteredAt: h.remote.Now(),
	})
	h.model.put(far, id, user)
}

// boundary flushes, and looks at what everybody got.
func (h *history) boundary(lists bool) error {
	now := h.model.list()
	deltas := h.model.deltas(h.sent, now)
	h.stale = h.stale || len(deltas) > 0
	recounted := len(now) != len(h.sent)
	h.flush(lists)
	for _, s := range h.sockets {
		var want []string
		if s.presence == "both" || s.following {
			want = append(want, deltas...)
		}
		takesLists := s.presence == "both" || s.presence == "list"
		if s.synced || lists && takesLists && (h.stale || s.listOwed) {
			want = append(want, "online_users "+text(now))
		}
		sends := min(len(want), 1)
		if s.countOwed || s.presence == "count" && recounted {
			want = append(want, fmt.Sprintf("online_count %d", len(now)))
			sends++
		}
		if err := s.check(want, sends, now); err != nil {
			return fmt.Errorf("%s (%s) at a boundary, lists=%v: %w", s.id, s.presence, lists, err)
		}
		s.following = s.following || s.synced && s.presence == "changes"
		s.listOwed = s.listOwed && !lists && !s.synced
		s.synced, s.countOwed = false, false
	}
	h.sent = now
	h.stale = h.stale && !lists
	return nil
}

// check compares what a socket got, and then what it makes of it.
func (s *socket) check(want []string, sends int, list []listed) error {
	events, sent := s.take()
	var got []string
	for _, e := range events {
		if err := s.client.apply(e); err != nil {
			return err
		}
		got = append(got, line(e))
	}
	sortRun(got, "remove_user ")
	sortRun(got, "update_user ")
	if !slices.Equal(got, want) {
		return fmt.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if sent != sends {
		return fmt.Errorf("got it in %d sends, want %d", sent, sends)
	}
	if s.client.known && (s.presence == "both" || s.following) && text(s.client.users) != text(list) {
		return fmt.Errorf("has %s, the list is %s", text(s.client.users), text(list))
	}
	return nil
}

// sortRun sorts the first lines of one event that stand together.
func sortRun(lines []string, event string) {
	from := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, event) })
	to := max(from, 0)
	for to < len(lines) && strings.HasPrefix(lines[to], event) {
		to++
	}
	slices.Sort(lines[max(from, 0):to])
}
