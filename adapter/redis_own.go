package adapter

import (
	"rollcall/rooms"
)

// ownState is what this instance holds itself. Redis.mu guards it.
type ownState struct {
	// entries is the truth about this instance's sockets.
	entries map[string]ownEntry
	// queue is what Redis has not confirmed, oldest first. Its bound grows
	// with entries; beyond it, the queue is dropped, and a repair compares.
	queue []op
	// version is the last one given out, acked the last that Redis confirmed
	// or that was dropped: nothing up to it is on its way any more.
	version, acked uint64
}

type ownEntry struct {
	rooms.Entry
	version uint64 // of its last put
}

// An op is one step of the way to Redis.
type op struct {
	kind    opKind
	version uint64
	socket  string
	entry   rooms.Entry  // of a put
	reason  rooms.Reason // of a removal
}

type opKind string

// The kinds, by the names that the script knows.
const (
	opPut    opKind = "put"
	opRemove opKind = "del"
	// opPartial and opWhole enclose the putting back of what Redis lost. In
	// between nobody takes an absent entry of ours for removed.
	opPartial opKind = "partial"
	opWhole   opKind = "whole"
)

// minQueue is the queue's bound for an instance without entries.
const minQueue = 10_000

func newOwnState() ownState { return ownState{entries: make(map[string]ownEntry)} }

func (o *ownState) put(e rooms.Entry) {
	version := o.enqueue(op{kind: opPut, socket: e.Key, entry: e})
	o.entries[e.Key] = ownEntry{e, version}
}

func (o *ownState) remove(socket string, reason rooms.Reason) bool {
	if _, ok := o.entries[socket]; !ok {
		return false
	}
	delete(o.entries, socket)
	o.enqueue(op{kind: opRemove, socket: socket, reason: reason})
	return true
}

// enqueue gives the op its version.
func (o *ownState) enqueue(next op) uint64 {
	o.version++
	next.version = o.version
	o.queue = append(o.queue, next)
	return o.version
}

// overflow drops a queue over its bound, and reports whether it did.
func (o *ownState) overflow() bool {
	if len(o.queue) <= minQueue+2*len(o.entries) {
		return false
	}
	o.queue, o.acked = nil, o.version
	return true
}

// batch is the head of the queue, as much as one call should carry. It stays
// there until it is confirmed.
func (o *ownState) batch() []op {
	n, size := 0, 0
	for n < len(o.queue) && n < maxBatch && size < maxBatchBytes {
		size += len(o.queue[n].entry.Data)
		n++
	}
	return append([]op(nil), o.queue[:n]...)
}

// confirm lets go of what is done up to a version.
func (o *ownState) confirm(version uint64) {
	n := 0
	for n < len(o.queue) && o.queue[n].version <= version {
		n++
	}
	clear(o.queue[:n]) // the entries are not held any longer
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
	o.acked = max(o.acked, version)
}

// queued is the sockets that something is on its way for.
func (o *ownState) queued() map[string]bool {
	sockets := make(map[string]bool, len(o.queue))
	for _, op := range o.queue {
		sockets[op.socket] = true
	}
	return sockets
}
