package rooms_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/adapter/adaptertest"
	"rollcall/rooms"
)

// The invariant: a list and the deltas after it always give the list. Each
// history is random; a failure names its seed.

const histories, steps = 400, 300

func TestSnapshotPlusIncrementsIsTheList(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(histories) {
		if err := playHistory(base+i, nil); err != nil {
			t.Fatalf("seed %d: %v", base+i, err)
		}
	}
}

// The control: each of these faults in what a flush sends must be noticed.
func TestFaultyFlushIsNoticed(t *testing.T) {
	first := func(events []rooms.Event, name string) int {
		return slices.IndexFunc(events, func(e rooms.Event) bool { return e.Name == name })
	}
	without := func(name string) func([]rooms.Event) []rooms.Event {
		return func(events []rooms.Event) []rooms.Event {
			if i := first(events, name); i >= 0 {
				return slices.Delete(slices.Clone(events), i, i+1)
			}
			return events
		}
	}
	edit := func(name string, change func(*rooms.Event)) func([]rooms.Event) []rooms.Event {
		return func(events []rooms.Event) []rooms.Event {
			events = slices.Clone(events)
			if i := first(events, name); i >= 0 {
				events[i].Args = slices.Clone(events[i].Args)
				change(&events[i])
			}
			return events
		}
	}
	reverse := func(name string) func([]rooms.Event) []rooms.Event {
		return func(events []rooms.Event) []rooms.Event {
			from := first(events, name)
			if from < 0 {
				return events
			}
			to := from
			for to < len(events) && events[to].Name == name {
				to++
			}
			events = slices.Clone(events)
			slices.Reverse(events[from:to])
			return events
		}
	}
	for fault, tamper := range map[string]func([]rooms.Event) []rooms.Event{
		"a remove is lost":  without("remove_user"),
		"an update is lost": without("update_user"),
		"an add is lost":    without("add_user"),
		"a count is wrong":  edit("online_count", func(e *rooms.Event) { e.Args[0] = []byte("77") }),
		"a remove comes twice": func(events []rooms.Event) []rooms.Event {
			if i := first(events, "remove_user"); i >= 0 {
				return slices.Insert(slices.Clone(events), i, events[i])
			}
			return events
		},
		"removes come last": func(events []rooms.Event) []rooms.Event {
			events = slices.Clone(events)
			slices.SortStableFunc(events, func(a, b rooms.Event) int {
				return strings.Compare(a.Name[:1], b.Name[:1]) // add, online, remove, update
			})
			return events
		},
		"adds are turned round": reverse("add_user"),
		"a reason is wrong":     edit("remove_user", func(e *rooms.Event) { e.Args[1] = []byte(`{"reason":"hidden"}`) }),
		"a removed user has new bytes": edit("remove_user", func(e *rooms.Event) {
			e.Args[0] = append([]byte(" "), e.Args[0]...)
		}),
		"an added user has new bytes": edit("add_user", func(e *rooms.Event) {
			e.Args[0] = []byte(strings.Replace(string(e.Args[0]), "1.0", "1", 1))
		}),
		"a list lacks one": edit("online_users", func(e *rooms.Event) {
			if cut := strings.LastIndex(string(e.Args[0]), ",{"); cut > 0 {
				e.Args[0] = []byte(string(e.Args[0][:cut]) + "]")
			}
		}),
		"a list is told twice": func(events []rooms.Event) []rooms.Event {
			if i := first(events, "online_users"); i >= 0 {
				return append(slices.Clone(events), events[i])
			}
			return events
		},
	} {
		t.Run(fault, func(t *testing.T) {
			for seed := range uint64(20) {
				if err := playHistory(seed, tamper); err != nil {
					t.Logf("seed %d: %.150v", seed, err)
					return
				}
			}
			t.Fatal("20 histories, and nobody noticed")
		})
	}
}

// A history is one run of random steps against a Rooms without its loop, so
// that each boundary can be looked at.
type history struct {
	random  *rand.Rand
	rooms   *rooms.Rooms
	cluster *adaptertest.Cluster
	far     rooms.Store
	model   model
	sockets []*socket
	opened  int
	told    []listed // the list at the last boundary
	stale   bool     // the list changed since the last flush of lists
}

type socket struct {
	*fakeConn
	presence string
	client   client
	// What it is owed at the next boundary, or flush of lists.
	synced, listOwed, countOwed bool
	following                   bool // a changes socket with a snapshot
}

