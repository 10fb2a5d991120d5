package redis

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/rooms"
)

// A simLedger is what happened in truth, and what each watcher was told. It
// says what must not be told as soon as it is.
type simLedger struct {
	// mu guards everything below, and the fields of instances that say what
	// became of them.
	mu      sync.Mutex
	places  map[rooms.EntryKey]*simPlace
	views   map[*simInstance]*simView
	said    map[string]simSaid // by text: what was accepted
	revoked []simRevoked
	rules   *simRules
	putAt   map[int]time.Time // by count of a put
	loss    bool              // something that happens loses data of Redis
	owners  map[string]*simInstance
	wrong   []string
	trace   uint64 // of all that was told
	log     []string
	began   time.Time
}

type simPlace struct {
	last    int // count of the last put
	removed int // count of the last put that was removed
}

type simRevoked struct {
	by   *simInstance
	user string
	at   time.Time
}

type simSaid struct {
	by *simInstance
	to map[*simInstance]bool // who had a place in the stream by then
}

// A simView is what one watcher was told.
type simView struct {
	shown     map[rooms.EntryKey]int // count of the put that is shown
	most      map[rooms.EntryKey]int // the highest count ever shown
	content   map[rooms.EntryKey]string
	gone      map[rooms.EntryKey]int // count of the put whose removal was told, by its owner's will
	said      []rooms.ChatMessage
	heard     map[string]bool
	signedOut map[string]bool
}

func newSimLedger() *simLedger {
	return &simLedger{
		places: make(map[rooms.EntryKey]*simPlace),
		views:  make(map[*simInstance]*simView),
		said:   make(map[string]simSaid),
		owners: make(map[string]*simInstance),
		putAt:  make(map[int]time.Time),
		began:  time.Now(),
	}
}

func (l *simLedger) putting(place rooms.EntryKey, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.places[place] == nil {
		l.places[place] = &simPlace{}
	}
	l.places[place].last = count
	l.putAt[count] = time.Now()
}

func (l *simLedger) removing(place rooms.EntryKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.places[place]; p != nil {
		p.removed = p.last
	}
}

func (l *simLedger) fail(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf("%v: ", time.Since(l.began))+fmt.Sprintf(format, args...))
}

// watcher is what one instance's store tells everything.
func (l *simLedger) watcher(in *simInstance) func(rooms.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &simView{
		shown: make(map[rooms.EntryKey]int), most: make(map[rooms.EntryKey]int), content: make(map[rooms.EntryKey]string), gone: make(map[rooms.EntryKey]int),
		heard: make(map[string]bool), signedOut: make(map[string]bool),
	}
	l.views[in], l.owners[in.name] = v, in
	return func(c rooms.Change) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.note(in, c)
		own := c.Message == nil && c.SignOut == "" && l.owner(c.Entry.EntryKey) == in
		switch {
		case own:
			l.fail("%s was told of its own %v", in.name, c.Entry.EntryKey)
		case c.Message != nil:
			l.sayTo(in, v, *c.Message)
		case c.SignOut != "":
			if v.signedOut[c.SignOut] {
				l.fail("%s was told twice to sign out %s", in.name, c.SignOut)
			}
			v.signedOut[c.SignOut] = true
		case c.Removed:
			l.removeFrom(in, v, c)
		default:
			l.putTo(in, v, c.Entry)
		}
	}
}

func (l *simLedger) note(in *simInstance, c rooms.Change) {
	line := fmt.Sprint(time.Since(l.began), " ", in.name, " ")
	switch {
	case c.Message != nil:
		line += fmt.Sprint("said ", c.Message.ID, " ", c.Message.Content)
	case c.SignOut != "":
		line += "sign out " + c.SignOut
	case c.Removed:
		line += fmt.Sprint("removed ", c.Entry.EntryKey, " ", c.Reason)
	default:
		line += fmt.Sprint("put ", c.Entry.EntryKey, " ", string(c.Entry.Data))
	}
	h := fnv.New64a()
	fmt.Fprint(h, l.trace, line)
	l.trace = h.Sum64()
	if *simLog {
		l.log = append(l.log, line)
	}
}

