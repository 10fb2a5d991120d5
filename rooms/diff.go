package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
)

// A departure is an announced user who is gone: with the data last announced.
type departure struct {
	user   json.RawMessage
	reason Reason
}

// A diff is how the view differs from what was last announced. Apply it in
// the order of its fields.
type diff struct {
	departed []departure
	updated  []update
	added    []shownUser // in order of joining
	// moved: the order of the list is another, of which no increment tells.
	moved bool
}

type update struct {
	shownUser
	restated bool // the status is another
	changed  bool // the data is
}

// changed reports whether the next diff may have something in it.
func (v *view) changed() bool {
	return len(v.departed) > 0 || len(v.touched) > 0 || len(v.arrived) > 0 || v.moved
}

// diff returns the net changes since the last call and takes them as told:
// who came and went in between does not appear, who went and came back does
// twice, since the place in the list may be another.
func (v *view) diff() diff {
	d := diff{departed: v.departed, moved: v.moved}
	for _, u := range v.touched {
		u.touched = false
		if u.announced.user == nil { // gone, or gone and back
			continue
		}
		restated, changed := u.announced.status != u.status, !bytes.Equal(u.announced.user, u.shown)
		if restated || changed {
			u.announced = shownUser{u.shown, u.status}
			d.updated = append(d.updated, update{u.announced, restated, changed})
		}
	}
	arrived := make([]*onlineUser, 0, len(v.arrived))
	for u := range v.arrived {
		arrived = append(arrived, u)
	}
	slices.SortFunc(arrived, v.order.compare)
	for _, u := range arrived {
		u.announced = shownUser{u.shown, u.status}
		d.added = append(d.added, u.announced)
	}
	v.departed, v.touched, v.moved = nil, nil, false
	clear(v.arrived)
	return d
}

// relists reports whether the list is another, and not only somebody's status.
func (d diff) relists() bool {
	return d.moved || len(d.departed) > 0 || len(d.added) > 0 ||
		slices.ContainsFunc(d.updated, func(u update) bool { return u.changed })
}

// empty reports whether there are no increments.
func (d diff) empty() bool {
	return len(d.departed) == 0 && len(d.updated) == 0 && len(d.added) == 0
}
