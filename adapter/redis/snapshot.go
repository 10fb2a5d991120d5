package redis

import (
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// A snapshot is what Redis had at one moment.
type snapshot struct {
	now      int64
	seq      uint64
	token    string // of the last announcement
	lastID   string
	leases   map[string]int64 // when each ends
	progress map[string]progress
	entries  map[rooms.EntryKey]storedEntry
	messages []goredis.XMessage // messages since the place that the reader lost, or longer
	rejected int                // values that are no entries
}

// progress is how far Redis is with an instance's changes.
type progress struct {
	version uint64
	state   state
	// floor is, while everything is rewritten, the version with which that
	// began: of what Redis has, only younger entries count.
	floor   uint64
	count   uint64 // of messages and sign-outs
	entries int    // that there should be
}

// A state is that of an instance's entries in Redis.
type state string

// The states. Without one Redis knows nothing of an instance.
const (
	whole   state = "whole"   // they are what its log makes up to the version
	partial state = "partial" // it is rewriting them
	damaged state = "damaged" // somebody else destroyed some: it has to rewrite them
	left    state = "left"    // it ended in order
	lost    state = "lost"    // it was evicted: if it lives it has to rewrite them
)

func parseSnapshot(reply any) (snapshot, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 9 {
		return snapshot{}, fmt.Errorf("redis: a snapshot of the form %T", reply)
	}
	now, _ := parts[0].(int64)
	seq, _ := parts[1].(int64)
	s := snapshot{
		now:      now,
		seq:      uint64(seq),
		leases:   make(map[string]int64),
		progress: make(map[string]progress),
		entries:  make(map[rooms.EntryKey]storedEntry),
	}
	s.token, _ = parts[2].(string)
	s.lastID, _ = parts[3].(string)
	leases := texts(parts[4])
	for i := 0; i+1 < len(leases); i += 2 {
		s.leases[leases[i]], _ = strconv.ParseInt(leases[i+1], 10, 64)
	}
	rows, _ := parts[5].([]any)
	for _, row := range rows {
		if p := texts(row); len(p) == 6 {
			entries, _ := strconv.Atoi(p[5])
			s.progress[p[0]] = progress{number(p[1]), state(p[2]), number(p[3]), number(p[4]), entries}
		}
	}
	s.addEntries(texts(parts[6]), texts(parts[7]))
	rows, _ = parts[8].([]any)
	for _, row := range rows {
		if pair, _ := row.([]any); len(pair) == 2 {
			id, _ := pair[0].(string)
			s.messages = append(s.messages, goredis.XMessage{ID: id, Values: valuesOf(pair[1])})
		}
	}
	return s, nil
}

// addEntries adds those of both hashes. What is no entry was written by
// somebody else, and is not shown.
func (s *snapshot) addEntries(shown, rest []string) {
	add := func(place rooms.EntryKey, ok bool, value string) {
		e, err := parseEntry(place, value)
		if err != nil || !ok {
			s.rejected++
			return
		}
		s.entries[place] = e
	}
	for i := 0; i+1 < len(shown); i += 2 {
		add(rooms.EntryKey{List: rooms.Online, Key: shown[i]}, true, shown[i+1])
	}
	for i := 0; i+1 < len(rest); i += 2 {
		place, ok := parseAddress(rest[i])
		add(place, ok, rest[i+1])
	}
}

// number reads a number that our own script wrote; else it is 0.
func number(text string) uint64 { n, _ := strconv.ParseUint(text, 10, 64); return n }

func valuesOf(fields any) map[string]any {
	list, values := texts(fields), make(map[string]any)
	for i := 0; i+1 < len(list); i += 2 {
		values[list[i]] = list[i+1]
	}
	return values
}

func texts(reply any) []string {
	list, _ := reply.([]any)
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}
