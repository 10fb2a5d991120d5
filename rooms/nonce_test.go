package rooms_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

// A message that is sent again with its nonce is kept and told once, and
// answered with its id each time.
func TestNonce(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		ann, again, bob := w.connect(0, "a", "presence=none"), w.connect(1, "a2", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(ann, "register", `{"id":7}`)
		w.do(again, "register", `{"id":"7"}`) // after a reconnect, on another instance
		for _, c := range []*fakeConn{ann, again, bob} {
			w.do(c, "join", `{"room":"r","username":"x"}`)
		}
		w.settle()
		bob.told()
		const message = `{"room":"r","content":"hello","nonce":"n-1"}`
		first := w.do(ann, "message", message)["id"]
		if id, ok := first.(int64); !ok || id <= 0 {
			t.Fatalf("the answer's id is %v", first)
		}
		if id := w.do(again, "message", message)["id"]; id != first {
			t.Errorf("sent again it is %v, want %v", id, first)
		}
		if id := w.do(bob, "message", message)["id"]; id == first {
			t.Error("another user's message was taken for the same")
		}
		time.Sleep(9*time.Minute + 50*time.Second)
		if id := w.do(ann, "message", message)["id"]; id != first {
			t.Errorf("before ten minutes are over it is %v, want %v", id, first)
		}
		time.Sleep(20 * time.Second)
		if id := w.do(ann, "message", message)["id"]; id == first {
			t.Error("after ten minutes it is still the same")
		}
		w.settle()
		told := bob.told()
		if len(told) != 3 || !strings.Contains(told[0], `"user_id":"7"`) || strings.Contains(told[1], "user_id") {
			t.Error(told)
		}
		w.do(ann, "typing", `{"room":"r"}`)
		w.hears(bob, `typing {"room":"r","username":"x","user_id":"7"}`)
		kept, err := w.instances[1].Messages(t.Context(), "r")
		if err != nil || len(kept) != 3 || kept[0].UserID != "7" || kept[1].UserID != "" {
			t.Errorf("%+v, %v", kept, err)
		}
		w.do(ann, "message", `{"room":"r","content":"x","nonce":"`+strings.Repeat("é", 64)+`"}`)
		w.do(ann, "message", `{"room":"r","content":"x","nonce":null}`)
		for _, nonce := range []string{`"` + strings.Repeat("é", 65) + `"`, `{}`, `[1]`, `true`, `"\ud800"`} {
			w.refused(ann, "bad_message", "message", `{"room":"r","content":"x","nonce":`+nonce+`}`)
		}
	})
}

// silent is a store that never learns the ids of messages.
type silent struct{ rooms.Store }

func (s silent) PostMessage(rooms.ChatPost) (<-chan int64, error) { return make(chan int64), nil }

// A message of which nobody knows whether it was kept is answered so, in time.
func TestMessageUnconfirmed(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		r := rooms.New(rooms.Options{}, silent{w.far}, &fakeSender{})
		c := &fakeConn{id: "c"}
		w.home[c] = r
		if _, err := r.Connect(c, rooms.Handshake{}); err != nil {
			t.Fatal(err)
		}
		w.do(c, "join", `{"room":"r"}`)
		began := time.Now()
		w.refused(c, "unavailable", "message", `{"room":"r","content":"x"}`)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("that took %v", took)
		}
	})
}
