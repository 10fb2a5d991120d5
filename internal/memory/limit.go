// Package memory finds the memory limit of the process (Limit) and bounds what is being
// received from all clients together (Budget).
package memory

import (
	"math"
	"runtime/debug"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// assumed is the limit if none is set.
const assumed = 512 << 20

// unlimited is the least value that stands for no limit in a control group.
const unlimited = 1 << 60

// Limit is how much memory the process may use, in bytes. It does not change while
// the process runs.
type Limit struct {
	Bytes  int64
	Source Source
}

// Source is what set a limit.
type Source string

const (
	FromGo        Source = "GOMEMLIMIT"
	FromContainer Source = "container" // its control group
	Assumed       Source = "assumed"   // none is set: 512 MiB
)

// Detect returns Go's limit (GOMEMLIMIT), else the container's, else the assumed one.
var Detect = sync.OnceValue(func() Limit {
	return choose(debug.SetMemoryLimit(-1), memlimit.FromCgroup)
})

// choose returns Go's limit, which is MaxInt64 if none is set, else the control
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

// Collector is the limit for Go's garbage collector, 0 for none. It is nine tenths of a
// container's, since Go does not count the program itself and what the kernel holds for
// the process. An assumed limit does not apply: the machine may have less or more.
func (l Limit) Collector() int64 {
	switch l.Source {
	case FromGo:
		return l.Bytes
	case FromContainer:
		return l.Bytes / 10 * 9
	}
	return 0
}

// Apply sets the limit of Go's garbage collector to that of the container.
func (l Limit) Apply() {
	if l.Source == FromContainer {
		debug.SetMemoryLimit(l.Collector())
	}
}