// owner is the instance that an entry is of.
func (l *simLedger) owner(place rooms.EntryKey) *simInstance {
	name, _, _ := strings.Cut(place.Key, "/")
	return l.owners[name]
}

// simCount is the count of the put that made an entry's data.
func simCount(data []byte) int {
	_, text, _ := strings.Cut(string(data), `"n":`)
	count, _ := strconv.Atoi(strings.TrimSuffix(text, "}"))
	return count
}

func (l *simLedger) putTo(in *simInstance, v *simView, e rooms.Entry) {
	count := simCount(e.Data)
	owner, p := l.owner(e.EntryKey), l.places[e.EntryKey]
	if p == nil {
		l.fail("%s was told of %v, which nobody put", in.name, e.EntryKey)
		return
	}
	_, shown := v.shown[e.EntryKey]
	switch {
	case count < v.most[e.EntryKey]:
		l.fail("%s was told that %v went back from %d to %d", in.name, e.EntryKey, v.most[e.EntryKey], count)
	case !shown && count <= v.gone[e.EntryKey]:
		l.fail("%s was told that %v came back, which is gone", in.name, e.EntryKey)
	case owner.ended && !shown && time.Since(owner.stopped) > 30*time.Second:
		l.fail("%s was told that %v came, whose instance ended %v ago", in.name, e.EntryKey, time.Since(owner.stopped))
	}
	v.shown[e.EntryKey], v.most[e.EntryKey], v.content[e.EntryKey] = count, max(count, v.most[e.EntryKey]), content(e)
}

func (l *simLedger) removeFrom(in *simInstance, v *simView, c rooms.Change) {
	place := c.Entry.EntryKey
	count, shown := v.shown[place]
	owner := l.owner(place)
	switch {
	case !shown:
		l.fail("%s was told twice that %v left", in.name, place)
	case in.ended: // it closes
	case c.Reason == rooms.InstanceLost && !l.wasGivenUp(owner, count):
		l.fail("%s was told that %v is lost, whose instance nobody gave up", in.name, place)
	case c.Reason == rooms.InstanceLost && owner.left && !l.loss && l.rules.evicted[owner.name].After(owner.stopped):
		l.fail("%s was told that %v is lost, whose instance ended in order", in.name, place)
	case c.Reason != rooms.InstanceLost && l.places[place].removed < count && !owner.ended:
		l.fail("%s was told that %v left (%s), which is there", in.name, place, c.Reason)
	}
	if c.Reason != rooms.InstanceLost {
		v.gone[place] = count
	}
	delete(v.shown, place)
	delete(v.content, place)
}

// wasGivenUp reports whether an instance was evicted after it put an entry.
func (l *simLedger) wasGivenUp(in *simInstance, count int) bool {
	at, ok := l.rules.evicted[in.name]
	return ok && at.After(l.putAt[count])
}

func (l *simLedger) sayTo(in *simInstance, v *simView, m rooms.ChatMessage) {
	if v.heard[m.Content] && !l.loss { // with its data Redis may lose a nonce
		l.fail("%s was told message %s twice", in.name, m.Content)
	}
	v.heard[m.Content] = true
	v.said = append(v.said, m)
}

// truth is what everybody should see in the end.
func (l *simLedger) truth() map[rooms.EntryKey]int {
	out := make(map[rooms.EntryKey]int)
	for place, p := range l.places {
		if in := l.owner(place); p.last > p.removed && in != nil && !in.ended {
			out[place] = p.last
		}
	}
	return out
}

func sortedPlaces[V any](m map[rooms.EntryKey]V) []rooms.EntryKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b rooms.EntryKey) int { return strings.Compare(address(a), address(b)) })
}

// checkGone says what anybody else still shows of an instance.
func (l *simLedger) checkGone(gone *simInstance) {
	for in, v := range l.views {
		for place := range v.shown {
			if in != gone && !in.ended && l.owner(place) == gone {
				l.fail("%s still shows %v", in.name, place)
				break
			}
		}
	}
}
