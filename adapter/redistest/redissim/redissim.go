// Package redissim is a small Redis in memory, for simulations in virtual
// time: it runs the store's Lua scripts on the commands that these use, and
// nothing else. It has no network, does not forget keys by time, and its clock
// is injected. It is deterministic: what Redis returns in any order is sorted.
//
// TestSimulatedRedis in package redis holds it to a real Redis.
package redissim

import (
	"maps"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Redis is one server with its data. It is for one goroutine at a time.
type Redis struct {
	// Now is the server's clock.
	Now func() time.Time
	// Listeners is how many are subscribed to a channel.
	Listeners func(channel string) int

	data map[string]any // string, hash, zset, list or *stream
	lua  *lua.LState
	keys *lua.LTable
}

type (
	hash map[string]string
	zset map[string]float64
	list []string
)

// New makes an empty server.
func New(now func() time.Time, listeners func(channel string) int) *Redis {
	r := &Redis{
		Now:       now,
		Listeners: listeners,
		data:      make(map[string]any),
	}
	r.startLua()
	return r
}

// Close lets go of the interpreter.
func (r *Redis) Close() {
	r.lua.SetGlobal("redis", lua.LNil)
	states.Put(r.lua)
	r.lua = nil
}

// Flush deletes everything.
func (r *Redis) Flush() { clear(r.data) }

// An Image is all data of a moment.
type Image struct{ data map[string]any }

// Save copies the data, as a snapshot on disk does.
func (r *Redis) Save() Image { return Image{clone(r.data)} }

// Load replaces the data by a copy of those of an image.
func (r *Redis) Load(from Image) { r.data = clone(from.data) }

func clone(data map[string]any) map[string]any {
	out := make(map[string]any, len(data))
	for key, value := range data {
		switch v := value.(type) {
		case hash:
			out[key] = maps.Clone(v)
		case zset:
			out[key] = maps.Clone(v)
		case list:
			out[key] = slices.Clone(v)
		case *stream:
			out[key] = &stream{last: v.last, entries: slices.Clone(v.entries)}
		default:
			out[key] = value
		}
	}
	return out
}

// Keys is the names of all keys, sorted.
func (r *Redis) Keys() []string { return slices.Sorted(maps.Keys(r.data)) }

// Do runs one command outside a script.
func (r *Redis) Do(args ...string) (any, error) { return r.command(args) }
