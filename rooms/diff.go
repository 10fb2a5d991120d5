package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
)

// A removal is an announced user who is gone: with the data last announced.
type removal struct {
	user   json.RawMessage
	reason Reason
}

// A delta is how the online list differs from what was last announced. Apply it in
// the order of its fields.
type delta struct {
	removed []removal
	updated []userUpdate
	added   []shownUser // in order of joining
	// moved: the order of the list is another, of which no increment tells.
	reordered bool
}

type userUpdate struct {
	shownUser
	statusChanged bool // the status is another
	dataChanged   bool // the data is
}

// changed reports whether the next diff may have something in it.
func (v *onlineList) changed() bool {
	return len(v.removed) > 0 || len(v.maybeUpdated) > 0 || len(v.added) > 0 || v.reordered
}

// takeDelta returns the net changes since the last call and takes them as told:
// who came and went in between does not appear, who went and came back does
// twice, since the place in the list may be another.
func (v *onlineList) takeDelta() delta {
	d := delta{removed: v.removed, reordered: v.reordered}
	for _, u := range v.maybeUpdated {
		u.maybeUpdated = false
		if u.announced.user == nil { // gone, or gone and back
			continue
		}
		restated, changed := u.announced.status != u.shownStatus, !bytes.Equal(u.announced.user, u.data)
		if restated || changed {
			u.announced = shownUser{u.data, u.shownStatus}
			d.updated = append(d.updated, userUpdate{u.announced, restated, changed})
		}
	}
	arrived := make([]*onlineUser, 0, len(v.added))
	for u := range v.added {
		arrived = append(arrived, u)
	}
	slices.SortFunc(arrived, v.order.compare)
	for _, u := range arrived {
		u.announced = shownUser{u.data, u.shownStatus}
		d.added = append(d.added, u.announced)
	}
	v.removed, v.maybeUpdated, v.reordered = nil, nil, false
	clear(v.added)
	return d
}

// changesList reports whether the list is another, and not only somebody's status.
func (d delta) changesList() bool {
	return d.reordered || len(d.removed) > 0 || len(d.added) > 0 ||
		slices.ContainsFunc(d.updated, func(u userUpdate) bool { return u.dataChanged })
}

// empty reports whether there are no deltas.
func (d delta) empty() bool {
	return len(d.removed) == 0 && len(d.updated) == 0 && len(d.added) == 0
}
