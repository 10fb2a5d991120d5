package redis

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"rollcall/adapter/redistest"
	"rollcall/adapter/redistest/redissim"
	"rollcall/rooms"
)

// The simulated Redis answers each script as a real one does, and has the same
// data afterwards.
func TestSimulatedRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--rename-command", "MEMORY", "")
	sim := redissim.New(time.Now, func(string) int { return 0 })
	defer sim.Close()
	live := liveServer{server.Client()}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 3))
	const prefix = "{r}"
	next := map[string]uint64{}
	for n := range 600 {
		script, args := simScript(draw, next, n)
		want, wantErr := live.eval(t.Context(), script, prefix, args)
		got, gotErr := sim.Eval(script.name, script.source, prefix, simArgs(args))
		if (gotErr != nil) != (wantErr != nil) || !reflect.DeepEqual(timeless(got), timeless(want)) {
			t.Fatalf("call %d, %s %q:\n got %v, %v\nwant %v, %v", n, script.name, args, timeless(got), gotErr, timeless(want), wantErr)
		}
	}
	keys := server.Client().Keys(t.Context(), "*").Val()
	slices.Sort(keys)
	if got := sim.Keys(); !slices.Equal(got, keys) {
		t.Errorf("the keys are\n%q, want\n%q", got, keys)
	}
}

// simScript is a call such as the stores make.
func simScript(draw *rand.Rand, next map[string]uint64, n int) (*luaScript, []any) {
	instance := string(rune('a' + draw.IntN(3)))
	token := fmt.Sprint("t", n)
	switch draw.IntN(12) {
	case 0:
		return productionScripts.renew, []any{instance, 3000}
	case 1:
		return productionScripts.snapshot, []any{token, "0-0", "", instance}
	case 2:
		return productionScripts.evict, []any{instance, []string{"absent", "signClosed", "handing over", "expired", "silent"}[draw.IntN(5)], "", "closed", 0, "0", token}
	case 3:
		return productionScripts.touch, []any{fmt.Sprint("u", draw.IntN(4)), 5, true}
	case 4:
		return productionScripts.lastActive, []any{fmt.Sprint("u", draw.IntN(4))}
	case 5:
		return productionScripts.history, []any{"1"}
	case 6:
		return productionScripts.mend, []any{draw.IntN(20) == 0, 1, instance, "1"}
	}
	var steps []op
	for range 1 + draw.IntN(4) {
		one := op{place: rooms.EntryKey{Key: fmt.Sprint(instance, draw.IntN(4))}, user: "7", post: rooms.ChatPost{Room: "1", Content: token}}
		one.kind = []opKind{opPut, opPut, opPut, opRemove, opReset, opWhole, opPost, opSignOut}[draw.IntN(8)]
		if draw.IntN(3) == 0 {
			one.place.List = rooms.RoomList("1")
		}
		log := instance
		if one.isMessage() {
			log += "said"
		}
		next[log]++
		if draw.IntN(15) == 0 {
			next[log] += 2 // a gap
		}
		one.version = next[log]
		one.entry = rooms.Entry{
			EntryKey: one.place, Instance: instance, UserID: fmt.Sprint("u", draw.IntN(4)), Data: []byte(`"x"`), JoinedAt: 1,
			Status: []rooms.Status{rooms.Active, rooms.Hidden}[draw.IntN(2)],
		}
		steps = append(steps, one)
	}
	return productionScripts.apply, applyArgs(instance, token, steps...)
}

// timeless is a reply without times, and with sorted hashes in it.
func timeless(reply any) any {
	switch v := reply.(type) {
	case int64:
		if v > 1e11 {
			return "time"
		}
	case string:
		return timelike.ReplaceAllString(v, "time")
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = timeless(element)
		}
		switch len(out) { // what is in any order, or in that of times
		case 9: // a snapshot
			out[4], out[5], out[6], out[7] = sortedPairs(out[4]), sorted(out[5]), sortedPairs(out[6]), sortedPairs(out[7])
		case 11: // a renewal
			out[10] = sorted(out[10])
		}
		return out
	}
	return reply
}

var timelike = regexp.MustCompile(`\d{12,}(-\d+)?`)

func sorted(list any) any {
	rows, _ := list.([]any)
	out := make([]string, len(rows))
	for i, row := range rows {
		out[i] = fmt.Sprint(row)
	}
	slices.Sort(out)
	return out
}

func sortedPairs(list any) any {
	fields, _ := list.([]any)
	pairs := make([]string, 0, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		pairs = append(pairs, fmt.Sprint(fields[i], " ", fields[i+1]))
	}
	slices.Sort(pairs)
	return pairs
}
