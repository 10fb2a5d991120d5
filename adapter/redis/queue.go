package redis

import (
	"cmp"
	"slices"

	"rollcall/rooms"
)

// ownState is this instance's entries, and what of them is on its way to Redis.
// Store.mu guards it.
//
// The changes of the own entries are a log: each has a version, one more than
// the one before. Messages, sign-outs and revocations, called messages here, have
// a count of their own.
type ownState struct {
	// entries is the truth about this instance's entries, and sum the sum of
	// their hashes.
	entries map[rooms.EntryKey]ownEntry
	sum     uint64
	// queue is what Redis has not confirmed, oldest first. Its bound grows
	// with entries; beyond it, changes of entries are dropped, and everything
	// is rewritten. Messages stay: nothing could restore them.
	queue []op
	// unread is the messages that Redis has confirmed and that have not been read
	// from there yet: if Redis loses them, they are sent again. The others know
	// them by their count, and take each once.
	unread []op
	// messages is how many messages are in queue and unread, and their bytes.
	messages, messageBytes int
	// version is the last one given out, acked the last that Redis confirmed.
	version, acked uint64
	// whole is the version at which everything will be in Redis again: until it
	// is confirmed, everything is being rewritten.
	whole uint64
	// count is the last one given to a message, ackedCount the last that Redis
	// confirmed, readBack the last that was read from there.
	count, ackedCount, readBack uint64
	// waiting is the callers that wait for the id of a message, by its count.
	waiting map[uint64]waiter
}

type ownEntry struct {
	rooms.Entry
	version uint64 // of its last put
	active  int64  // when its user was active last, as far as its puts tell (epoch ms)
	hash    uint64
}

// An op is one change or message for Redis.
type op struct {
	kind    opKind
	version uint64         // in the log, of a message its count
	place   rooms.EntryKey // of a put or a removal
	entry   rooms.Entry    // of a put
	active  int64          // of a put: when its user was
	reason  rooms.Reason   // of a removal
	post    rooms.ChatPost // of a chat message
	after   int64          // of a chat message: its id is higher than this
	user    string         // of a sign-out or revocation
	// of a revocation: until when the tokens were issued (epoch ms)
	revokedAt int64
	base      uint64 // of a reset: no message up to this count is sent again
}

type opKind string

// The kinds, by the names that the script knows.
const (
	opPut     opKind = "put"
	opRemove  opKind = "del"
	opPost    opKind = "say" // a chat message
	opSignOut opKind = "out"
	opRevoke  opKind = "rev"
	// opReset begins the rewriting of everything, opWhole ends it.
	opReset opKind = "reset"
	opWhole opKind = "whole"
)

const (
	// minQueue is the queue's bound for an instance without entries.
	minQueue = 10_000
	// maxMessages and maxMessageBytes bound the messages in queue and unread.
	maxMessages     = minQueue / 2
	maxMessageBytes = 8 << 20
	// maxReasons is how many removals keep their reasons in a rewrite.
	maxReasons = 1000
)

func newOwnState() ownState {
	return ownState{entries: make(map[rooms.EntryKey]ownEntry), waiting: make(map[uint64]waiter)}
}

func (o *ownState) put(e rooms.Entry, active int64) {
	version := o.enqueue(op{kind: opPut, place: e.EntryKey, entry: e, active: active})
	hash := hashOf(e)
	o.sum += hash - o.entries[e.EntryKey].hash
	o.entries[e.EntryKey] = ownEntry{e, version, active, hash}
}

func (o *ownState) remove(place rooms.EntryKey, reason rooms.Reason) bool {
	e, ok := o.entries[place]
	if !ok {
		return false
	}
	o.sum -= e.hash
	delete(o.entries, place)
	o.enqueue(op{kind: opRemove, place: place, reason: reason})
	return true
}

// enqueueMessage queues a message, and reports false if too much is queued.
func (o *ownState) enqueueMessage(next op) bool {
	if o.messages >= maxMessages || o.messageBytes+next.size() > maxMessageBytes {
		return false
	}
	o.count++
	next.version = o.count
	o.queue = append(o.queue, next)
	o.messages++
	o.messageBytes += next.size()
	return true
}

