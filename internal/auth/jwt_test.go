package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"
)

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func segment(raw string) string { return base64.RawURLEncoding.EncodeToString([]byte(raw)) }

// signedJWT signs a JWT without the library under test.
func signedJWT(digest func() hash.Hash, key, header, payload string) string {
	text := segment(header) + "." + segment(payload)
	mac := hmac.New(digest, []byte(key))
	mac.Write([]byte(text))
	return text + "." + segment(string(mac.Sum(nil)))
}

func jwtToken(key, header, payload string) string {
	return signedJWT(sha256.New, key, header, payload)
}

func sub7(key string) string {
	return jwtToken(key, hs256, fmt.Sprintf(`{"sub":"7","exp":%d}`, now.Unix()+60))
}

// in is a date of so many seconds from now.
func in(seconds int64) string { return fmt.Sprint(now.Unix() + seconds) }

func TestJWT(t *testing.T) {
	minute := now.Add(time.Minute)
	for _, c := range []struct{ name, payload, user string }{
		{"user", `{"user":{"id":7,"name":"Ann"},"exp":` + in(60) + `}`, `{"id":7,"name":"Ann"}`},
		{"byte for byte", `{ "exp" : ` + in(60) + ` , "user" : { "id": 12345678901234567890, "b":1.50, "a":"\u00e9é<" } }`, `{ "id": 12345678901234567890, "b":1.50, "a":"\u00e9é<" }`},
		{"sub", `{"sub":"7","exp":` + in(60) + `}`, `{"id":"7"}`},
		{"sub, number", `{"sub":7,"exp":` + in(60) + `}`, `{"id":7}`},
		{"sub, the same number", `{"sub":7,"user":{"id":"7"},"exp":` + in(60) + `}`, `{"id":"7"}`},
		{"sub with escapes", `{"sub":"a\"\\\u0041","exp":` + in(60) + `}`, `{"id":"a\"\\\u0041"}`},
		{"user and sub, string", `{"sub":"7","user":{"id":"7","n":1},"exp":` + in(60) + `}`, `{"id":"7","n":1}`},
		{"user and sub, number", `{"sub":"7","user":{"id":7},"exp":` + in(60) + `}`, `{"id":7}`},
		{"null is not there", `{"sub":"7","user":null,"nbf":null,"iat":null,"aud":null,"exp":` + in(60) + `}`, `{"id":"7"}`},
		{"claims we do not know", `{"sub":"7","iss":"app","jti":"x","scp":["a"],"User":{"id":8},"EXP":1,"exp":` + in(60) + `}`, `{"id":"7"}`},
		{"nbf and iat now", `{"sub":"7","nbf":` + in(0) + `,"iat":` + in(0) + `,"exp":` + in(60) + `}`, `{"id":"7"}`},
		{"nbf within the leeway", `{"sub":"7","nbf":` + in(30) + `,"exp":` + in(60) + `}`, `{"id":"7"}`},
		{"iat within the leeway", `{"sub":"7","iat":` + in(30) + `,"exp":` + in(60) + `}`, `{"id":"7"}`},
		{"parts of a second", `{"sub":"7","iat":` + in(0) + `.25,"exp":` + in(60) + `.75}`, `{"id":"7"}`},
		{"exponent", `{"sub":"7","exp":1.80000006e9}`, `{"id":"7"}`},
		{"aud", `{"sub":"7","aud":"rollcall","exp":` + in(60) + `}`, `{"id":"7"}`},
		{"aud, among others", `{"sub":"7","aud":["app","rollcall"],"exp":` + in(60) + `}`, `{"id":"7"}`},
	} {
		t.Run(c.name, func(t *testing.T) { accepted(t, ours, jwtToken(secret, hs256, c.payload), now, c.user, minute) })
	}
	// Its end is exact, with no leeway.
	accepted(t, ours, sub7(secret), minute.Add(-time.Nanosecond), `{"id":"7"}`, minute)
	refused(t, ours, sub7(secret), minute, ErrExpired)
	accepted(t, ours, jwtToken(secret, `{"alg":"HS256","kid":"1"}`, `{"sub":"7","exp":253402300799}`), now, `{"id":"7"}`, time.Unix(253402300799, 0))
}

