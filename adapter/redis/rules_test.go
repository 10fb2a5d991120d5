package redis

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redissim"
	"rollcall/rooms"
)

// Rules of the store that random histories hardly ever need, one by one.

// A reader skips what it knows, and takes nothing for complete that may not be.
func TestReaderFollows(t *testing.T) {
	o := newOthersState()
	follow := func(a announcement, news, settled bool) {
		t.Helper()
		a.instance = "b"
		if got := o.track(a); got != news {
			t.Errorf("version %d is news: %v", a.version, got)
		}
		if got := o.owners["b"].settled; got != settled {
			t.Errorf("after version %d it is settled: %v", a.version, got)
		}
	}
	follow(announcement{version: 5}, true, false) // its log began before
	follow(announcement{version: 5}, false, false)
	follow(announcement{version: 4}, false, false)
	follow(announcement{version: 6, reset: "b"}, true, false)
	follow(announcement{version: 7, whole: "b", floor: 6}, true, true)
	follow(announcement{version: 8, reset: "b"}, true, false)
	o.resync = ""
	o.owners["b"].from = 9
	follow(announcement{version: 9, whole: "b", floor: 8}, true, false)
	if o.resync == "" {
		t.Error("a reader that missed a reset does not compare")
	}
	o = newOthersState()
	follow(announcement{version: 1}, true, true)
}

// An instance that was evicted lives again for a reader when its lease is
// renewed, unless it ended itself; data from before its end do not come back.
func TestReaderRevives(t *testing.T) {
	lease := func(till string) []otherLease { return []otherLease{{instance: "b", till: till}} }
	for _, inOrder := range []bool{false, true} {
		o := newOthersState()
		o.owners["b"] = &owner{version: 5}
		o.markEnded("b", inOrder)
		check := func(when string, old, same, next bool) {
			t.Helper()
			for version, want := range map[uint64]bool{4: old, 5: same, 6: next} {
				if got := o.isEnded("b", version); got != want {
					t.Errorf("in order %v, %s: ended as of version %d: %v", inOrder, when, version, got)
				}
			}
		}
		check("at the end", true, true, inOrder)
		o.observeLeases(lease("1000")) // of older data
		check("with a lease", true, true, inOrder)
		if !o.seemsAlive() {
			t.Error("nobody seems alive")
		}
		o.observeLeases(lease("2000"))
		check("renewed", true, inOrder, inOrder)
	}
}

// Nobody is suspected for the length of a lease after Redis' clock was set.
func TestFailureDetectorRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		went time.Duration // Redis' clock, in one second of ours
		jump bool
	}{"as ours": {time.Second, false}, "a little off": {1150 * time.Millisecond, false}, "forward": {1300 * time.Millisecond, true}, "back": {-time.Second, true}} {
		d, began := newFailureDetector(), time.Now()
		d.renewed(renewal{now: 1_000_000, till: "1003000"}, began, began)
		later := began.Add(time.Second)
		now := 1_000_000 + c.went.Milliseconds()
		d.renewed(renewal{now: now, held: "1003000", till: fmt.Sprint(now + 3000)}, later, later)
		if got := d.from.Equal(later); got != c.jump {
			t.Errorf("%s: it waits from there: %v", name, got)
		}
	}
}

// Removals that are on their way when everything is rewritten go along, for
// their reasons, unless the entry is back.
func TestPuttingBackKeepsReasons(t *testing.T) {
	o := newOwnState()
	for _, key := range []string{"gone", "back", "stays"} {
		o.put(rooms.Entry{EntryKey: rooms.EntryKey{Key: key}}, 0)
	}
	o.confirm(3, 0)
	o.remove(rooms.EntryKey{Key: "gone"}, rooms.SignedOut)
	o.remove(rooms.EntryKey{Key: "back"}, rooms.SignedOut)
	o.put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "back"}}, 0)
	o.rewrite()
	var got []string
	for _, one := range o.queue {
		got = append(got, strings.TrimSpace(fmt.Sprint(one.kind, " ", one.place.Key, " ", one.reason)))
	}
	if want := []string{"reset", "put stays", "put back", "del gone signed_out", "whole"}; !slices.Equal(got, want) {
		t.Errorf("sent is %q, want %q", got, want)
	}
}

// An instance that hears of its own end rewrites everything, and so does one
// whose renewal shows less than Redis had confirmed.
func TestPuttingBackBegins(t *testing.T) {
	for name, lose := range map[string]func(*Store){
		"evicted": func(r *Store) {
			r.others.resync = ""
			r.applyAnnouncement(goredis.XMessage{ID: "1-0", Values: map[string]any{"n": "1", "gone": "a", "why": "instance_lost"}})
		},
		"lost": func(r *Store) {
			k := &leaseKeeper{Store: r}
			k.checkOwn(k.progress(), renewal{mine: progress{version: 1, state: whole}})
		},
	} {
		r := &Store{instance: "a", format: 1, own: newOwnState(), others: newOthersState(), wake: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
		r.timing.setDefaults()
		r.own.put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "s"}}, 0)
		r.own.put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "t"}}, 0)
		r.own.confirm(2, 0)
		lose(r)
		if !r.own.isRewriting() {
			t.Errorf("%s: it does not rewrite everything", name)
		}
	}
}

