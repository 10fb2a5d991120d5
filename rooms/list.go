package rooms

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// A sorted holds items in the order of compare, which must tell any two of them
// apart. What compare looks at must not change while an item is in it. Adding and
// removing cost a binary search and a move of at most maxChunk items.
type sorted[T any] struct {
	compare func(a, b T) int
	chunks  [][]T // none is empty
	size    int
}

// maxChunk is how many items are moved at most to make room for one.
const maxChunk = 256

// add puts an item in its place.
func (s *sorted[T]) add(item T) {
	s.size++
	c, at, _ := s.find(item)
	if c == len(s.chunks) { // behind all
		if c == 0 || len(s.chunks[c-1]) == maxChunk {
			s.chunks = append(s.chunks, []T{item})
			return
		}
		c, at = c-1, len(s.chunks[c-1])
	}
	if len(s.chunks[c]) == maxChunk {
		half := slices.Clone(s.chunks[c][maxChunk/2:])
		clear(s.chunks[c][maxChunk/2:])
		s.chunks[c] = s.chunks[c][:maxChunk/2]
		s.chunks = slices.Insert(s.chunks, c+1, half)
		if at > maxChunk/2 {
			c, at = c+1, at-maxChunk/2
		}
	}
	s.chunks[c] = slices.Insert(s.chunks[c], at, item)
}

// remove takes an item away, if it is there.
func (s *sorted[T]) remove(item T) {
	c, at, found := s.find(item)
	if !found {
		return
	}
	s.size--
	s.chunks[c] = slices.Delete(s.chunks[c], at, at+1)
	switch {
	case len(s.chunks[c]) == 0:
		s.chunks = slices.Delete(s.chunks, c, c+1)
	case c+1 < len(s.chunks) && len(s.chunks[c])+len(s.chunks[c+1]) <= maxChunk/2:
		s.chunks[c] = append(s.chunks[c], s.chunks[c+1]...)
		s.chunks = slices.Delete(s.chunks, c+1, c+2)
	}
}

// find is where an item is, or would be: in the first chunk that ends not before it.
func (s *sorted[T]) find(item T) (chunk, at int, found bool) {
	c := sort.Search(len(s.chunks), func(i int) bool {
		return s.compare(s.chunks[i][len(s.chunks[i])-1], item) >= 0
	})
	if c == len(s.chunks) {
		return c, 0, false
	}
	at, found = slices.BinarySearchFunc(s.chunks[c], item, s.compare)
	return c, at, found
}

// all is the items in order. The list must not change meanwhile.
func (s *sorted[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, chunk := range s.chunks {
			for _, item := range chunk {
				if !yield(item) {
					return
				}
			}
		}
	}
}

// A rank is the place of an entry, or of its user, in the order of a list: by
// the time of joining that all instances share.
type rank struct {
	at               int64 // Store.Now
	instance, socket string
}

func rankOf(e Entry) rank { return rank{e.JoinedAt, e.Instance, e.Key} }

func (a rank) compare(b rank) int {
	if a.at != b.at { // nearly always
		return cmp.Compare(a.at, b.at)
	}
	return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.socket, b.socket))
}

// registration is the place of an entry among its user's: the last one's data is shown.
func registration(e Entry) rank {
	at := e.RegisteredAt
	if at == 0 { // put by an older instance
		at = e.JoinedAt
	}
	return rank{at, e.Instance, e.Key}
}
