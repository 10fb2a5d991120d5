package adapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"

	"rollcall/rooms"
)

// refuse counts a value from Redis that cannot be shown to anybody, and logs it
// at a limited rate. The rest goes on without it.
func (r *Redis) refuse(err error) {
	r.counters.refused.Add(1)
	r.refused.note(err)
}

// checkEntry says why an entry from Redis cannot be shown to clients.
func checkEntry(e rooms.Entry) error {
	if !json.Valid(e.Data) {
		return errors.New("its data are not JSON")
	}
	return nil
}

// sameEntry reports whether two entries are equal in everything.
func sameEntry(a, b rooms.Entry) bool {
	same := bytes.Equal(a.Data, b.Data)
	a.Data, b.Data = nil, nil
	return same && reflect.DeepEqual(a, b)
}