func TestJWTPayloadRefused(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		want          error
	}{
		{"expired a second ago", `{"sub":"7","exp":` + in(-1) + `}`, ErrExpired},
		{"expired long ago", `{"sub":"7","exp":` + in(-3600) + `}`, ErrExpired},
		{"expired now", `{"sub":"7","exp":` + in(0) + `}`, ErrExpired},
		{"expired in 1970", `{"sub":"7","exp":0}`, ErrExpired},
		{"no exp", `{"sub":"7"}`, ErrMalformed},
		{"exp is null", `{"sub":"7","exp":null}`, ErrMalformed},
		{"exp is a string", `{"sub":"7","exp":"` + in(60) + `"}`, ErrMalformed},
		{"exp overflows", `{"sub":"7","exp":1e300}`, ErrMalformed},
		{"exp is no float", `{"sub":"7","exp":1e999}`, ErrMalformed},
		{"exp after the year 9999", `{"sub":"7","exp":253402300800}`, ErrMalformed},
		{"exp is negative", `{"sub":"7","exp":-1}`, ErrMalformed},
		{"exp is an object", `{"sub":"7","exp":{}}`, ErrMalformed},
		{"EXP is not exp", `{"sub":"7","EXP":` + in(60) + `}`, ErrMalformed},
		{"nbf over the leeway", `{"sub":"7","nbf":` + in(31) + `,"exp":` + in(60) + `}`, ErrNotYet},
		{"iat over the leeway", `{"sub":"7","iat":` + in(31) + `,"exp":` + in(60) + `}`, ErrNotYet},
		{"nbf is nonsense", `{"sub":"7","nbf":"later","exp":` + in(60) + `}`, ErrMalformed},
		{"iat is nonsense", `{"sub":"7","iat":[1],"exp":` + in(60) + `}`, ErrMalformed},
		{"for others", `{"sub":"7","aud":"mailer","exp":` + in(60) + `}`, ErrAudience},
		{"for several others", `{"sub":"7","aud":["mailer","Rollcall"],"exp":` + in(60) + `}`, ErrAudience},
		{"for nobody", `{"sub":"7","aud":[],"exp":` + in(60) + `}`, ErrAudience},
		{"aud is nonsense", `{"sub":"7","aud":{"rollcall":1},"exp":` + in(60) + `}`, ErrAudience},
		{"sub twice", `{"sub":"7","sub":"8","exp":` + in(60) + `}`, ErrMalformed},
		{"sub twice, once escaped", `{"sub":"7","\u0073ub":"8","exp":` + in(60) + `}`, ErrMalformed},
		{"exp twice", `{"sub":"7","exp":` + in(-60) + `,"exp":` + in(60) + `}`, ErrMalformed},
		{"user twice", `{"user":{"id":7},"user":{"id":8},"exp":` + in(60) + `}`, ErrMalformed},
		{"user.id twice", `{"user":{"id":7,"id":8},"exp":` + in(60) + `}`, ErrMalformed},
		{"nobody", `{"exp":` + in(60) + `}`, ErrUser},
		{"nobody, in nulls", `{"exp":` + in(60) + `,"user":null,"sub":null}`, ErrUser},
		{"sub is empty", `{"sub":"","exp":` + in(60) + `}`, ErrUser},
		{"sub is true", `{"sub":true,"exp":` + in(60) + `}`, ErrUser},
		{"sub is a list", `{"sub":[7],"exp":` + in(60) + `}`, ErrUser},
		{"sub is an object", `{"sub":{"id":7},"exp":` + in(60) + `}`, ErrUser},
		{"user is a string", `{"user":"7","exp":` + in(60) + `}`, ErrUser},
		{"user is a list", `{"user":[{"id":7}],"exp":` + in(60) + `}`, ErrUser},
		{"user without id", `{"user":{"name":"Ann"},"exp":` + in(60) + `}`, ErrUser},
		{"user without id, with sub", `{"user":{"name":"Ann"},"sub":"7","exp":` + in(60) + `}`, ErrUser},
		{"user.ID", `{"user":{"ID":7},"exp":` + in(60) + `}`, ErrUser},
		{"user.id is empty", `{"user":{"id":""},"exp":` + in(60) + `}`, ErrUser},
		{"user.id is null", `{"user":{"id":null},"exp":` + in(60) + `}`, ErrUser},
		{"user.id is true", `{"user":{"id":true},"exp":` + in(60) + `}`, ErrUser},
		{"user.id is a list", `{"user":{"id":["7"]},"exp":` + in(60) + `}`, ErrUser},
		{"user.id is half a rune", `{"user":{"id":"\ud800"},"exp":` + in(60) + `}`, ErrUser},
		{"user.id is not sub", `{"user":{"id":8},"sub":"7","exp":` + in(60) + `}`, ErrUser},
		{"sub is empty, user is not", `{"user":{"id":8},"sub":"","exp":` + in(60) + `}`, ErrUser},
		{"sub is another number", `{"user":{"id":7},"sub":8,"exp":` + in(60) + `}`, ErrUser},
		{"a token within", `{"user":{"id":7,"_rails":{"data":1}},"exp":` + in(60) + `}`, ErrUser},
		{"null", `null`, ErrMalformed},
		{"a list", `[{"sub":"7","exp":` + in(60) + `}]`, ErrMalformed},
		{"a string", `"7"`, ErrMalformed},
		{"nothing", ``, ErrMalformed},
		{"not JSON", `{"sub":"7","exp":` + in(60), ErrMalformed},
		{"two objects", `{"sub":"7","exp":` + in(60) + `}{}`, ErrMalformed},
		{"not UTF-8", `{"sub":"` + "\xff" + `","exp":` + in(60) + `}`, ErrMalformed},
		{"deep", `{"user":` + strings.Repeat("[", 5000) + strings.Repeat("]", 500), ErrMalformed},
		{"deep and whole", `{"exp":` + in(60) + `,"user":` + strings.Repeat("[", 2500) + strings.Repeat("]", 2500) + "}", ErrUser},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, ours, jwtToken(secret, hs256, c.payload), now, c.want) })
	}
}

