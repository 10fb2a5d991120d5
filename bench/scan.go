package main

import "encoding/binary"

// How much of a message is kept: its beginning tells what it is, its end names
// the last user of a list. What lies between is only counted.
const (
	headSize = 48
	tailSize = 192
)

// A message is one received WebSocket message. Head and tail alias the scanner
// and are valid during the call only.
type message struct {
	size       int // of the whole payload
	head, tail []byte
}

// A scanner cuts the bytes of one connection into messages without looking at
// the payloads, so that a gigabyte of lists costs next to nothing.
type scanner struct {
	header  [10]byte
	headers int // bytes of the header there are
	size    int // of the payload
	at      int // bytes of the payload passed
	head    [headSize]byte
	tail    [tailSize]byte
}

// feed passes on the messages that end in b.
func (s *scanner) feed(b []byte, each func(message)) {
	for len(b) > 0 {
		if !s.inPayload() {
			b = s.readHeader(b)
			if !s.inPayload() {
				return // b is used up
			}
		}
		n := min(len(b), s.size-s.at)
		s.keep(b[:n])
		s.at += n
		b = b[n:]
		s.end(each)
	}
}

// end passes on the message if it is complete.
func (s *scanner) end(each func(message)) {
	if s.at < s.size {
		return
	}
	each(message{s.size, s.head[:min(s.size, headSize)], s.tail[:min(s.size, tailSize)]})
	s.headers = 0
}

// skippable is how many of the next bytes nobody will look at.
func (s *scanner) skippable() int {
	if !s.inPayload() || s.at < headSize {
		return 0
	}
	return max(0, s.size-tailSize-s.at)
}

// skip passes n skippable bytes.
func (s *scanner) skip(n int) { s.at += n }

func (s *scanner) inPayload() bool { return s.headers > 1 && s.headers == s.headerSize() }

func (s *scanner) headerSize() int {
	switch s.header[1] & 0x7f {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

func (s *scanner) readHeader(b []byte) []byte {
	for len(b) > 0 && !s.inPayload() {
		s.header[s.headers] = b[0]
		s.headers++
		b = b[1:]
	}
	if s.inPayload() {
		s.at = 0
		switch n := int(s.header[1] & 0x7f); n {
		case 126:
			s.size = int(binary.BigEndian.Uint16(s.header[2:]))
		case 127:
			s.size = int(binary.BigEndian.Uint64(s.header[2:]))
		default:
			s.size = n
		}
	}
	return b
}

// keep copies what of the payload's next bytes belongs to its head or tail.
func (s *scanner) keep(b []byte) {
	if s.at < headSize {
		copy(s.head[s.at:], b)
	}
	tailAt := max(0, s.size-tailSize)
	if from := max(0, tailAt-s.at); from < len(b) {
		copy(s.tail[s.at+from-tailAt:], b[from:])
	}
}
