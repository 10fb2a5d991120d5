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

var now = time.Unix(1_800_000_000, 0)

func verifier(t testing.TB, secrets ...string) *Verifier {
	t.Helper()
	v, err := New(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepted fails the test unless the token is one for that user until then.
func accepted(t *testing.T, v *Verifier, token string, at time.Time, user string, expires time.Time) {
	t.Helper()
	who, err := v.Verify(token, at)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if string(who.User) != user {
		t.Errorf("user is %s, not %s", who.User, user)
	}
	if !who.Expires.Equal(expires) {
		t.Errorf("expires %v, not %v", who.Expires, expires)
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
	const tell = 8
	for text := range strings.FieldsFuncSeq(token, func(r rune) bool { return r == '.' }) {
		for i := 0; i+tell <= len(text); i++ {
			if strings.Contains(err.Error(), text[i:i+tell]) {
				t.Fatalf("the error has a part of the token: %v", err)
			}
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error has the secret: %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name    string
		secrets []string
		want    string
	}{
		{"none", nil, "no secret to verify tokens with"},
		{"empty", []string{""}, "secret 1 of 1 has 0 bytes, and needs at least 16"},
		{"one byte short", []string{strings.Repeat("x", 15)}, "secret 1 of 1 has 15 bytes, and needs at least 16"},
		{"the second is short", []string{secret, "tiny"}, "secret 2 of 2 has 4 bytes, and needs at least 16"},
		{"just long enough", []string{strings.Repeat("x", 16)}, ""},
		{"two", []string{secret, oldSecret}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := New(c.secrets)
			switch {
			case c.want == "" && (err != nil || v == nil):
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || err.Error() != c.want):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	both := verifier(t, secret, oldSecret)
	for _, key := range []string{secret, oldSecret} {
		accepted(t, both, sub7(key), now, `{"id":"7"}`, now.Add(time.Minute))
		accepted(t, both, railsToken(key, "SHA1", `{"id":7}`), now, `{"id":7}`, time.Time{})
	}
	for _, token := range []string{sub7(oldSecret), railsToken(oldSecret, "SHA1", `{"id":7}`)} {
		refused(t, verifier(t, secret), token, now, ErrSignature)
		refused(t, verifier(t, secret, "a third that signed nothing"), token, now, ErrSignature)
	}
}

func TestNeitherKind(t *testing.T) {
	v := verifier(t, secret)
	for _, token := range []string{
		"", "x", "null", "undefined", "Bearer", strings.Repeat("A", MaxToken), "-", "=",
		// A token has one spelling: nothing around it, nothing in it.
		" " + sub7(secret), sub7(secret) + "\n", "Bearer " + sub7(secret),
		strings.Replace(sub7(secret), ".", "\r\n.", 1), sub7(secret) + "\x00", sub7(secret) + "é",
		strings.Replace(railsToken(secret, "SHA1", `{"id":7}`), "--", "\n--", 1),
	} {
		refused(t, v, token, now, ErrMalformed)
	}
}

func TestTooLong(t *testing.T) {
	v := verifier(t, secret)
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
	accepted(t, v, token, now, user, time.Time{})
	longer, _ := fill(n + 8)
	refused(t, v, longer, now, ErrTooLong)
	refused(t, v, strings.Repeat("é.", 8<<20), now, ErrTooLong)
	if allocs := testing.AllocsPerRun(10, func() { v.Verify(longer, now) }); allocs != 0 {
		t.Errorf("%v allocations to refuse what is too long: it must not be decoded", allocs)
	}
}
