package redis

import (
	"context"
	"encoding/binary"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"rollcall/rooms"
)

// Nothing that this store does should let two instances have different entries at
// rest. If they do all the same, this finds it: at the same announcement the sums
// of their entries' hashes must be equal.

// compareEvery is how many renewals of the lease lie between two comparisons.
const compareEvery = 5

// hashOf is of all of an entry that clients see or that decides what they see.
func hashOf(e rooms.Entry) uint64 {
	h := xxhash.New()
	for _, text := range []string{e.List, e.Key, e.Instance, e.UserID, string(e.Status)} {
		_, _ = h.WriteString(text)
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(e.Data)
	var numbers []byte
	for _, n := range []int64{e.JoinedAt, e.RegisteredAt, e.VisibleAt, e.StatusAt} {
		numbers = binary.LittleEndian.AppendUint64(numbers, uint64(n))
	}
	_, _ = h.Write(numbers)
	return h.Sum64()
}

// digest is the sum of all entries' hashes and how many there are, as text: of two
// instances with the same entries it is the same, and hardly ever of two that
// differ. mu is held.
func (r *Store) digest() string {
	return strconv.FormatUint(r.own.sum+r.others.sum, 16) + "/" + strconv.Itoa(len(r.own.entries)+len(r.others.entries))
}

// atRest is the announcement that was read last, by number and token, and the
// digest of the entries there; false if anything is on its way, in either
// direction, or being repaired.
func (r *Store) atRest() (announcement, digest string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.own.queue) > 0 || r.others.resync != "" || r.others.unsettled() > 0 || r.others.seemsAlive() {
		return "", "", false
	}
	return strconv.FormatUint(r.others.seq, 10) + " " + r.others.token, r.digest(), true
}

// A comparison belongs to the goroutine of the lease.
type comparison struct {
	renewals int  // since the last one
	differed bool // at the last one
}

// compareDigests tells the other instances what this one has, and whether it is
// something else than what one of them had at the same announcement. Twice in a
// row is a difference: it is counted, and everything is taken from Redis again.
func (r *Store) compareDigests(ctx context.Context, c *comparison, now renewal) {
	if c.renewals++; c.renewals < compareEvery && !c.differed {
		return
	}
	if len(now.others) == 0 || now.someExpired() {
		return // a new instance does not show what an expired one left, and the others still do
	}
	c.renewals = 0
	announcement, digest, ok := r.atRest()
	if !ok {
		return
	}
	reply, err := r.run(ctx, r.timing.Call, r.scripts.compare, r.instance, announcement, digest)
	if err != nil {
		return // the next one shows it
	}
	again := reply == int64(1) && c.differed
	c.differed = reply == int64(1) && !again
	if !again {
		return
	}
	r.counters.differences.Add(1)
	r.log.Warn("instances show different entries; comparing with Redis", "announcement", announcement)
	r.mu.Lock()
	defer r.mu.Unlock()
	for place, known := range r.others.entries {
		known.version = 0 // what Redis has counts, unless it is older than what is known of its owner
		r.others.entries[place] = known
	}
	r.others.requestResync("another instance has other entries")
}
