package adapter_test

import (
	"slices"
	"testing"

	"rollcall/adapter"
	"rollcall/adapter/adaptertest"
)

func TestMemory(t *testing.T) {
	adaptertest.Run(t, func(_ *testing.T, n int) []adaptertest.Store {
		store := adapter.NewMemory()
		store.BoundHistories(adaptertest.MaxHistories())
		return slices.Repeat([]adaptertest.Store{store}, n)
	})
}
