package redis

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"rollcall/adapter/redistest/redissim"
)

// simRules hold what Redis has and what scripts do to the rules in doc.go, at
// each call. It is used by serve alone, under net.mu.
type simRules struct {
	logs map[string]map[int]simOp // by instance and version
	// renewed is when each instance renewed its lease last, jumped when Redis'
	// clock was set last.
	renewed map[string]time.Time
	jumped  time.Time
	// evicted is when each instance was evicted last.
	evicted map[string]time.Time
	findings
}

type simOp struct{ kind, address string }

func newSimRules() *simRules {
	return &simRules{logs: make(map[string]map[int]simOp), renewed: make(map[string]time.Time), evicted: make(map[string]time.Time)}
}

// ran looks at a script that has run.
func (s *simRules) ran(r *redissim.Redis, script string, args []string, reply any) {
	switch script {
	case "renew":
		if state(simKeys{r}.hash("progress:" + args[0])["state"]) != left { // else it came too late
			s.renewed[args[0]] = time.Now()
		}
	case "apply":
		s.applied(args)
		s.checkContent(r, args[0])
	case "evict":
		if reply != int64(1) {
			return
		}
		s.checkEviction(r, args[0], sign(args[1]))
		if sign(args[1]) != signHandOver {
			s.checkContent(r, args[0])
		}
	}
}

// applied notes the steps of a log, whether or not they were carried out.
func (s *simRules) applied(args []string) {
	log := s.logs[args[0]]
	if log == nil {
		log = make(map[int]simOp)
		s.logs[args[0]] = log
	}
	for i := 3; i < len(args); i += 7 {
		if kind := opKind(args[i]); !(op{kind: kind}).isMessage() {
			version, _ := strconv.Atoi(args[i+1])
			log[version] = simOp{args[i], args[i+2]}
		}
	}
}

// hasRewritten reports whether an instance ever rewrote everything.
func (s *simRules) hasRewritten(instance string) bool {
	for _, one := range s.logs[instance] {
		if one.kind == string(opReset) {
			return true
		}
	}
	return false
}

// checkContent compares what Redis has of an instance with its log (rule 2).
func (s *simRules) checkContent(r *redissim.Redis, instance string) {
	k := simKeys{r}
	p, here, stale := k.hash("progress:"+instance), k.hash("sockets:"+instance), k.hash("stale:"+instance)
	last, _ := strconv.Atoi(p["v"])
	want := make(map[string]bool)
	switch state(p["state"]) {
	case whole, partial:
		log := s.logs[instance]
		first := last
		for ; first > 1 && log[first].kind != string(opReset); first-- {
		}
		for n := first; n <= last; n++ {
			switch one := log[n]; opKind(one.kind) {
			case opPut:
				want[one.address] = true
			case opRemove:
				delete(want, one.address)
			}
		}
	case lost, "":
		s.checkNone(instance, stale)
	default:
		return // left: as before; damaged: by somebody else
	}
	if state(p["state"]) == whole {
		s.checkNone(instance, stale)
	}
	if got := slices.Sorted(maps.Keys(here)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		s.fail("Redis has %q of %s, which is %s at version %d, want %q", got, instance, p["state"], last, slices.Sorted(maps.Keys(want)))
	}
}

func (s *simRules) checkNone(instance string, stale map[string]string) {
	if len(stale) > 0 {
		s.fail("Redis has outdated entries of %s: %v", instance, stale)
	}
}

// checkEviction says whether an instance may be evicted: if it has not renewed
// its lease for the length of one, or if it has not for 1.5 s and none of its
// connections is open. After the clock was set, a lease may end early.
func (s *simRules) checkEviction(r *redissim.Redis, instance string, why sign) {
	if why == signClosed || why == signHandOver {
		delete(s.renewed, instance)
		return
	}
	var timing Timing
	timing.setDefaults()
	least := timing.Lease
	if why == signSilent {
		least = timing.Silence
		if r.Listeners("{r}:alive:"+instance) > 0 {
			s.fail("%s was evicted as silent, and listens", instance)
		}
	}
	if renewed, ok := s.renewed[instance]; ok && time.Since(renewed) < least-2*time.Millisecond && time.Since(s.jumped) > timing.Lease {
		s.fail("%s was evicted (%s) %v after it renewed its lease", instance, why, time.Since(renewed))
	}
	s.evicted[instance] = time.Now()
}
