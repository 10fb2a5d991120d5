package redis

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/redistest/redissim"
)

var simNotices = flag.Uint64("sim.notices", 0, "how many seeds TestSimulationNotices tries, instead of the one known to show the fault")

// A simFault is a rule of the scripts that is taken away.
type simFault struct {
	seed          uint64 // of a history that shows it
	scenario      int    // of which the history is, by number from 1; 0: any
	name          string
	script        *luaScript
	rule, without string
}

var simFaulty = []simFault{
	{412, 0, "changes behind a gap", productionScripts.apply, "return (state == 'whole' or state == 'partial') and n == done + 1", "return state == 'whole' or state == 'partial'"},
	{23, 0, "changes of an instance that was evicted", productionScripts.apply, "return (state == 'whole' or state == 'partial') and n == done + 1", "return n == done + 1"},
	{14, 0, "changes done twice", productionScripts.apply, "if n <= done then return nil end", ""},
	{6, 0, "messages done twice", productionScripts.apply, "if n <= sent then return nil end", ""},
	{23, 1, "messages behind a gap", productionScripts.apply, "return n == sent + 1", "return true"},
	{40, 0, "what was not rewritten", productionScripts.apply, "removeAll(stale)", "redis.call('DEL', stale)"},
	{1, 0, "a reset that changes nothing", productionScripts.apply, "redis.call('DEL', own)", "redis.call('DEL', stale)"},
	{1770, 0, "changes without a lease", productionScripts.apply, "redis.call('ZADD', instances, 'NX', text(now + lease), me)", ""},
	{17, 0, "a reset that forgets the messages", productionScripts.apply, "sent = math.max(sent, tonumber(base))", "sent = tonumber(base)"},
	{8, 0, "a reset without the messages", productionScripts.apply, "sent = math.max(sent, tonumber(base))", ""},
	{5, 0, "a log that begins anywhere", productionScripts.apply, "if state == '' and done == 0 then return n == 1 end", "if state == '' and done == 0 then return true end"},
	{5, 0, "a nonce that is forgotten", productionScripts.apply, "local id = repeated(nonce)", "local id"},
	{52, 0, "revocations that are not kept", productionScripts.apply, "raiseTime(revoked, user, tonumber(at))", ""},
	{70, 3, "announcements without a chain", productionScripts.apply, "'p', before, 'c', token", "'p', '', 'c', ''"},
	{6, 0, "an end that leaves no trace", productionScripts.evict, "redis.call('HSET', progress(gone), 'state', 'lost')", ""},
	{419, 4, "an eviction for expiry that is not checked again", productionScripts.evict, "if till ~= observed or tonumber(till) > now then return 0 end", ""},
	{21, 4, "an eviction for silence that is not checked again", productionScripts.evict, "if till ~= observed or listening(gone) ~= 0 or left(gone) then return 0 end", ""},
	{189, 4, "silence of an instance that listens again", productionScripts.evict, "if till ~= observed or listening(gone) ~= 0 or left(gone) then return 0 end", "if till ~= observed or left(gone) then return 0 end"},
	{10, 0, "an end in order that is told as loss", productionScripts.evict, "  reason = 'closed' -- not lost", ""},
	{30, 0, "a clock that was set back", productionScripts.evict, "elseif why == 'unchanged' then", "elseif why == 'unchanged' then if true then return 0 end"},
	{5, 0, "an end of what Redis does not know", productionScripts.evict, "if till or some or why == 'absent' or why == 'closed' then", "if till or some then"},
	{515, 0, "a place in another history", productionScripts.snapshot, "at[2][6] == known", "true"},
	{6, 0, "messages that a reader missed", productionScripts.snapshot, "missed[#missed + 1] = row", ""},
	{221, 0, "what the reader knows", productionScripts.snapshot, "for i = 4, #ARGV do ask(ARGV[i]) end", ""},
}

// plan is a history of that scenario.
func (f simFault) plan(seed uint64) simPlan {
	p := newSimPlan(seed)
	if f.scenario > 0 {
		draw := rand.New(rand.NewPCG(seed, 43))
		p.calm, p.steps = 3200*time.Millisecond, simScenarios[f.scenario-1](draw)
		for range draw.IntN(4) {
			p.steps = append(p.steps, newSimStep(draw))
		}
	}
	return p
}

// The simulation notices when a rule of the scripts is missing.
func TestSimulationNotices(t *testing.T) {
	skipUnderRace(t)
	for _, f := range simFaulty {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(f.script.source, f.rule) {
				t.Fatal("the rule is not in the script")
			}
			mutate := func(s *luaScript) string {
				if s != f.script {
					return s.source
				}
				return strings.Replace(s.source, f.rule, f.without, 1)
			}
			first, last := f.seed, f.seed
			if *simNotices > 0 {
				first, last = 1, *simNotices
			}
			for seed := first; seed <= last; seed++ {
				if wrong := f.plan(seed).run(t, mutate).wrong; len(wrong) > 0 {
					t.Logf("seed %d: %s", seed, wrong[0])
					return
				}
			}
			t.Errorf("it is not noticed; -sim.notices=5000 looks for a seed")
		})
	}
}

// A history happens again in every detail.
func TestSimulationRepeats(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for seed := range uint64(30) {
		p := newSimPlan(seed + 1)
		first, second := p.run(t, nil), p.run(t, nil)
		if first.trace != second.trace {
			t.Errorf("seed %d: the histories differ", seed+1)
		}
	}
}

// An instance that dies is evicted within 2.5 s by its closed connections,
// without them within 5 s by its lease, whatever it did before.
func TestSimulatedCrash(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	for seed := range uint64(40) {
		p := newSimPlan(seed + 1)
		p.calm, p.entries = 3200*time.Millisecond, 1+p.entries
		p.steps = []simStep{{do: "crash", lasts: 8 * time.Second}}
		limit := 2500 * time.Millisecond
		if seed%2 == 1 { // it hangs, with its connections
			p.steps = []simStep{{do: "hang", lasts: 8 * time.Second}}
			limit = 5 * time.Second
		}
		p.steps[0].after = time.Duration(seed) * 50 * time.Millisecond
		p.steps = append(p.steps, simStep{after: limit, do: "all gone"})
		for _, wrong := range p.run(t, nil).wrong {
			t.Errorf("seed %d: %s", seed+1, wrong)
		}
	}
}

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