func playHistory(seed uint64, tamper func([]rooms.Event) []rooms.Event) error {
	h := &history{
		random:  rand.New(rand.NewPCG(seed, 1)),
		cluster: newCluster(),
		model:   model{why: make(map[int]rooms.Reason)},
	}
	h.rooms = rooms.New(rooms.Options{}, h.cluster.Open("local"), &fakeSender{tamper: tamper})
	h.far = h.cluster.Open("far")
	for n := range steps {
		err := h.step()
		if n == steps-1 && err == nil {
			err = h.boundary(true) // at rest
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
	}
	return nil
}

func (h *history) step() error {
	if len(h.sockets) == 0 {
		return h.connect()
	}
	s := h.sockets[h.random.IntN(len(h.sockets))]
	var err error
	switch p := h.random.IntN(100); {
	case p < 15 && len(h.sockets) < 25:
		err = h.connect()
	case p < 50:
		err = h.register(s)
	case p < 55:
		_, err = h.rooms.Handle(s, "unregister", nil)
		h.model.remove(s.id, rooms.SignedOut)
	case p < 60:
		_, err = h.rooms.Handle(s, "sync", nil)
		s.synced = true
	case p < 63:
		if _, refused := h.rooms.Handle(s, "register", raw([]string{`{"id":[],"k":"bad"}`})); refused == nil {
			err = fmt.Errorf("a bad user was taken")
		}
	case p < 68:
		h.elsewhere()
	case p < 78:
		reason := []rooms.Reason{rooms.Closed, rooms.Timeout}[h.random.IntN(2)]
		h.rooms.Disconnect(s, reason)
		h.model.remove(s.id, reason)
		h.sockets = slices.DeleteFunc(h.sockets, func(o *socket) bool { return o == s })
	case p < 93:
		return h.boundary(false)
	default:
		return h.boundary(true)
	}
	if err != nil {
		return err
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

func (h *history) connect() error {
	h.opened++
	s := &socket{fakeConn: &fakeConn{id: fmt.Sprintf("s%d", h.opened)}}
	s.presence = []string{"both", "both", "list", "changes", "changes", "count", "none"}[h.random.IntN(7)]
	s.countOwed = s.presence == "count"
	h.sockets = append(h.sockets, s)
	_, err := h.rooms.Connect(s, handshake(s.presence))
	return err
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

func (h *history) register(s *socket) error {
	k, user := h.user(s.id)
	h.model.put(s.id, k, user)
	switch s.presence {
	case "both", "list":
		s.listOwed = true
	case "changes":
		s.synced = true
	}
	_, err := h.rooms.Handle(s, "register", raw([]string{user}))
	return err
}

// elsewhere is a change that another instance made.
func (h *history) elsewhere() {
	defer h.cluster.Deliver()
	far := fmt.Sprintf("far%d", h.random.IntN(4))
	if h.random.IntN(3) == 0 {
		h.far.Remove(rooms.EntryKey{Key: far}, rooms.InstanceLost)
		h.model.remove(far, rooms.InstanceLost)
		return
	}
	id := fmt.Sprint(h.random.IntN(5))
	user := fmt.Sprintf(`{"far":%d,"k":"%s","id":%s}`, h.random.IntN(2), id, id)
	joined := h.far.Now() // a socket carries the time of the user's first
	for _, e := range h.cluster.Entries() {
		if e.UserID == id {
			joined = min(joined, e.JoinedAt)
		}
	}
	h.far.Put(rooms.Entry{
		EntryKey: rooms.EntryKey{Key: far}, UserID: id, Data: []byte(user),
		JoinedAt: joined, RegisteredAt: h.far.Now(),
	})
	h.model.put(far, id, user)
}

// boundary flushes, and looks at what everybody got.
func (h *history) boundary(lists bool) error {
	now := h.model.list()
	increments := h.model.increments(h.told, now)
	h.stale = h.stale || len(increments) > 0
	recounted := len(now) != len(h.told)
	h.rooms.Flush(lists)
	for _, s := range h.sockets {
		var want []string
		takesLists := s.presence == "both" || s.presence == "list"
		if s.presence == "both" || s.following {
			want = append(want, increments...)
		}
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
	h.told = now
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
		line := e.Name
		for _, arg := range e.Args {
			line += " " + string(arg)
		}
		got = append(got, line)
	}
	sortRun(got, "remove_user")
	sortRun(got, "update_user")
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

// sortRun sorts the lines of one event that stand together.
func sortRun(lines []string, event string) {
	of := func(line string) bool { return strings.HasPrefix(line, event+" ") }
	from := slices.IndexFunc(lines, of)
	if from < 0 {
		return
	}
	to := from
	for to < len(lines) && of(lines[to]) {
		to++
	}
	slices.Sort(lines[from:to])
}
