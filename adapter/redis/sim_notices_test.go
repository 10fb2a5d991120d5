package redis

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
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
	{10, 0, "an end in order that is told as loss", productionScripts.evict, "  reason = 'closed' -- and not lost", ""},
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
