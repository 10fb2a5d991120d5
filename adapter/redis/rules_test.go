package redis

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redistest/redissim"
	"rollcall/rooms"
)

// Rules of the store that random histories hardly ever need, one by one.

// A restart under the same name is another instance.
func TestInstanceID(t *testing.T) {
	if a, b := InstanceID("web.1"), InstanceID("web.1"); a == b || !strings.HasPrefix(a, "web.1-") {
		t.Errorf("%s and %s", a, b)
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

// An instance rewrites everything when it reads of its own end, and when its renewal
// shows less than Redis had confirmed.
func TestPuttingBackBegins(t *testing.T) {
	for name, lose := range map[string]func(*Store){
		"evicted": func(r *Store) {
			r.others.resync = ""
			reader{r}.applyAnnouncement(goredis.XMessage{ID: "1-0", Values: map[string]any{"n": "1", "gone": "a", "why": "instance_lost"}})
		},
		"lost": func(r *Store) {
			k := &leaseKeeper{Store: r}
			k.checkOwn(k.progress(), renewal{mine: progress{version: 1, state: whole}})
		},
	} {
		r := &Store{caller: caller{instance: "a", log: slog.New(slog.DiscardHandler)}, scripts: productionScripts, own: newOwnState(), others: newOthersState(), wake: make(chan struct{}, 1)}
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

// scriptRun runs scripts one by one, and notes which of their rules do not hold.
type scriptRun struct {
	*redissim.Redis
	mutate func(*luaScript) string // a script's source as it is to be run
	broken []string
}

func (r *scriptRun) hold(rule string, holds bool) {
	if !holds {
		r.broken = append(r.broken, rule)
	}
}

func (r *scriptRun) do(args ...string) { _, _ = r.Do(args...) }

func (r *scriptRun) run(s *luaScript, args ...any) (any, error) {
	return r.Eval(s.name, r.mutate(s), "{r}", simArgs(args))
}

// applyArgs is what the script apply takes.
func applyArgs(instance, token string, steps ...op) []any {
	args := []any{instance, 3000, token}
	for _, one := range steps {
		body := one.body()
		args = append(append(args, string(one.kind), one.version), body[:]...)
	}
	return args
}

func (r *scriptRun) apply(instance string, steps ...op) error {
	_, err := r.run(productionScripts.apply, applyArgs(instance, "t", steps...)...)
	return err
}

func (r *scriptRun) evict(why sign, seen string) any {
	reply, _ := r.run(productionScripts.evict, "a", string(why), seen, "instance_lost", 0, "0", "t")
	return reply
}

func (r *scriptRun) snapshot(from string) snapshot {
	reply, _ := r.run(productionScripts.snapshot, "first", from, "", "a")
	s, _ := parseSnapshot(reply)
	return s
}

func putting(version uint64, list, key string) op {
	e := online(key, `{}`)
	e.List, e.Instance = list, "a"
	return op{kind: opPut, version: version, place: e.EntryKey, entry: e}
}

// scriptRules says which rules do not hold.
func scriptRules(mutate func(*luaScript) string) (broken []string) {
	r := &scriptRun{Redis: redissim.New(time.Now, func(string) int { return 0 }), mutate: mutate}
	defer r.Close()
	r.entries()
	r.messages()
	return r.broken
}

func (r *scriptRun) entries() {
	hasFloor := func() bool { _, ok := simKeys{r.Redis}.hash("progress:a")["r"]; return ok }
	_ = r.apply("a", putting(1, "", "s"))
	r.hold("a lease is no absence", r.evict(signAbsent, "") == int64(0))
	_ = r.apply("a", op{kind: opReset, version: 2}, putting(3, "", "t"), op{kind: opWhole, version: 4})
	r.hold("a renewed lease is not unchanged", r.evict(signUnchanged, "1") == int64(0))
	_ = r.apply("a", op{kind: opReset, version: 5}, putting(6, "", "t"), op{kind: opWhole, version: 7})
	r.hold("the floor goes when all is back", !hasFloor())
	_ = r.apply("a", op{kind: opReset, version: 8}, putting(9, "", "new"))
	r.do("ZREM", "{r}:instances", "a")
	r.hold("the absent are evicted", r.evict(signAbsent, "") == int64(1))
	r.hold("the floor goes with the end", !hasFloor())
	r.hold("outdated entries go with the end", len(entriesIn(simKeys{r.Redis})) == 0)
	r.do("DEL", "{r}:link")
	r.hold("a chain that was lost begins with a new token", r.snapshot("").token == "first")
}

func (r *scriptRun) messages() {
	post := rooms.ChatPost{Room: "1", Username: "x", Content: "x", Nonce: "n"}
	_ = r.apply("a", op{kind: opPost, version: 1, post: post}, op{kind: opPost, version: 2, post: post},
		op{kind: opRevoke, version: 3, user: "7", revokedAt: 1}, op{kind: opSignOut, version: 4, user: "7"})
	missed := r.snapshot("0-0")
	var kinds []string
	for _, message := range missed.messages {
		for _, kind := range []string{"said", "kept", "rev", "out"} {
			if message.Values[kind] != nil {
				kinds = append(kinds, kind)
			}
		}
	}
	r.hold("a reader is told all that it missed", slices.Equal(kinds, []string{"said", "kept", "rev", "out"}))
	r.hold("it reads on from there", len(missed.messages) > 0 && missed.lastID == missed.messages[len(missed.messages)-1].ID)

	halfway := []op{
		{kind: opPost, version: 1, post: rooms.ChatPost{Room: "2", Content: "x"}, after: 5e12},
		{kind: opSignOut, version: 2, user: "7"}, putting(1, rooms.RoomList("1"), "s"),
	}
	r.do("SET", "{r}:room:1:users", "x")
	r.hold("damage stops a batch", r.apply("b", halfway...) != nil)
	r.do("DEL", "{r}:room:1:users")
	r.hold("it is carried out when it is sent again", r.apply("b", halfway...) == nil)
	r.hold("its messages are announced once", len(r.snapshot("0-0").messages) == len(missed.messages)+2)
	history, _ := r.run(productionScripts.history, "2")
	r.hold("an id is higher than any that its sender knew", strings.Contains(fmt.Sprint(history), `"id":5000000000001`))
	r.do("ZADD", "{r}:revoked", "1000", "old")
	_ = r.apply("a", op{kind: opRevoke, version: 5, user: "8", revokedAt: time.Now().UnixMilli()})
	r.hold("old revocations go", !slices.Contains(simKeys{r.Redis}.members("revoked"), "old"))
}

func TestScriptRules(t *testing.T) {
	for _, rule := range scriptRules(func(s *luaScript) string { return s.source }) {
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
		{s.evict, "elseif why == 'unchanged' then -- not renewed, but the clock was set back, so it will not expire soon\n  if till ~= observed then return 0 end", "elseif why == 'unchanged' then"},
		{s.apply, "redis.call('HDEL', mark, 'r')", ""},
		{s.evict, "redis.call('HDEL', progress(gone), 'r')", ""},
		{s.evict, "some = removeAll(staleOf(gone)) or some", ""},
		{s.snapshot, "if tokenOf(seq) == '' then", "if false then"},
		{s.snapshot, " or kind == 'kept'", ""},
		{s.snapshot, " or kind == 'rev'", ""},
		{s.snapshot, " or kind == 'out'", ""},
		{s.snapshot, "last[1] and last[1][1] or '0-0'", "'0-0'"},
		{s.apply, "redis.call('HSET', mark, 'm', count)", ""},
		{s.apply, ", after + 1, now)", ", now)"},
		{s.apply, "redis.call('ZREMRANGEBYSCORE', revoked, '-inf', text(now - KEEP_REVOKED))", ""},
	} {
		if !strings.Contains(f.script.source, f.rule) {
			t.Errorf("%s has no %q", f.script.name, f.rule)
		}
		broken := scriptRules(func(s *luaScript) string {
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
