package redissim

import "strconv"

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
