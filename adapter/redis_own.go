package adapter

import (
	"rollcall/rooms"
)

// ownState is what this instance holds itself. Redis.mu guards it.
type ownState struct {
	// entries is the truth about this instance's entries.
	entries map[rooms.Place]ownEntry
	// queue is what Redis has not confirmed, oldest first. Its bound grows
	// with entries; beyond it, changes of entries are dropped, and a repair
	// compares. Messages and sign-outs stay: nothing could restore them.
	queue []op
	// spoken is how much of the queue these are: their number and their bytes.
	spoken, spokenBytes int
	// version is the last one given out, acked the last that Redis confirmed
	// or that was dropped: of the entries, nothing up to it is on its way any
	// more.
	version, acked uint64
}

type ownEntry struct {
	rooms.Entry
	version uint64 // of its last put
	active  int64  // when its user showed by a put to be active (epoch ms)
}

// An op is one step of the way to Redis.
type op struct {
	kind    opKind
	version uint64
	place   rooms.Place  // of a put or a removal
	entry   rooms.Entry  // of a put
	active  int64        // of a put: when its user was
	reason  rooms.Reason // of a removal
	said    rooms.Said   // of a message: who and what; its id is the least that there may be
	user    string       // of a sign-out or revocation

	revokedAt int64 // of a revocation: until when the tokens were issued (epoch ms)
}

type opKind string

// The kinds, by the names that the script knows.
const (
	opPut     opKind = "put"
	opRemove  opKind = "del"
	opSay     opKind = "say"
	opSignOut opKind = "out"
	opRevoke  opKind = "rev"
	// opPartial and opWhole enclose the putting back of what Redis lost. In
	// between nobody takes an absent entry of ours for removed.
	opPartial opKind = "partial"
	opWhole   opKind = "whole"
)

const (
	// minQueue is the queue's bound for an instance without entries.
	minQueue = 10_000
	// maxSpoken and maxSpokenBytes bound the messages and sign-outs in it.
	maxSpoken      = minQueue / 2
	maxSpokenBytes = 8 << 20
)

func newOwnState() ownState { return ownState{entries: make(map[rooms.Place]ownEntry)} }

func (o *ownState) put(e rooms.Entry, active int64) {
	version := o.enqueue(op{kind: opPut, place: e.Place, entry: e, active: active})
	o.entries[e.Place] = ownEntry{e, version, active}
}

func (o *ownState) remove(place rooms.Place, reason rooms.Reason) bool {
	if _, ok := o.entries[place]; !ok {
		return false
	}
	delete(o.entries, place)
	o.enqueue(op{kind: opRemove, place: place, reason: reason})
	return true
}

// speak queues a message or a sign-out, unless too much is queued.
func (o *ownState) speak(next op) bool {
	if o.spoken >= maxSpoken || o.spokenBytes+next.size() > maxSpokenBytes {
		return false
	}
	o.enqueue(next)
	return true
}

// enqueue gives the op its version.
func (o *ownState) enqueue(next op) uint64 {
	o.version++
	next.version = o.version
	o.queue = append(o.queue, next)
	o.account(next, 1)
	return o.version
}

// account notes that an op came (1) or went (-1).
func (o *ownState) account(one op, n int) {
	if one.isSpoken() {
		o.spoken += n
		o.spokenBytes += n * one.size()
	}
}

func (o op) isSpoken() bool { return o.kind == opSay || o.kind == opSignOut || o.kind == opRevoke }

// size is about what an op takes on its way.
func (o op) size() int {
	return len(o.entry.Data) + len(o.said.Room) + len(o.said.Username) + len(o.said.Content) + len(o.user) + 64
}

// overflow drops the changes of entries from a queue over its bound, and
// reports whether it did.
func (o *ownState) overflow() bool {
	if len(o.queue) <= minQueue+2*len(o.entries) {
		return false
	}
	var kept []op
	for _, one := range o.queue {
		if one.isSpoken() {
			kept = append(kept, one)
		}
	}
	o.queue, o.acked = kept, o.version
	return true
}

// batch is the head of the queue, as much as one call should carry. It stays
// there until it is confirmed.
func (o *ownState) batch() []op {
	n, size := 0, 0
	for n < len(o.queue) && n < maxBatch && size < maxBatchBytes {
		size += o.queue[n].size()
		n++
	}
	return append([]op(nil), o.queue[:n]...)
}

// confirm lets go of what is done up to a version.
func (o *ownState) confirm(version uint64) {
	n := 0
	for n < len(o.queue) && o.queue[n].version <= version {
		o.account(o.queue[n], -1)
		n++
	}
	clear(o.queue[:n]) // the entries are not held any longer
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
	o.acked = max(o.acked, version)
}

// queued is the entries that something is on its way for.
func (o *ownState) queued() map[rooms.Place]bool {
	places := make(map[rooms.Place]bool, len(o.queue))
	for _, one := range o.queue {
		if one.kind == opPut || one.kind == opRemove {
			places[one.place] = true
		}
	}
	return places
}