// enqueue queues a change, and returns its version.
func (o *ownState) enqueue(next op) uint64 {
	o.version++
	next.version = o.version
	o.queue = append(o.queue, next)
	return o.version
}

func (o op) isMessage() bool { return o.kind == opPost || o.kind == opSignOut || o.kind == opRevoke }

// size is about how many bytes an op takes.
func (o op) size() int {
	return len(o.entry.Data) + len(o.post.Room) + len(o.post.UserID) + len(o.post.Username) + len(o.post.Content) + len(o.user) + 64
}

// overflow replaces a queue over its bound by rewriting everything.
func (o *ownState) overflow() {
	if len(o.queue) > minQueue+2*len(o.entries) {
		o.rewrite()
	}
}

// isRewriting reports whether everything is being rewritten.
func (o *ownState) isRewriting() bool { return o.whole > o.acked }

// rewrite queues everything anew, for a Redis that lost some of it: all entries
// between reset and whole, then all messages that may be lost. Redis does nothing
// twice. Queued removals are queued again, for their reasons.
func (o *ownState) rewrite() {
	entries := make([]ownEntry, 0, len(o.entries))
	for _, e := range o.entries {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b ownEntry) int { return cmp.Compare(a.version, b.version) })
	before, messages := o.queue, o.unread
	o.queue, o.unread = nil, nil
	for _, one := range before {
		if one.isMessage() {
			messages = append(messages, one)
		}
	}
	reset := op{kind: opReset, base: o.count}
	if len(messages) > 0 {
		reset.base = messages[0].version - 1
	}
	o.ackedCount = reset.base
	o.enqueue(reset)
	for _, e := range entries {
		o.put(e.Entry, e.active)
	}
	reasons := 0
	for _, one := range slices.Backward(before) {
		if _, back := o.entries[one.place]; one.kind == opRemove && !back && reasons < maxReasons {
			o.enqueue(op{kind: opRemove, place: one.place, reason: one.reason})
			reasons++
		}
	}
	o.whole = o.enqueue(op{kind: opWhole})
	o.queue = append(o.queue, messages...)
}

// batch is the head of the queue, as much as one call should carry. It stays
// there until it is confirmed.
func (o *ownState) batch(most int) []op {
	n, size := 0, 0
	for n < len(o.queue) && n < most && size < maxBatchBytes {
		size += o.queue[n].size()
		n++
	}
	return append([]op(nil), o.queue[:n]...)
}

// confirm removes from the queue what Redis has done: the changes up to a version,
// and the messages up to a count.
func (o *ownState) confirm(version, count uint64) {
	o.acked = max(o.acked, min(version, o.version))
	o.ackedCount = max(o.ackedCount, min(count, o.count))
	done := func(one op) bool {
		if one.isMessage() {
			return one.version <= o.ackedCount
		}
		return one.version <= o.acked
	}
	n := 0
	for ; n < len(o.queue) && done(o.queue[n]); n++ {
		if one := o.queue[n]; one.isMessage() {
			if one.version > o.readBack {
				o.unread = append(o.unread, one)
			} else {
				o.forget(one)
			}
		}
	}
	clear(o.queue[:n]) // the entries are not held any longer
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
}

// markRead notes that the own messages up to a count were read from Redis, or will
// never be.
func (o *ownState) markRead(count uint64) {
	o.readBack = max(o.readBack, min(count, o.count))
	n := 0
	for ; n < len(o.unread) && o.unread[n].version <= o.readBack; n++ {
		o.forget(o.unread[n])
	}
	o.unread = slices.Delete(o.unread, 0, n)
}

// forget takes a message out of the account.
func (o *ownState) forget(one op) {
	o.messages--
	o.messageBytes -= one.size()
}

// isLost reports whether Redis, by its progress of this instance, lost anything
// that it had confirmed before it was asked. During a rewrite the writer notices
// that.
func (o *ownState) isLost(p progress, before ownProgress) bool {
	return !o.isRewriting() && (p.version < before.acked || p.count < before.ackedCount ||
		!before.rewriting && before.acked > 0 && p.state != whole)
}
