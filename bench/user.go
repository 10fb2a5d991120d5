package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// The users of the benchmark are all of one size, so that a list's size alone
// tells how many users it has, and their ids are digits at a known place.

const (
	userFormat = `{"id":"%07d","nickname":"Racer %07d","avatar":"https://cdn.example.org/avatars/%d.png"}`
	idSize     = 7
)

var (
	userSize   = len(user(0, 0))
	listPrefix = []byte(`42["online_users",`)
	addPrefix  = []byte(`42["add_user",{"id":"`)
	idAt       = len(`{"id":"`)
)

// user is the user object with an id; each version of it is of one size too.
func user(id, version int) []byte {
	return fmt.Appendf(nil, userFormat, id, id, 1_000_000+version)
}

// usersIn is how many users a message lists; -1 if it is no list.
func usersIn(m message) int {
	if !bytes.HasPrefix(m.head, listPrefix) {
		return -1
	}
	users := m.size - len(listPrefix) - len("[]]")
	if users <= 0 {
		return 0
	}
	return (users + 1) / (userSize + 1)
}

// joined is the id of the user that a message shows to have come last: the one
// of add_user, or the last of a list.
func joined(m message) (id int, ok bool) {
	if bytes.HasPrefix(m.head, addPrefix) {
		return number(m.head[len(addPrefix):])
	}
	if usersIn(m) < 1 {
		return 0, false
	}
	last := m.tail[len(m.tail)-userSize-len("]]"):]
	return number(last[idAt:])
}

func number(b []byte) (int, bool) {
	n, err := strconv.Atoi(string(b[:idSize]))
	return n, err == nil
}

// firstOf is the id of the first user of a list that has one.
func firstOf(m message) int {
	id, _ := number(m.head[len(listPrefix)+len("[")+idAt:])
	return id
}
