// Package memory bounds what clients together can make the process hold: what
// they are sending (Budget), and by which limit (Limit). What one client may hold
// is bounded where it is held.
package memory

import (
	"math"
	"runtime/debug"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// assumed is the limit where nobody sets one.
const assumed = 512 << 20

// unlimited is what some control groups without a limit name as theirs, or more.
const unlimited = 1 << 60

// Limit is how much memory the process may use, in bytes. It does not change while
// the process runs.
type Limit struct {
	Bytes  int64
	Source Source
}

// Source is who set a limit.
type Source string

const (
	FromGo        Source = "GOMEMLIMIT"
	FromContainer Source = "container" // its control group
	Assumed       Source = "assumed"   // nobody: 512 MiB
)

// Detect finds the limit: Go's own, else the container's, else what is assumed.
var Detect = sync.OnceValue(func() Limit {
	return choose(debug.SetMemoryLimit(-1), memlimit.FromCgroup)
})

// choose takes Go's limit, which is MaxInt64 if none is set, or the control
// group's.
func choose(goLimit int64, cgroup func() (uint64, error)) Limit {
	if goLimit != math.MaxInt64 {
		return Limit{goLimit, FromGo}
	}
	if limit, err := cgroup(); err == nil && limit > 0 && limit < unlimited {
		return Limit{int64(limit), FromContainer}
	}
	return Limit{assumed, Assumed}
}

// Collector is the limit that Go's garbage collector has to keep to, 0 if it has
// none. It is nine tenths of a container's: Go does not count its own program and
// what the kernel holds for the process. Where the limit is assumed it has none,
// since the machine may have less or more.
func (l Limit) Collector() int64 {
	switch l.Source {
	case FromGo:
		return l.Bytes
	case FromContainer:
		return l.Bytes / 10 * 9
	}
	return 0
}

// Apply tells Go's garbage collector its limit, if it does not know it.
func (l Limit) Apply() {
	if l.Source == FromContainer {
		debug.SetMemoryLimit(l.Collector())
	}
}
