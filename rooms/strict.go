package rooms

// This file is COMPAT=strict: what the Node service does, transcript for
// transcript. Each change is a list of its own, for everybody; so what one socket
// does is seen in the order in which it did it. The deltas, which Node did not
// have, still go with the flush.

// queueStrict queues a list that has changed by an entry; before: its user was
// listed. The list of users goes out although it is the same, as in Node; but
// nothing that a hidden user does may show that anybody is there. r.mu is held.
func (r *Rooms) queueStrict(e Entry, before bool) {
	if e.List != Online {
		r.queueMembers(e.List)
		return
	}
	unseen := !before && !r.online.listed(e.Key)
	r.queueStrictList(func(s *session) bool { return !unseen || s.id == e.Key })
}

// queueStrictList queues the list for those of the sockets that take lists. r.mu
// is held.
func (r *Rooms) queueStrictList(to func(*session) bool) {
	list := batch{events: r.online.snapshotEvents()}
	object := batch{}
	for _, s := range r.sessions {
		if s.takesLists() && to(s) {
			list.to = append(list.to, s.conn)
			if s.wantsIDs {
				object.to = append(object.to, s.conn)
			}
		}
	}
	r.outbox.add(list)
	if len(object.to) > 0 {
		object.events = r.online.idsEvents()
		r.outbox.add(object)
	}
	r.wakeUp()
}
