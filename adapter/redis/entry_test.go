package redis

import (
	"testing"
	"unicode/utf8"

	"rollcall/rooms"
)

var somewhere = rooms.EntryKey{List: "room:x", Key: "s"}

func FuzzAddress(f *testing.F) {
	f.Add("", "s")
	f.Add("room:1:2\x00", "3:\x00")
	f.Fuzz(func(t *testing.T, list, key string) {
		in := rooms.EntryKey{List: list, Key: key}
		if out, ok := parseAddress(address(in)); !ok || out != in {
			t.Errorf("%+v came back as %+v, %v", in, out, ok)
		}
		if p, ok := parseAddress(list); ok && len(p.List) > len(list) {
			t.Errorf("%q is the address of %+v", list, p)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(`{"id":1}`, "1", "a", "away", int64(5), uint64(7))
	f.Add(`{"x":",\"instance\":","instance":"z"}`, `,"instance":`, `","instance":"`, `"`, int64(-1), uint64(0))
	f.Add("{ }\n", "\u2028<&>", "é", "", int64(1)<<62, ^uint64(0))
	f.Fuzz(func(t *testing.T, user, id, instance, status string, joined int64, version uint64) {
		in := rooms.Entry{EntryKey: somewhere, Instance: instance, UserID: id, Data: []byte(user), JoinedAt: joined, RegisteredAt: joined, VisibleAt: joined, Status: rooms.Status(status), StatusAt: joined}
		out, err := parseEntry(somewhere, entryBody(in, version)+`,"seq":12}`)
		if err != nil {
			t.Fatal(err)
		}
		if string(out.Data) != user {
			t.Errorf("the user %q came back as %q", user, out.Data)
		}
		// Ids are valid Unicode: rooms sees to that.
		if utf8.ValidString(id) && out.UserID != id || utf8.ValidString(instance) && out.Instance != instance {
			t.Errorf("ids %q and %q came back as %q and %q", id, instance, out.UserID, out.Instance)
		}
		if out.JoinedAt != joined || out.version != version || out.seq != 12 || out.EntryKey != somewhere ||
			out.StatusAt != joined || out.RegisteredAt != joined || out.VisibleAt != joined || utf8.ValidString(status) && string(out.Status) != status {
			t.Errorf("came back as %+v", out)
		}
	})
}

// An instance of the version before knows milliseconds only.
func TestEntryOfAnOlderInstance(t *testing.T) {
	e, err := parseEntry(somewhere, `{"user":{},"instance":"a","joined_at":7,"id":"x","v":1,"seq":2}`)
	if err != nil || e.JoinedAt != 7000 || e.RegisteredAt != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(`{"user":{},"instance":"a","joined_at":1,"id":"x","v":1,"seq":2}`)
	f.Add(`{"user":,"instance":`)
	f.Add(`{"user"`)
	f.Add(`,"instance":"`)
	f.Fuzz(func(t *testing.T, value string) {
		if e, err := parseEntry(somewhere, value); err == nil && len(e.Data) > len(value) {
			t.Errorf("%q has the user %q", value, e.Data)
		}
	})
}
