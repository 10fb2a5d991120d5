// Package memory bounds what clients together can make the process hold: what
// they are sending (Budget), and by which limit (Limit). What one client may hold
// is bounded where it is held.
package memory

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// assumed is the limit where nobody sets one.
const assumed = 512 << 20

// Limit is how much memory the process may use, in bytes: Go's own limit
// (GOMEMLIMIT), else that of the control group, else 512 MiB.
func Limit() int64 {
	return choose(debug.SetMemoryLimit(-1), memlimit.FromCgroup)
}

// choose takes Go's limit, which is MaxInt64 if none is set, or the control
// group's.
func choose(goLimit int64, cgroup func() (uint64, error)) int64 {
	if goLimit != math.MaxInt64 {
		return goLimit
	}
	if limit, err := cgroup(); err == nil && limit > 0 && limit <= math.MaxInt64 {
		return int64(limit)
	}
	return assumed
}