// scriptRules says which rules of the scripts do not hold. mutate is a script's
// source as it is to be run.
func scriptRules(t *testing.T, mutate func(*luaScript) string) (broken []string) {
	t.Helper()
	sim := redissim.New(time.Now, func(string) int { return 0 })
	defer sim.Close()
	hold := func(rule string, holds bool) {
		if !holds {
			broken = append(broken, rule)
		}
	}
	run := func(s *luaScript, args ...any) any {
		reply, err := sim.Eval(s.name, mutate(s), "{r}", simArgs(args))
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	apply := func(steps ...op) {
		args := []any{"a", 3000, "t"}
		for _, one := range steps {
			body := one.body()
			args = append(append(args, string(one.kind), one.version), body[:]...)
		}
		run(productionScripts.apply, args...)
	}
	put := func(version uint64, key string) op {
		e := rooms.Entry{EntryKey: rooms.EntryKey{Key: key}, Instance: "a", UserID: "u", Data: []byte(`{}`), JoinedAt: 1}
		return op{kind: opPut, version: version, place: e.EntryKey, entry: e}
	}
	evict := func(why sign, seen string) any {
		return run(productionScripts.evict, "a", string(why), seen, "instance_lost", 0, "0", "t")
	}
	hasFloor := func() bool { _, ok := simHash(sim, "{r}:progress:a")["r"]; return ok }

	apply(put(1, "s"))
	hold("a lease is no absence", evict(signAbsent, "") == int64(0))
	apply(op{kind: opReset, version: 2}, put(3, "t"), op{kind: opWhole, version: 4})
	hold("a renewed lease is not unchanged", evict(signUnchanged, "1") == int64(0))
	apply(op{kind: opReset, version: 5}, put(6, "t"), op{kind: opWhole, version: 7})
	hold("the floor goes when all is back", !hasFloor())
	apply(op{kind: opReset, version: 8}, put(9, "new"))
	_, _ = sim.Do("ZREM", "{r}:instances", "a")
	hold("the absent are evicted", evict(signAbsent, "") == int64(1))
	hold("the floor goes with the end", !hasFloor())
	hold("outdated entries go with the end", len(simEntries(sim)) == 0)

	snap := func(from string) snapshot {
		s, err := parseSnapshot(run(productionScripts.snapshot, "first", from, "", "a"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	_, _ = sim.Do("DEL", "{r}:link")
	hold("a chain that was lost begins with a new token", snap("").token == "first")

	said := rooms.ChatPost{Room: "1", Username: "x", Content: "x", Nonce: "n"}
	apply(op{kind: opSay, version: 1, said: said}, op{kind: opSay, version: 2, said: said},
		op{kind: opRevoke, version: 3, user: "7", revokedAt: 1}, op{kind: opSignOut, version: 4, user: "7"})
	missed := snap("0-0")
	var kinds []string
	for _, message := range missed.messages {
		for _, kind := range []string{"said", "kept", "rev", "out"} {
			if message.Values[kind] != nil {
				kinds = append(kinds, kind)
			}
		}
	}
	hold("a reader is told all that it missed", slices.Equal(kinds, []string{"said", "kept", "rev", "out"}))
	hold("it reads on from there", len(missed.messages) > 0 && missed.lastID == missed.messages[len(missed.messages)-1].ID)
	return broken
}

func TestScriptRules(t *testing.T) {
	for _, rule := range scriptRules(t, func(s *luaScript) string { return s.source }) {
		t.Errorf("it does not hold that %s", rule)
	}
}

// TestScriptRulesNotice takes each rule away.
func TestScriptRulesNotice(t *testing.T) {
	s := productionScripts
	for _, f := range []struct {
		script        *luaScript
		rule, without string
	}{
		{s.evict, "  if till then return 0 end", ""},
		{s.evict, "elseif why == 'unchanged' then -- it does not renew a lease that the clock, set back, will not end soon\n  if till ~= observed then return 0 end", "elseif why == 'unchanged' then"},
		{s.apply, "redis.call('HDEL', mark, 'r')", ""},
		{s.evict, "redis.call('HDEL', progress(gone), 'r')", ""},
		{s.evict, "some = removeAll(staleOf(gone)) or some", ""},
		{s.snapshot, "if tokenOf(seq) == '' then", "if false then"},
		{s.snapshot, " or kind == 'kept'", ""},
		{s.snapshot, " or kind == 'rev'", ""},
		{s.snapshot, " or kind == 'out'", ""},
		{s.snapshot, "last[1] and last[1][1] or '0-0'", "'0-0'"},
	} {
		if !strings.Contains(f.script.source, f.rule) {
			t.Errorf("%s has no %q", f.script.name, f.rule)
		}
		broken := scriptRules(t, func(s *luaScript) string {
			if s != f.script {
				return s.source
			}
			return strings.Replace(s.source, f.rule, f.without, 1)
		})
		if len(broken) == 0 {
			t.Errorf("%s without %q is not noticed", f.script.name, f.rule)
		}
	}
}
