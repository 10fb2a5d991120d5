// Package redis is the store of instances that share their state in Redis.
//
// # The protocol over Redis
//
// Each instance owns its entries and is the truth about them. Redis may lose
// data or get older ones back at any time, also while that is being put right.
// The rules, which docs/dev/architecture.md explains:
//
//  1. An instance's changes are a log with gapless versions. Redis carries out
//     a change only right behind the one before it; otherwise it leaves the
//     change out and says so (apply.lua).
//  2. So Redis' content for an instance is exactly its log up to a version
//     (state whole), or, between a reset and the next whole, the part of it that
//     is younger than the reset (state partial).
//  3. A rewrite is always complete: reset, all entries, whole. Only their
//     owner does it, when Redis has left out a change, says of it less than it
//     had confirmed, or shows something else than its entries.
//  4. Nobody else ever takes an entry for gone, but for: its owner's removal,
//     its owner's end in order, its owner's lease as observed by the failure
//     detector, all of which are announced; or a content of Redis that is not
//     older than what is known of the owner.
//  5. Announcements are a chain: each names the token of the one before. A
//     reader that misses a link compares everything (a resync) and goes on from
//     there. So it notices other data whatever numbers, ids and clocks say.
//  6. What a reader knows of an owner it does not take again: versions only
//     rise. Messages and sign-outs have a count of their own, by which each is
//     told once, also when its owner sends it again.
//
// TestSimulation runs random histories against these rules.
package redis
