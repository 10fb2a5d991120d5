package redis

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"rollcall/rooms"
)

// Two instances that have read up to the same announcement must have the same
// entries. If they do not, which would be a fault of the store, the sums of their
// entries' hashes show it.

// compareEvery is how many renewals of the lease there are for one comparison.
const compareEvery = 5

// hashOf is of all of an entry that clients see or that decides what they see. All
// instances must compute the same.
func hashOf(e rooms.Entry) uint64 {
	texts := []string{e.List, e.Key, e.Instance, e.UserID, string(e.Status), string(e.Data)}
	b := []byte(strings.Join(texts, "\x00"))
	for _, n := range []int64{e.JoinedAt, e.RegisteredAt, e.VisibleAt, e.StatusAt} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return xxhash.Sum64(b)
}

// digestAtRest is the announcement that was read last, by number and token, and the
// digest of the entries there: the sum of their hashes, and their number. ok is
// false while anything is on its way, in either direction, or is being repaired.
func (k *leaseKeeper) digestAtRest() (announcement, digest string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	own, others := &k.own, &k.others
	if k.closed || len(own.queue) > 0 || others.resync != "" || others.unsettled() > 0 || others.someEndedHasLease() {
		return "", "", false
	}
	return strconv.FormatUint(others.seq, 10) + " " + others.token,
		strconv.FormatUint(own.sum+others.sum, 16) + "/" + strconv.Itoa(len(own.entries)+len(others.entries)), true
}

// compareDigests gives Redis this instance's digest, and learns whether another
// instance had a different one at the same announcement. Twice in a row counts as
// a difference, and everything is taken from Redis again.
func (k *leaseKeeper) compareDigests(ctx context.Context, now renewal) {
	if k.uncompared++; k.uncompared < compareEvery && !k.differed {
		return
	}
	if len(now.others) == 0 || now.someExpired() {
		return // unlike the others, a new instance has not taken over what an expired one left
	}
	k.uncompared = 0
	announcement, digest, ok := k.digestAtRest()
	if !ok {
		return
	}
	reply, err := k.runScript(ctx, k.timing.Call, k.scripts.compare, k.instance, announcement, digest)
	if err != nil {
		return // the next renewal logs it
	}
	again := reply == int64(1) && k.differed
	k.differed = reply == int64(1) && !again
	if !again {
		return
	}
	k.counters.differences.Add(1)
	k.log.Warn("instances show different entries; comparing with Redis", "announcement", announcement)
	k.mu.Lock()
	defer k.mu.Unlock()
	for place, known := range k.others.entries {
		known.version = 0 // so that the resync takes Redis' entry, unless Redis is behind its owner
		k.others.entries[place] = known
	}
	k.others.requestResync("another instance has other entries")
}
