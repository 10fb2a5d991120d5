// Package locktrace has mutexes that note each acquisition. e2e/locks builds this
// module with them in place of sync's; nothing else uses them.
package locktrace

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// Mutex is a sync.Mutex that notes its acquisitions.
type Mutex struct{ mu sync.Mutex }

// Lock implements sync.Locker.
func (m *Mutex) Lock() { m.mu.Lock(); acquired() }

// Unlock implements sync.Locker.
func (m *Mutex) Unlock() { released(); m.mu.Unlock() }

// TryLock is that of sync.Mutex.
func (m *Mutex) TryLock() bool {
	ok := m.mu.TryLock()
	if ok {
		acquired()
	}
	return ok
}

// RWMutex is a sync.RWMutex that notes its acquisitions.
type RWMutex struct{ mu sync.RWMutex }

// Lock implements sync.Locker.
func (m *RWMutex) Lock() { m.mu.Lock(); acquired() }

// Unlock implements sync.Locker.
func (m *RWMutex) Unlock() { released(); m.mu.Unlock() }

// RLock is that of sync.RWMutex.
func (m *RWMutex) RLock() { m.mu.RLock(); acquired() }

// RUnlock is that of sync.RWMutex.
func (m *RWMutex) RUnlock() { released(); m.mu.RUnlock() }

// An Acquisition is one call of Lock or RLock.
type Acquisition struct {
	Goroutine string
	Depth     int // of locks that the goroutine holds, with this one
	Caller    string
}

func (a Acquisition) String() string {
	return fmt.Sprintf("goroutine %-5s %s%s", a.Goroutine, strings.Repeat("  ", a.Depth-1), a.Caller)
}

var (
	mu    sync.Mutex // guards all below
	on    bool
	held  = make(map[string]int) // by goroutine
	trace []Acquisition
)

// Start begins to note.
func Start() {
	mu.Lock()
	defer mu.Unlock()
	on, trace = true, nil
}

// Stop returns what was noted.
func Stop() []Acquisition {
	mu.Lock()
	defer mu.Unlock()
	on = false
	return trace
}

func goroutine() string {
	var b [64]byte
	return string(bytes.Fields(b[:runtime.Stack(b[:], false)])[1])
}

func acquired() {
	id := goroutine()
	pc, _, _, _ := runtime.Caller(2)
	name := runtime.FuncForPC(pc).Name()
	mu.Lock()
	defer mu.Unlock()
	held[id]++
	if on {
		trace = append(trace, Acquisition{id, held[id], strings.TrimPrefix(name, "rollcall/")})
	}
}

func released() {
	id := goroutine()
	mu.Lock()
	defer mu.Unlock()
	if held[id]--; held[id] == 0 {
		delete(held, id)
	}
}
