package rooms

// This file is COMPAT=strict: what the Node service does, transcript for
// transcript. Each change is told at once, to everybody, on the goroutine that
// made it; so what one socket does is seen in the order in which it did it. The
// increments, which Node did not have, still go with the flush.

// applyStrictly takes an entry and tells of it.
func (r *Rooms) applyStrictly(c Change) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	before := r.view.listed(c.Entry.Key)
	r.applyEntry(c)
	// The list goes out although it is the same, as in Node; but nothing that a
	// hidden user does may show that anybody is there.
	unseen := !before && !r.view.listed(c.Entry.Key)
	r.mu.Unlock()
	if list := c.Entry.List; list == Online {
		r.tellListStrictly(unseen, c.Entry.Key)
	} else {
		r.tellRoster(list)
	}
	r.wakeUp()
}

// tellStrictly tells the list although nothing has changed.
func (r *Rooms) tellStrictly() {
	if r.options.Strict {
		r.telling.Lock()
		defer r.telling.Unlock()
		r.tellListStrictly(false, "")
	}
}

// tellListStrictly sends the list to everybody who takes lists, or, if unseen,
// to that socket alone. r.telling is held, so the lists arrive in the order in
// which they were made.
func (r *Rooms) tellListStrictly(unseen bool, socket string) {
	r.mu.Lock()
	list := addressed{events: r.view.listEvents()}
	object := addressed{events: []Event{{"updateOnlineUsers", nil}}}
	for _, s := range r.sessions {
		if s.takesLists() && (!unseen || s.id == socket) {
			list.to = append(list.to, s.conn)
			if s.wantsObject {
				object.to = append(object.to, s.conn)
			}
		}
	}
	if len(object.to) > 0 {
		object.events = r.view.objectEvents()
	}
	r.mu.Unlock()
	r.send([]addressed{list, object})
}
