package redissim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

type stream struct {
	last    id // given out, also if it was trimmed since
	entries []entry
}

type entry struct {
	id     id
	fields []string
}

type id struct{ ms, seq uint64 }

func (i id) String() string { return fmt.Sprintf("%d-%d", i.ms, i.seq) }

func (i id) compare(j id) int { return cmp.Or(cmp.Compare(i.ms, j.ms), cmp.Compare(i.seq, j.seq)) }

func parseID(text string) (id, error) {
	switch text {
	case "-":
		return id{}, nil
	case "+":
		return id{math.MaxUint64, math.MaxUint64}, nil
	}
	ms, seq, _ := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(ms, 10, 64)
	b, err2 := strconv.ParseUint(cmp.Or(seq, "0"), 10, 64)
	if err1 != nil || err2 != nil {
		return id{}, fmt.Errorf("ERR Invalid stream ID specified as stream command argument")
	}
	return id{a, b}, nil
}

// xadd knows key MAXLEN ~ n * field value …, as XTRIM of exactly n.
func (r *Redis) xadd(args []string) (any, error) {
	s, err := value[*stream](r, args[0])
	if err != nil {
		return nil, err
	}
	rest := args[1:]
	most := math.MaxInt
	if rest[0] == "MAXLEN" {
		if most, err = strconv.Atoi(rest[2]); err != nil {
			return nil, notInteger()
		}
		rest = rest[3:]
	}
	if rest[0] != "*" || len(rest)%2 == 0 {
		return nil, errArguments
	}
	if s == nil {
		s = &stream{}
		r.data[args[0]] = s
	}
	next := id{ms: uint64(r.Now().UnixMilli())}
	if next.compare(s.last) <= 0 {
		next = id{s.last.ms, s.last.seq + 1}
	}
	s.last = next
	s.entries = append(s.entries, entry{next, slices.Clone(rest[1:])})
	s.trim(most)
	return next.String(), nil
}

func (s *stream) trim(most int) int {
	n := max(0, len(s.entries)-most)
	s.entries = s.entries[n:]
	return n
}

func (r *Redis) xlen(args []string) (any, error) {
	s, err := value[*stream](r, args[0])
	if s == nil {
		return 0, err
	}
	return len(s.entries), err
}

// xtrim knows key MAXLEN n.
func (r *Redis) xtrim(args []string) (any, error) {
	s, err := value[*stream](r, args[0])
	if s == nil {
		return 0, err
	}
	most, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, notInteger()
	}
	return s.trim(most), nil
}

func (r *Redis) xrange(args []string) (any, error) {
	return r.ranged(args[0], args[1], args[2], args[3:], false)
}

func (r *Redis) xrevrange(args []string) (any, error) {
	return r.ranged(args[0], args[2], args[1], args[3:], true)
}

// ranged knows COUNT n.
func (r *Redis) ranged(key, low, high string, options []string, backward bool) (any, error) {
	s, err := value[*stream](r, key)
	if s == nil {
		return []any{}, err
	}
	from, err := parseID(low)
	if err != nil {
		return nil, err
	}
	to, err := parseID(high)
	if err != nil {
		return nil, err
	}
	count := math.MaxInt
	if len(options) == 2 {
		if count, err = strconv.Atoi(options[1]); err != nil {
			return nil, notInteger()
		}
	}
	out := []any{}
	entries := slices.Clone(s.entries)
	if backward {
		slices.Reverse(entries)
	}
	for _, e := range entries {
		if e.id.compare(from) >= 0 && e.id.compare(to) <= 0 && len(out) < count {
			out = append(out, []any{e.id.String(), e.fields})
		}
	}
	return out, nil
}

// A Message is an entry of a stream.
type Message struct {
	ID     string
	Values map[string]any
}

// After is at most count entries of a stream behind an id, as XREAD has them.
func (r *Redis) After(key, after string, count int) ([]Message, error) {
	s, err := value[*stream](r, key)
	if s == nil {
		return nil, err
	}
	from, err := parseID(after)
	if err != nil {
		return nil, err
	}
	first, there := slices.BinarySearchFunc(s.entries, from, func(e entry, i id) int { return e.id.compare(i) })
	if there {
		first++
	}
	var out []Message
	for _, e := range s.entries[first:min(len(s.entries), first+count)] {
		values := make(map[string]any, len(e.fields)/2)
		for i := 0; i+1 < len(e.fields); i += 2 {
			values[e.fields[i]] = e.fields[i+1]
		}
		out = append(out, Message{e.id.String(), values})
	}
	return out, nil
}
