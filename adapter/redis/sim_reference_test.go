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

// A simReference is what happened in truth, and what each watcher was told. It
// says what must not be told as soon as it is.
type simReference struct {
	// mu guards everything below, and the fields of instances that say what
	// became of them.
	mu      sync.Mutex
	places  map[rooms.EntryKey]*simPlace
	views   map[*simInstance]*simView
	posted  map[string]simMessage // by text: what was accepted
	revoked []simRevoked
	rules   *simRules
	putAt   map[int]time.Time // by count of a put
	loss    bool              // something that happens loses data of Redis
	owners  map[string]*simInstance
	findings
	trace uint64 // of all that was told
	log   []string
	began time.Time
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

type simMessage struct {
	by *simInstance
	to map[*simInstance]bool // instances that had a place in the stream by then
}

// A simView is what one watcher was told.
type simView struct {
	shown     map[rooms.EntryKey]int // count of the put that is shown
	most      map[rooms.EntryKey]int // the highest count ever shown
	gone      map[rooms.EntryKey]int // count of the put whose removal was told, by its owner's will
	messages  []rooms.ChatMessage
	told      map[string]bool
	signedOut map[string]bool
}

func newSimReference() *simReference {
	return &simReference{
		places: make(map[rooms.EntryKey]*simPlace),
		views:  make(map[*simInstance]*simView),
		posted: make(map[string]simMessage),
		owners: make(map[string]*simInstance),
		putAt:  make(map[int]time.Time),
		began:  time.Now(),
	}
}

func (ref *simReference) putting(place rooms.EntryKey, count int) {
	ref.mu.Lock()
	defer ref.mu.Unlock()
	if ref.places[place] == nil {
		ref.places[place] = &simPlace{}
	}
	ref.places[place].last = count
	ref.putAt[count] = time.Now()
}

func (ref *simReference) removing(place rooms.EntryKey) {
	ref.mu.Lock()
	defer ref.mu.Unlock()
	if p := ref.places[place]; p != nil {
		p.removed = p.last
	}
}

func (ref *simReference) fail(format string, args ...any) {
	ref.findings.fail("%v: %s", time.Since(ref.began), fmt.Sprintf(format, args...))
}

// watcher is what one instance's store tells everything.
func (ref *simReference) watcher(in *simInstance) func(rooms.Change) {
	ref.mu.Lock()
	defer ref.mu.Unlock()
	v := &simView{
		shown: make(map[rooms.EntryKey]int), most: make(map[rooms.EntryKey]int), gone: make(map[rooms.EntryKey]int),
		told: make(map[string]bool), signedOut: make(map[string]bool),
	}
	ref.views[in], ref.owners[in.name] = v, in
	return func(c rooms.Change) {
		ref.mu.Lock()
		defer ref.mu.Unlock()
		ref.note(in, c)
		switch {
		case c.Message == nil && c.SignOut == "" && ref.owner(c.Entry.EntryKey) == in:
			ref.fail("%s was told of its own %v", in.name, c.Entry.EntryKey)
		case c.Message != nil:
			ref.messageTo(in, v, *c.Message)
		case c.SignOut != "":
			if v.signedOut[c.SignOut] {
				ref.fail("%s was told twice to sign out %s", in.name, c.SignOut)
			}
			v.signedOut[c.SignOut] = true
		case c.Removed:
			ref.removeFrom(in, v, c)
		default:
			ref.putTo(in, v, c.Entry)
		}
	}
}

func (ref *simReference) note(in *simInstance, c rooms.Change) {
	line := fmt.Sprint(time.Since(ref.began), " ", in.name, " ")
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
	fmt.Fprint(h, ref.trace, line)
	ref.trace = h.Sum64()
	if *simLog {
		ref.log = append(ref.log, line)
	}
}

// owner is the instance that an entry is of.
func (ref *simReference) owner(place rooms.EntryKey) *simInstance {
	name, _, _ := strings.Cut(place.Key, "/")
	return ref.owners[name]
}

// simCount is the count of the put that made an entry's data.
func simCount(data []byte) int {
	_, text, _ := strings.Cut(string(data), `"n":`)
	count, _ := strconv.Atoi(strings.TrimSuffix(text, "}"))
	return count
}

func (ref *simReference) putTo(in *simInstance, v *simView, e rooms.Entry) {
	count := simCount(e.Data)
	owner, p := ref.owner(e.EntryKey), ref.places[e.EntryKey]
	if p == nil {
		ref.fail("%s was told of %v, which nobody put", in.name, e.EntryKey)
		return
	}
	_, shown := v.shown[e.EntryKey]
	switch {
	case count < v.most[e.EntryKey]:
		ref.fail("%s was told that %v went back from %d to %d", in.name, e.EntryKey, v.most[e.EntryKey], count)
	case !shown && count <= v.gone[e.EntryKey]:
		ref.fail("%s was told that %v came back, which is gone", in.name, e.EntryKey)
	case owner.ended && !shown && time.Since(owner.stopped) > 30*time.Second:
		ref.fail("%s was told that %v came, whose instance ended %v ago", in.name, e.EntryKey, time.Since(owner.stopped))
	}
	v.shown[e.EntryKey], v.most[e.EntryKey] = count, max(count, v.most[e.EntryKey])
}

func (ref *simReference) removeFrom(in *simInstance, v *simView, c rooms.Change) {
	place := c.Entry.EntryKey
	count, shown := v.shown[place]
	owner := ref.owner(place)
	switch {
	case !shown:
		ref.fail("%s was told twice that %v left", in.name, place)
	case in.ended: // it closes
	case c.Reason == rooms.InstanceLost && !ref.wasEvicted(owner, count):
		ref.fail("%s was told that %v is lost, whose instance nobody evicted", in.name, place)
	case c.Reason == rooms.InstanceLost && owner.left && !ref.loss && ref.rules.evicted[owner.name].After(owner.stopped):
		ref.fail("%s was told that %v is lost, whose instance ended in order", in.name, place)
	case c.Reason != rooms.InstanceLost && ref.places[place].removed < count && !owner.ended:
		ref.fail("%s was told that %v left (%s), which is there", in.name, place, c.Reason)
	}
	if c.Reason != rooms.InstanceLost {
		v.gone[place] = count
	}
	delete(v.shown, place)
}

// wasEvicted reports whether an instance was evicted after it put an entry.
func (ref *simReference) wasEvicted(in *simInstance, count int) bool {
	at, ok := ref.rules.evicted[in.name]
	return ok && at.After(ref.putAt[count])
}

func (ref *simReference) messageTo(in *simInstance, v *simView, m rooms.ChatMessage) {
	if v.told[m.Content] && !ref.loss { // with its data Redis may lose a nonce
		ref.fail("%s was told message %s twice", in.name, m.Content)
	}
	v.told[m.Content] = true
	v.messages = append(v.messages, m)
}

// truth is what everybody should see in the end.
func (ref *simReference) truth() map[rooms.EntryKey]int {
	out := make(map[rooms.EntryKey]int)
	for place, p := range ref.places {
		if in := ref.owner(place); p.last > p.removed && in != nil && !in.ended {
			out[place] = p.last
		}
	}
	return out
}

func sortedKeys[V any](m map[rooms.EntryKey]V) []rooms.EntryKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b rooms.EntryKey) int { return strings.Compare(address(a), address(b)) })
}

// checkGone says what anybody else still shows of an instance.
func (ref *simReference) checkGone(gone *simInstance) {
	for in, v := range ref.views {
		for place := range v.shown {
			if in != gone && !in.ended && ref.owner(place) == gone {
				ref.fail("%s still shows %v", in.name, place)
				break
			}
		}
	}
}
