package redis

// An endedInstance is what is remembered of an instance that is gone.
type endedInstance struct {
	version uint64 // up to where its log was followed
	till    int64  // its lease (epoch ms), if Redis has one again
	// inOrder says that it ended itself: then nothing brings it back. renewed
	// says that it did not end: its lease was renewed since.
	inOrder, renewed bool
}

// maxEnded bounds how many ended instances, and their counts, are remembered.
const maxEnded = 1000

// markEnded forgets an instance's entries, and remembers that it is gone.
func (o *othersState) markEnded(instance string, inOrder bool) {
	known, gone := o.owners[instance], o.ended[instance]
	if known == nil && gone == nil && !inOrder {
		return // nothing was known of it
	}
	if gone == nil {
		gone = &endedInstance{}
		o.trimEnded()
		o.ended[instance] = gone
	}
	if known != nil {
		gone.version = known.version
	}
	gone.till, gone.renewed, gone.inOrder = 0, false, gone.inOrder || inOrder
	delete(o.owners, instance)
}

// trimEnded makes place for one more.
func (o *othersState) trimEnded() {
	for old := range o.ended {
		if len(o.ended) < maxEnded {
			return
		}
		delete(o.ended, old)
		delete(o.counts, old)
	}
}

// observeLeases looks for ended instances whose lease is renewed: with older
// data, Redis does not know that they were evicted, and so they do not know it
// either. An instance that ended in order renews nothing: its lease is as old as
// the data.
func (o *othersState) observeLeases(others []otherLease) {
	leases := make(map[string]int64, len(others))
	for _, other := range others {
		leases[other.instance] = other.end()
	}
	for instance, gone := range o.ended {
		till := leases[instance]
		gone.renewed = gone.renewed || gone.till != 0 && till > gone.till
		gone.till = till
	}
}

// seemsAlive reports whether Redis, which has older data, has a lease of an
// instance that is gone.
func (o *othersState) seemsAlive() bool {
	for _, gone := range o.ended {
		if gone.till != 0 {
			return true
		}
	}
	return false
}

// isEnded reports whether an instance is gone, as far as its log up to a version
// tells. If it lives after all, only what is older than what is known of it does
// not count.
func (o *othersState) isEnded(instance string, version uint64) bool {
	gone := o.ended[instance]
	switch {
	case gone == nil:
		return false
	case gone.renewed && !gone.inOrder:
		return version < gone.version
	}
	return gone.inOrder || version <= gone.version
}
