package adapter_test

import (
	"testing"

	"rollcall/adapter"
	"rollcall/adapter/adaptertest"
)

func TestMemory(t *testing.T) {
	adaptertest.RunAlone(t, func() adaptertest.Store {
		store := adapter.NewMemory()
		store.BoundHistories(adaptertest.MaxHistories())
		return store
	})
}
