package adapter

import (
	"sync"

	"rollcall/rooms"
)

// A Feed has the changes for a store's watcher, in order. The store's mu guards it,
// and is not held while the watcher is called.
type Feed struct {
	watcher func([]rooms.Change) // nil: there is none yet, or none any more
	waiting []rooms.Change
	stopped bool
	// calling is closed when the watcher has returned; nil: nobody calls it.
	calling chan struct{}
}

// maxChunk bounds the changes of one call of the watcher, which must not be busy for
// long with a large resync.
const maxChunk = 256

// Watch sets the watcher. mu is held.
func (f *Feed) Watch(watcher func([]rooms.Change)) { f.watcher = watcher }

// Add queues a change. mu is held.
func (f *Feed) Add(c rooms.Change) {
	if !f.stopped {
		f.waiting = append(f.waiting, c)
	}
}

// Flush calls the watcher with all that waits. If another goroutine is doing that,
// it leaves it to that one. mu is held by the caller, and released during each call.
func (f *Feed) Flush(mu *sync.Mutex) {
	if f.calling != nil {
		return
	}
	for f.watcher != nil && len(f.waiting) > 0 {
		n := min(len(f.waiting), maxChunk)
		chunk, watcher := f.waiting[:n:n], f.watcher
		if f.waiting = f.waiting[n:]; len(f.waiting) == 0 {
			f.waiting = nil
		}
		f.calling = make(chan struct{})
		mu.Unlock()
		watcher(chunk)
		mu.Lock()
		close(f.calling)
		f.calling = nil
	}
}

// Stop ends the watch: when it returns the watcher is not called any more. mu is
// not held.
func (f *Feed) Stop(mu *sync.Mutex) {
	mu.Lock()
	f.watcher, f.waiting, f.stopped = nil, nil, true
	calling := f.calling
	mu.Unlock()
	if calling != nil {
		<-calling
	}
}