func TestJWTHeaderRefused(t *testing.T) {
	payload := `{"sub":"7","exp":` + in(60) + `}`
	for _, c := range []struct {
		name, header string
		want         error
	}{
		{"crit", `{"alg":"HS256","crit":["b64"],"b64":true}`, ErrMalformed},
		{"crit is empty", `{"alg":"HS256","crit":[]}`, ErrMalformed},
		{"crit is null", `{"alg":"HS256","crit":null}`, ErrMalformed},
		{"alg twice", `{"alg":"none","alg":"HS256"}`, ErrMalformed},
		{"no alg", `{"typ":"JWT"}`, ErrSignature},
		{"alg is null", `{"alg":null}`, ErrSignature},
		{"alg is a list", `{"alg":["HS256"]}`, ErrSignature},
		{"alg in small letters", `{"alg":"hs256"}`, ErrSignature},
		{"ALG", `{"ALG":"HS256"}`, ErrSignature},
		{"an unknown alg", `{"alg":"` + strings.Repeat("leak", 9) + `"}`, ErrSignature},
		{"null", `null`, ErrSignature},
		{"a string", `"HS256"`, ErrMalformed},
		{"a list", `[{"alg":"HS256"}]`, ErrMalformed},
		{"nothing", ``, ErrMalformed},
		{"not JSON", `{"alg":"HS256"`, ErrMalformed},
		{"not UTF-8", `{"alg":"HS256","x":"` + "\xff" + `"}`, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, ours, jwtToken(secret, c.header, payload), now, c.want)
			if _, err := ours.Verify(jwtToken(secret, c.header, payload), now); strings.Contains(err.Error(), "leak") {
				t.Errorf("the error has a part of the token: %v", err)
			}
		})
	}
}

// A token must not choose how it is verified.
func TestJWTAlgConfusion(t *testing.T) {
	payload := `{"sub":"7","exp":` + in(60) + `}`
	// Rightly signed with our secret, by another algorithm.
	refused(t, ours, signedJWT(sha512.New, secret, `{"alg":"HS512"}`, payload), now, ErrSignature)
	refused(t, ours, signedJWT(sha512.New384, secret, `{"alg":"HS384"}`, payload), now, ErrSignature)
	// One algorithm named, another used.
	refused(t, ours, signedJWT(sha512.New, secret, hs256, payload), now, ErrSignature)
	for _, alg := range []string{"HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "none", "None", "NONE", "nOnE", ""} {
		header := `{"alg":"` + alg + `"}`
		for _, token := range []string{jwtToken(secret, header, payload), segment(header) + "." + segment(payload) + "."} {
			refused(t, ours, token, now, ErrSignature)
			if _, err := ours.Verify(token, now); err.Error() != ErrSignature.Error()+": only HS256 is taken" {
				t.Errorf("%s: the error is not in our words: %v", alg, err)
			}
		}
	}
}

func TestJWTForged(t *testing.T) {
	token := sub7(secret)
	parts := strings.Split(token, ".")
	other := segment(`{"sub":"8","exp":` + in(60) + `}`)
	last := token[len(token)-1:]
	for reason, tokens := range map[error][]string{
		ErrSignature: {
			sub7("another secret of that length"), parts[0] + "." + other + "." + parts[2], parts[0] + "." + parts[1] + ".", token[:len(token)-3],
		},
		ErrMalformed: {
			parts[0] + "." + parts[1], token + "." + parts[2], token + ".." + parts[2], "..", ".", token + "=",
			parts[0] + "." + parts[1] + ".+" + parts[2][1:], token[:len(token)-1] + string(last[0]+1), // spare bits
			parts[0] + "." + parts[1] + "--" + parts[2],
		},
	} {
		for _, token := range tokens {
			refused(t, ours, token, now, reason)
		}
	}
}

// A token whose claim status is none of the three is refused: it may have been meant to
// hide the user.
func TestJWTStatus(t *testing.T) {
	for claim, want := range map[string]string{
		``: "", `"status":null,`: "", `"status":"hidden",`: "hidden", `"status":"away",`: "away", `"status":"active",`: "active",
	} {
		token := jwtToken(secret, hs256, `{`+claim+`"sub":"7","exp":`+in(60)+`}`)
		if who, err := ours.Verify(token, now); err != nil || who.Status != want || string(who.User) != `{"id":"7"}` {
			t.Errorf("%s: %+v, %v", claim, who, err)
		}
	}
	for _, status := range []string{`"Hidden"`, `"invisible"`, `""`, `true`, `["hidden"]`, `{"hidden":true}`, `1`} {
		token := jwtToken(secret, hs256, `{"status":`+status+`,"sub":"7","exp":`+in(60)+`}`)
		refused(t, ours, token, now, ErrMalformed)
		if _, err := ours.Verify(token, now); !strings.Contains(err.Error(), "claim status is not") {
			t.Errorf("the error is %q", err)
		}
	}
}
