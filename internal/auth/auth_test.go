package auth

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	secret    = "the secret of these tests"
	oldSecret = "what it was before that one"
)

var (
	now  = time.Unix(1_800_000_000, 0)
	ours = New([]string{secret})
)

// accepted fails the test unless the token is one for that user until then.
func accepted(t *testing.T, v *Verifier, token string, at time.Time, user string, expires time.Time) {
	t.Helper()
	who, err := v.Verify(token, at)
	if err != nil || string(who.User) != user || !who.Expires.Equal(expires) {
		t.Errorf("got %s until %v, %v; want %s until %v", who.User, who.Expires, err, user, expires)
	}
}

// refused fails the test unless the token is refused for that reason, and the error has no
// part of the token or the secret.
func refused(t *testing.T, v *Verifier, token string, at time.Time, want error) {
	t.Helper()
	who, err := v.Verify(token, at)
	if !errors.Is(err, want) {
		t.Fatalf("got %s, %v; want: %v", who.User, err, want)
	}
	if !reflect.DeepEqual(who, Identity{}) {
		t.Errorf("refused, yet there is an identity: %+v", who)
	}
	const shown = 8 // bytes
	for text := range strings.FieldsFuncSeq(token, func(r rune) bool { return r == '.' }) {
		for i := 0; i+shown <= len(text); i++ {
			if strings.Contains(err.Error(), text[i:i+shown]) {
				t.Fatalf("the error has a part of the token: %v", err)
			}
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error has the secret: %v", err)
	}
}

func TestRotation(t *testing.T) {
	both := New([]string{secret, oldSecret})
	for _, key := range []string{secret, oldSecret} {
		accepted(t, both, sub7(key), now, `{"id":"7"}`, now.Add(time.Minute))
		accepted(t, both, railsToken(key, "SHA1", `{"id":7}`), now, `{"id":7}`, time.Time{})
	}
	for _, token := range []string{sub7(oldSecret), railsToken(oldSecret, "SHA1", `{"id":7}`)} {
		refused(t, New([]string{secret}), token, now, ErrSignature)
		refused(t, New([]string{secret, "a third that signed nothing"}), token, now, ErrSignature)
	}
}

func TestNeitherKind(t *testing.T) {
	for _, token := range []string{
		"", "x", "null", "undefined", "Bearer", strings.Repeat("A", MaxToken), "-", "=",
		// A token has one spelling: nothing around it, nothing in it.
		" " + sub7(secret), sub7(secret) + "\n", "Bearer " + sub7(secret),
		strings.Replace(sub7(secret), ".", "\r\n.", 1), sub7(secret) + "\x00", sub7(secret) + "é",
		strings.Replace(railsToken(secret, "SHA1", `{"id":7}`), "--", "\n--", 1),
	} {
		refused(t, ours, token, now, ErrMalformed)
	}
}

func TestTooLong(t *testing.T) {
	// Filled until the token has exactly the length that is taken.
	fill := func(n int) (token, user string) {
		user = `{"id":"7","pad":"` + strings.Repeat("x", n) + `"}`
		return railsToken(secret, "SHA256", user), user
	}
	n := 0
	for token := ""; len(token) < MaxToken-4; n++ {
		token, _ = fill(n)
	}
	token, user := fill(n - 1)
	if over := len(token) - MaxToken; over > 0 || over < -4 {
		t.Fatalf("this test's longest token has %d bytes", len(token))
	}
	accepted(t, ours, token, now, user, time.Time{})
	longer, _ := fill(n + 8)
	refused(t, ours, longer, now, ErrTooLong)
	refused(t, ours, strings.Repeat("é.", 8<<20), now, ErrTooLong)
	if allocs := testing.AllocsPerRun(10, func() { ours.Verify(longer, now) }); allocs != 0 {
		t.Errorf("%v allocations to refuse what is too long: it must not be decoded", allocs)
	}
}
