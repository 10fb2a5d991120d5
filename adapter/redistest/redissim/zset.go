package redissim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func scoreText(score float64) string { return strconv.FormatFloat(score, 'f', -1, 64) }

// sorted is the members by score, then by name.
func (z zset) sorted() []string {
	return slices.SortedFunc(maps.Keys(z), func(a, b string) int {
		return cmp.Or(cmp.Compare(z[a], z[b]), cmp.Compare(a, b))
	})
}

// zadd knows the option NX and one member.
func (r *Redis) zadd(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	if err != nil {
		return nil, err
	}
	rest := args[1:]
	onlyNew := rest[0] == "NX"
	if onlyNew {
		rest = rest[1:]
	}
	if len(rest) != 2 {
		return nil, errArguments
	}
	score, err := strconv.ParseFloat(rest[0], 64)
	if err != nil {
		return nil, notInteger()
	}
	_, there := z[rest[1]]
	if there && onlyNew {
		return 0, nil
	}
	if z == nil {
		z = make(zset)
		r.data[args[0]] = z
	}
	z[rest[1]] = score
	if there {
		return 0, nil
	}
	return 1, nil
}

func (r *Redis) zscore(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	if score, ok := z[args[1]]; ok {
		return scoreText(score), err
	}
	return nil, err
}

func (r *Redis) zrem(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	n := 0
	for _, member := range args[1:] {
		if _, ok := z[member]; ok {
			n++
		}
		delete(z, member)
	}
	if z != nil && len(z) == 0 {
		delete(r.data, args[0])
	}
	return n, err
}

func (r *Redis) zcard(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	return len(z), err
}

func (r *Redis) zcount(args []string) (any, error) {
	in, err := r.between(args)
	return len(in), err
}

// zrangebyscore knows LIMIT offset count.
func (r *Redis) zrangebyscore(args []string) (any, error) {
	in, err := r.between(args)
	if err == nil && len(args) == 6 && args[3] == "LIMIT" {
		offset, _ := strconv.Atoi(args[4])
		count, _ := strconv.Atoi(args[5])
		in = in[min(offset, len(in)):]
		in = in[:min(count, len(in))]
	}
	return in, err
}

// between is the members between two scores, "(" excluding the limit itself.
func (r *Redis) between(args []string) ([]string, error) {
	z, err := value[zset](r, args[0])
	if err != nil {
		return nil, err
	}
	limit := func(text string) (float64, bool, error) {
		text, open := strings.CutPrefix(text, "(")
		score, err := strconv.ParseFloat(text, 64)
		return score, open, err
	}
	low, lowOpen, err := limit(args[1])
	if err != nil {
		return nil, notInteger()
	}
	high, highOpen, err := limit(args[2])
	if err != nil {
		return nil, notInteger()
	}
	return slices.DeleteFunc(z.sorted(), func(member string) bool {
		score := z[member]
		return score < low || score > high || lowOpen && score == low || highOpen && score == high
	}), nil
}

// span is a range of indexes, of which negative ones count from the end.
func span(first, last string, length int) (from, to int) {
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	if from < 0 {
		from += length
	}
	if to < 0 {
		to += length
	}
	from, to = max(from, 0), min(to+1, length)
	return min(from, length), max(to, min(from, length))
}

func (r *Redis) zrange(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	members := z.sorted()
	from, to := span(args[1], args[2], len(members))
	members = members[from:to]
	if len(args) != 4 || args[3] != "WITHSCORES" {
		return members, err
	}
	var out []string
	for _, member := range members {
		out = append(out, member, scoreText(z[member]))
	}
	return out, err
}

func (r *Redis) zremrangebyrank(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	if err != nil {
		return nil, err
	}
	members := z.sorted()
	from, to := span(args[1], args[2], len(members))
	return r.zrem(append([]string{args[0]}, members[from:to]...))
}

func (r *Redis) zremrangebyscore(args []string) (any, error) {
	in, err := r.between(args)
	if err != nil || len(in) == 0 {
		return 0, err
	}
	return r.zrem(append([]string{args[0]}, in...))
}

func (r *Redis) zincrby(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	if err != nil {
		return nil, err
	}
	by, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return nil, notInteger()
	}
	score := scoreText(z[args[2]] + by)
	_, err = r.zadd([]string{args[0], score, args[2]})
	return score, err
}

// zrevrange knows no options.
func (r *Redis) zrevrange(args []string) (any, error) {
	z, err := value[zset](r, args[0])
	members := z.sorted()
	slices.Reverse(members)
	from, to := span(args[1], args[2], len(members))
	return members[from:to], err
}
