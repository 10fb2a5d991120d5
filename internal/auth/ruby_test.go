package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRuby verifies tokens made by Ruby: by Rails' own MessageVerifier, of the installed
// version, and a JWT by OpenSSL.
func TestRuby(t *testing.T) {
	began := time.Now()
	user := `{"id":7,"name":"Ann <é>"}`
	anyTime := time.Time{}
	fixed := time.Unix(4_000_000_000, 0)
	cases := []struct {
		ruby    string
		user    string // none: refused
		why     error
		expires time.Time
	}{
		{"sha1.generate(user)", user, nil, anyTime},
		{"sha256.generate(user)", user, nil, anyTime},
		{"active.generate(user)", `{"id":7,"name":"Ann \u003cé\u003e"}`, nil, anyTime},
		{"sha1.generate(7)", `{"id":7}`, nil, anyTime},
		{"sha256.generate('b3f')", `{"id":"b3f"}`, nil, anyTime},
		{"sha1.generate(user, purpose: :rollcall)", user, nil, anyTime},
		{"sha256.generate(user, purpose: 'rollcall')", user, nil, anyTime},
		{"sha1.generate(user, expires_at: fixed)", user, nil, fixed},
		{"sha256.generate(user, expires_at: fixed, purpose: :rollcall)", user, nil, fixed},
		{"active.generate(7, expires_at: fixed, purpose: :rollcall)", `{"id":7}`, nil, fixed},
		{"sha256.generate(user, expires_in: 600)", user, nil, began.Add(10 * time.Minute)},
		{"sha1.generate(user, expires_at: Time.at(1_000_000_000))", "", ErrExpired, anyTime},
		{"sha256.generate(user, expires_in: -1)", "", ErrExpired, anyTime},
		{"sha1.generate(user, purpose: :password_reset)", "", ErrAudience, anyTime},
		{"sha256.generate(user, purpose: :password_reset, expires_in: 600)", "", ErrAudience, anyTime},
		{"stranger.generate(user)", "", ErrSignature, anyTime},
		{"sha512.generate(user)", "", ErrSignature, anyTime},
		{"marshal.generate(user)", "", ErrMalformed, anyTime},
		{"marshal.generate(user, expires_in: 600)", "", ErrMalformed, anyTime},
		{"urlsafe('SHA1', user)", user, nil, anyTime},
		{"urlsafe('SHA256', user, expires_at: fixed)", user, nil, fixed},
		// The envelope of 7.1, which signs it as any other value.
		{"sha256.generate({_rails: {data: user, exp: fixed.utc.iso8601(3), pur: 'rollcall'}})", user, nil, fixed},
		{"sha256.generate({_rails: {data: user, pur: 'login'}})", "", ErrAudience, anyTime},
		{"sha256.generate(user, expires_in: 3600, purpose: :rollcall)", user, nil, began.Add(time.Hour)},
		{"jwt({alg: 'HS256', typ: 'JWT'}, {user: user, exp: fixed.to_i})", user, nil, fixed},
		{"jwt({alg: 'HS256'}, {sub: '7', iat: Time.now.to_i, exp: fixed.to_i})", `{"id":"7"}`, nil, fixed},
		{"jwt({alg: 'HS256'}, {user: user, exp: Time.now.to_i - 1})", "", ErrExpired, anyTime},
		{"jwt({alg: 'none'}, {user: user, exp: fixed.to_i})", "", ErrSignature, anyTime},
	}
	calls := make([]string, len(cases))
	for i, c := range cases {
		calls[i] = c.ruby
	}
	tokens := runRuby(t, calls)
	for i, c := range cases {
		t.Run(c.ruby, func(t *testing.T) {
			if c.user == "" {
				refused(t, ours, tokens[i], time.Now(), c.why)
				return
			}
			who, err := ours.Verify(tokens[i], time.Now())
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if string(who.User) != c.user {
				t.Errorf("user is %s, not %s", who.User, c.user)
			}
			// An expires_in counts from when Ruby ran, after began.
			if late := who.Expires.Sub(c.expires); late < 0 || late > time.Since(began) || c.expires == fixed && late != 0 {
				t.Errorf("expires %v, not %v", who.Expires, c.expires)
			}
			if !c.expires.IsZero() {
				refused(t, ours, tokens[i], who.Expires, ErrExpired)
			}
		})
	}
}

// tools are what the calls of TestRuby use.
const tools = `
require 'active_support'
require 'active_support/message_verifier'
require 'active_support/json'
require 'active_support/time'
require 'base64'
require 'json'
require 'openssl'

SECRET = ENV.fetch('AUTH_SECRET')
USER = {id: 7, name: 'Ann <é>'}
# ActiveSupport::JSON, which older versions have to be adapted for.
module Rails
  def self.dump(value) = ActiveSupport::JSON.encode(value)
  def self.load(text) = ActiveSupport::JSON.decode(text)
end
def verifier(digest, serializer = JSON, secret: SECRET, **more)
  ActiveSupport::MessageVerifier.new(secret, digest: digest, serializer: serializer, **more)
end
def user = USER
def fixed = Time.at(4_000_000_000)
def sha1 = verifier('SHA1')
def sha256 = verifier('SHA256')
def sha512 = verifier('SHA512')
def active = verifier('SHA256', Rails)
def marshal = verifier('SHA1', Marshal)
def stranger = verifier('SHA1', secret: 'another secret of that length')

# URL-safe tokens: by itself where this version can, else in its place.
def urlsafe(digest, value, **metadata)
  if ActiveSupport.version >= Gem::Version.new('7.1')
    return verifier(digest, url_safe: true).generate(value, **metadata)
  end
  strict = verifier(digest)
  data = strict.generate(value, **metadata).split('--').first
  data = Base64.urlsafe_encode64(Base64.strict_decode64(data), padding: false)
  "#{data}--#{strict.send(:generate_digest, data)}"
end

def jwt(header, payload)
  text = [header, payload].map { |part| Base64.urlsafe_encode64(JSON.generate(part), padding: false) }.join('.')
  signature = OpenSSL::HMAC.digest('SHA256', SECRET, text)
  "#{text}.#{Base64.urlsafe_encode64(signature, padding: false)}"
end

`

// runRuby returns what the calls return.
func runRuby(t *testing.T, calls []string) []string {
	t.Helper()
	if out, err := exec.Command("ruby", "-ractive_support", "-e", "puts ActiveSupport.version").CombinedOutput(); err != nil {
		t.Fatalf("this test needs Ruby with ActiveSupport (on Debian: apt-get install ruby-activesupport, as make test does): %v\n%s", err, out)
	} else {
		t.Logf("ActiveSupport %s", out)
	}
	var stderr bytes.Buffer
	ruby := exec.CommandContext(t.Context(), "ruby", "-Eutf-8", "-e",
		fmt.Sprintf("%sputs JSON.generate([%s])", tools, strings.Join(calls, ",\n")))
	ruby.Env = append(os.Environ(), "AUTH_SECRET="+secret)
	ruby.Stderr = &stderr
	out, err := ruby.Output()
	if err != nil {
		t.Fatalf("ruby: %v\n%s", err, &stderr)
	}
	var tokens []string
	if err := json.Unmarshal(out, &tokens); err != nil || len(tokens) != len(calls) {
		t.Fatalf("ruby made %d tokens of %d (%v): %s", len(tokens), len(calls), err, out)
	}
	return tokens
}
