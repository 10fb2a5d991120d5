package wire

// This file is how many connections there may be, in all and of one address.

// enter counts a connection of an address, or tells why it may not be made. Where
// there is no room it displaces a session without a transport.
func (s *Server) enter(address string) (refusal, string) {
	no, code, displaced := s.admit(s.opts.Network(address))
	if displaced != nil {
		s.opts.Observer.Refusal("displaced")
		displaced.drop()
	}
	return no, code
}

// admit is enter, but for the session to end in exchange.
func (s *Server) admit(network string) (no refusal, code string, displaced *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.opts.MaxPerAddress
	if s.stopping {
		return stopping, "stopping", nil
	}
	if limit > 0 && s.addresses[network] >= limit {
		return tooMany, "too_many_connections", nil
	}
	if s.opts.MaxConnections > 0 && s.held >= s.opts.MaxConnections {
		if displaced = s.takeDisplaced(); displaced == nil {
			return full, "full", nil
		}
	}
	if limit > 0 {
		s.addresses[network]++
	}
	s.held++
	return refusal{}, "", displaced
}

// released notes that a link holds nothing any more.
func (s *Server) released(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ending, l)
}

func (s *Server) leave(address string) {
	address = s.opts.Network(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
	if s.opts.MaxPerAddress <= 0 {
		return
	}
	if s.addresses[address]--; s.addresses[address] <= 0 {
		delete(s.addresses, address)
	}
}
