package adapter

// An ending is what is remembered of an instance that is gone.
type ending struct {
	version uint64 // up to where its log was followed
	till    string // its lease, if Redis has one again
}

// maxEnded bounds how many endings and counts are remembered.
const maxEnded = 1000

// end forgets an instance's entries, and remembers that it is gone.
func (o *othersState) end(instance string) {
	if known := o.owners[instance]; known != nil {
		for old := range o.ended {
			if len(o.ended) < maxEnded {
				break
			}
			delete(o.ended, old)
			delete(o.counts, old)
		}
		o.ended[instance] = ending{version: known.version}
	} else if gone, ok := o.ended[instance]; ok {
		gone.till = ""
		o.ended[instance] = gone
	}
	delete(o.owners, instance)
}

// revive lets an instance live again whose lease is renewed.
func (o *othersState) revive(others []otherLease) {
	leases := make(map[string]string, len(others))
	for _, other := range others {
		leases[other.instance] = other.till
	}
	for instance, gone := range o.ended {
		switch till := leases[instance]; {
		case till == gone.till:
		case till != "" && gone.till != "":
			delete(o.ended, instance)
		default:
			gone.till = till
			o.ended[instance] = gone
		}
	}
}

// seemsAlive reports whether Redis, which has older data, has a lease of an
// instance that is gone.
func (o *othersState) seemsAlive() bool {
	for _, gone := range o.ended {
		if gone.till != "" {
			return true
		}
	}
	return false
}

// isEnded reports whether an instance is gone, as far as its log up to a version
// tells.
func (o *othersState) isEnded(instance string, version uint64) bool {
	gone, ok := o.ended[instance]
	return ok && version <= gone.version
}
