package memory_test

import (
	"slices"
	"testing"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/memory"
	"rollcall/rooms"
)

func TestBus(t *testing.T) {
	adaptertest.RunBus(t, func(_ *testing.T, n int) []rooms.Bus {
		return slices.Repeat([]rooms.Bus{&memory.Bus{}}, n)
	})
}
