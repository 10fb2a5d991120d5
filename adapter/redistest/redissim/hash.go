package redissim

import (
	"maps"
	"slices"
	"strconv"
)

func (r *Redis) hget(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	if v, ok := h[args[1]]; ok {
		return v, err
	}
	return nil, err
}

func (r *Redis) hmget(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	out := make([]any, 0, len(args)-1)
	for _, field := range args[1:] {
		if v, ok := h[field]; ok {
			out = append(out, v)
		} else {
			out = append(out, nil)
		}
	}
	return out, err
}

func (r *Redis) hset(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	if err != nil {
		return nil, err
	}
	if len(args)%2 == 0 {
		return nil, errArguments
	}
	if h == nil {
		h = make(hash)
		r.data[args[0]] = h
	}
	n := 0
	for i := 1; i < len(args); i += 2 {
		if _, ok := h[args[i]]; !ok {
			n++
		}
		h[args[i]] = args[i+1]
	}
	return n, nil
}

func (r *Redis) hdel(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	n := 0
	for _, field := range args[1:] {
		if _, ok := h[field]; ok {
			n++
		}
		delete(h, field)
	}
	if h != nil && len(h) == 0 {
		delete(r.data, args[0])
	}
	return n, err
}

func (r *Redis) hlen(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	return len(h), err
}

func (r *Redis) hexists(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	if _, ok := h[args[1]]; ok {
		return 1, err
	}
	return 0, err
}

func (r *Redis) hincrby(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	if err != nil {
		return nil, err
	}
	by, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, notInteger()
	}
	n := 0
	if text, ok := h[args[1]]; ok {
		if n, err = strconv.Atoi(text); err != nil {
			return nil, notInteger()
		}
	}
	_, err = r.hset([]string{args[0], args[1], strconv.Itoa(n + by)})
	return n + by, err
}

func (r *Redis) hkeys(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	return slices.Sorted(maps.Keys(h)), err
}

func (r *Redis) hgetall(args []string) (any, error) {
	h, err := value[hash](r, args[0])
	out := make([]string, 0, 2*len(h))
	for _, field := range slices.Sorted(maps.Keys(h)) {
		out = append(out, field, h[field])
	}
	return out, err
}

func (r *Redis) rpush(args []string) (any, error) {
	l, err := value[list](r, args[0])
	if err != nil {
		return nil, err
	}
	l = append(l, args[1:]...)
	r.data[args[0]] = l
	return len(l), nil
}

func (r *Redis) lpop(args []string) (any, error) {
	l, err := value[list](r, args[0])
	if err != nil || len(l) == 0 {
		return nil, err
	}
	if len(l) == 1 {
		delete(r.data, args[0])
	} else {
		r.data[args[0]] = l[1:]
	}
	return l[0], nil
}

func (r *Redis) llen(args []string) (any, error) {
	l, err := value[list](r, args[0])
	return len(l), err
}

func (r *Redis) lindex(args []string) (any, error) {
	l, err := value[list](r, args[0])
	i, wrong := strconv.Atoi(args[1])
	if i < 0 {
		i += len(l)
	}
	if err != nil || wrong != nil || i < 0 || i >= len(l) {
		return nil, err
	}
	return l[i], nil
}

func (r *Redis) lrange(args []string) (any, error) {
	l, err := value[list](r, args[0])
	from, to := span(args[1], args[2], len(l))
	return []string(l[from:to]), err
}
