package rooms

import "time"

// bound gives up this instance's part of what is too old at a time, and of what
// was used least recently while all together weighs too much.
func (r *Rooms) bound(now time.Time) {
	oldest := now.Add(-keepRacing).UnixMilli()
	var gone []Place
	r.mu.Lock()
	weight := r.rosters.own
	for use := r.rosters.byUse.Front(); use != nil; use = use.Next() {
		ro := use.Value.(*roster)
		if ro.usedAt >= oldest && weight <= maxRacing {
			break // the rest is younger
		}
		for m := range ro.order.all() {
			if e := m.entry; e.Instance == r.options.Instance {
				gone = append(gone, e.Place)
				weight -= weightOf(e)
			}
		}
	}
	r.mu.Unlock()
	for _, place := range gone {
		r.store.Remove(place, Closed)
	}
}
