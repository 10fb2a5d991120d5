package rooms

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// A sorted holds items in the order of compare, which must tell any two of them
// apart. What compare looks at must not change while an item is in it. Adding
// at the end costs no search; adding and removing elsewhere a binary search and
// a move of at most maxChunk items. The zero value has no order: see newSorted.
type sorted[T any] struct {
	compare func(a, b T) int
	chunks  [][]T // none is empty
	size    int
}

// maxChunk is how many items are moved at most to make room for one.
const maxChunk = 256

func newSorted[T any](compare func(a, b T) int) sorted[T] { return sorted[T]{compare: compare} }

// add puts an item in its place.
func (s *sorted[T]) add(item T) {
	s.size++
	last := len(s.chunks) - 1
	if last < 0 {
		s.chunks = append(s.chunks, []T{item})
		return
	}
	c, at := last, len(s.chunks[last])
	if s.compare(item, s.chunks[last][at-1]) < 0 {
		c, at, _ = s.find(item)
	}
	if len(s.chunks[c]) < maxChunk {
		s.chunks[c] = slices.Insert(s.chunks[c], at, item)
		return
	}
	if at == maxChunk { // at the end of the last chunk: the one before stays full
		s.chunks = append(s.chunks, append(make([]T, 0, maxChunk), item))
		return
	}
	half := append(make([]T, 0, maxChunk), s.chunks[c][maxChunk/2:]...)
	clear(s.chunks[c][maxChunk/2:])
	s.chunks[c] = s.chunks[c][:maxChunk/2]
	s.chunks = slices.Insert(s.chunks, c+1, half)
	if at > maxChunk/2 {
		c, at = c+1, at-maxChunk/2
	}
	s.chunks[c] = slices.Insert(s.chunks[c], at, item)
}

// remove takes an item away, and reports whether it was there.
func (s *sorted[T]) remove(item T) bool {
	c, at, found := s.find(item)
	if !found {
		return false
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
	return true
}

// find is where an item is, or would be: in the first chunk that does not end
// before it.
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

// registration is the place of an entry among its user's: what the last one has
// is shown.
func registration(e Entry) rank {
	at := e.RegisteredAt
	if at == 0 { // put by an older instance
		at = e.JoinedAt
	}
	return rank{at, e.Instance, e.Key}
}
