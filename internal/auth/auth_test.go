package auth

import (
	"encoding/base64"
	"encoding/json"
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

// FuzzVerify verifies a token as it is, which is accepted only if signing its text again
// gives the same bytes, and a signed header and payload, whose identity must be what they
// contain.
func FuzzVerify(f *testing.F) {
	user := `{"user":{"id":7,"name":"Ann"},"sub":"7","nbf":` + in(0) + `,"exp":` + in(60) + `}`
	for _, payload := range []string{
		user, `{"sub":"7","iat":1,"aud":["rollcall"],"exp":` + in(60) + `}`, `{"exp":1}`, `7`, `"7"`, `{"id":"7"}`,
		`{"_rails":{"data":{"id":7},"exp":` + at(60) + `,"pur":"rollcall"}}`,
		`{"_rails":{"message":` + inBase64(`{"id":7}`) + `,"exp":` + at(60) + `,"pur":null}}`,
		"\x04\b{\x06:\aidi\f", `{"id":7,"id":8}`, `[[[[`, `{"user":{"id":"\ud800"},"exp":1e300}`,
	} {
		f.Add(jwtToken(secret, hs256, payload), hs256, payload)
		f.Add(railsToken(secret, "SHA1", payload), `{"alg":"none"}`, payload)
		f.Add(railsSigned(oldSecret, "SHA256", base64.RawURLEncoding.EncodeToString([]byte(payload))), `{"alg":"HS256","crit":["b64"]}`, payload)
		f.Add(sub7("another secret of that length"), `{"alg":"HS512"}`, payload)
	}
	f.Fuzz(func(t *testing.T, token, header, payload string) {
		v := New([]string{secret, oldSecret})
		if who, err := v.Verify(token, now); err == nil {
			sound(t, who)
			if !signedByUs(token) {
				t.Fatalf("accepted, and not signed: %q", token)
			}
		}
		if who, err := v.Verify(jwtToken(secret, header, payload), now); err == nil {
			sound(t, who)
			honestJWT(t, who, header, payload)
		}
		if who, err := v.Verify(railsToken(secret, "SHA256", payload), now); err == nil {
			sound(t, who)
			honestMessage(t, who, payload)
		}
	})
}

// signedByUs signs the text of a token in every accepted way.
func signedByUs(token string) bool {
	for _, key := range []string{secret, oldSecret} {
		for _, digest := range []string{"SHA1", "SHA256"} {
			if i := strings.LastIndex(token, "--"); i >= 0 && token == railsSigned(key, digest, token[:i]) {
				return true
			}
		}
		if parts := strings.Split(token, "."); len(parts) == 3 {
			header, _ := base64.RawURLEncoding.DecodeString(parts[0])
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			if token == jwtToken(key, string(header), string(payload)) {
				return true
			}
		}
	}
	return false
}

// sound checks what holds for every identity.
func sound(t *testing.T, who Identity) {
	user, ok := parsed(string(who.User)).(map[string]any)
	_, number := user["id"].(json.Number)
	text, _ := user["id"].(string)
	if _, wrapped := user["_rails"]; !ok || wrapped || !number && text == "" {
		t.Fatalf("no user with an id: %q", who.User)
	}
	if !who.Expires.IsZero() && !who.Expires.After(now) {
		t.Fatalf("expired %v", who.Expires)
	}
}

func honestJWT(t *testing.T, who Identity, header, payload string) {
	h, headed := parsed(header).(map[string]any)
	p, ok := parsed(payload).(map[string]any)
	_, crit := h["crit"]
	exp, expires := seconds(p["exp"])
	nbf, _ := seconds(p["nbf"])
	user := p["user"]
	if user == nil {
		user = map[string]any{"id": p["sub"]}
	} else if !strings.Contains(payload, string(who.User)) {
		t.Fatalf("%s is not a part of %s", who.User, payload)
	}
	switch {
	case !headed || !ok || h["alg"] != "HS256" || crit:
		t.Fatalf("accepted the header %s of %s", header, payload)
	case !expires || !time.Unix(int64(exp), 0).Equal(who.Expires) || nbf >= float64(now.Unix()+31):
		t.Fatalf("expires %v with %s", who.Expires, payload)
	case !reflect.DeepEqual(user, parsed(string(who.User))):
		t.Fatalf("%s is not the user of %s", who.User, payload)
	}
}

func honestMessage(t *testing.T, who Identity, payload string) {
	object, _ := parsed(payload).(map[string]any)
	meta, wrapped := object["_rails"].(map[string]any)
	value := strings.Trim(payload, " \t\r\n")
	if object == nil {
		value = `{"id":` + value + `}`
	}
	switch {
	case !json.Valid([]byte(payload)):
		t.Fatalf("accepted what is not JSON: %s", payload)
	case !wrapped && string(who.User) != value:
		t.Fatalf("%s is not %s", who.User, payload)
	case meta["pur"] != nil && meta["pur"] != "rollcall":
		t.Fatalf("for something else: %s", payload)
	case (meta["exp"] == nil) != who.Expires.IsZero():
		t.Fatalf("expires %v with %s", who.Expires, payload)
	}
}

// parsed is a JSON value with its numbers as written, nil for invalid JSON.
func parsed(text string) (value any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if !json.Valid([]byte(text)) || decoder.Decode(&value) != nil {
		return nil
	}
	return value
}

func seconds(value any) (float64, bool) {
	number, _ := value.(json.Number)
	f, err := number.Float64()
	return f, err == nil
}
