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

// atRest is the announcement that was read last, by number and token, and the
// digest of the entries there: the sum of their hashes and how many there are. Of
// two instances with the same entries it is the same, and hardly ever of two that
// differ. It is false if anything is on its way, in either direction, or is
// being put right.
func (k *leaseKeeper) atRest() (announcement, digest string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	own, others := &k.own, &k.others
	if k.closed || len(own.queue) > 0 || others.resync != "" || others.unsettled() > 0 || others.seemsAlive() {
		return "", "", false
	}
	return strconv.FormatUint(others.seq, 10) + " " + others.token,
		strconv.FormatUint(own.sum+others.sum, 16) + "/" + strconv.Itoa(len(own.entries)+len(others.entries)), true
}

// compareDigests tells the other instances what this one has, and whether it is
// something else than what one of them had at the same announcement. Twice in a
// row is a difference: it is counted, and everything is taken from Redis again.
func (k *leaseKeeper) compareDigests(ctx context.Context, now renewal) {
	if k.uncompared++; k.uncompared < compareEvery && !k.differed {
		return
	}
	if len(now.others) == 0 || now.someExpired() {
		return // a new instance does not show what an expired one left, and the others still do
	}
	k.uncompared = 0
	announcement, digest, ok := k.atRest()
	if !ok {
		return
	}
	reply, err := k.runScript(ctx, k.timing.Call, k.scripts.compare, k.instance, announcement, digest)
	if err != nil {
		return // the next one shows it
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
		known.version = 0 // what Redis has counts, unless it is older than what is known of its owner
		k.others.entries[place] = known
	}
	k.others.requestResync("another instance has other entries")
}
