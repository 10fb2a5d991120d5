package rooms

import "time"

// What the tests see of the inside.

// Flush takes each step of the flush loop once, for tests that do without Run.
func (r *Rooms) Flush(lists bool) {
	r.Deliver()
	r.mu.Lock()
	due := r.takePresence(lists)
	r.mu.Unlock()
	r.flusher.flush(due)
	r.flusher.flushMembers()
}

// Deliver is one step of the flush loop: it sends what waits to be sent at once.
func (r *Rooms) Deliver() {
	r.mu.Lock()
	queued := r.outbox.take()
	r.mu.Unlock()
	r.flusher.fanOutQueued(queued)
}

// Waiting is what the flush loop would find to do.
func (r *Rooms) Waiting() (deltas, lists bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := r.pendingKinds()
	return kinds.deltas, kinds.snapshots
}

// Identify returns an identity's id and whether it is the socket's.
func Identify(user, socket string) (id string, anonymous bool, err error) {
	k, err := identify([]byte(user), socket)
	return k.id, k.anonymous, err
}

// Held is the number of rooms, and of lists other than Online, that exist here, and
// the size of this instance's entries in stages and races.
func (r *Rooms) Held() (rooms, lists, racingBytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions.rooms), len(r.lists.byName), r.lists.ownBytes
}

// Sweep is one round of the janitor at a given time.
func (r *Rooms) Sweep(now time.Time) { r.statuses.sweep(now) }

// HoldAtMost sets the bound of entries that are held for the grace period.
func (r *Rooms) HoldAtMost(n int) { r.grace.limit = n }
