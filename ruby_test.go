package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/redistest"
	socketio "rollcall/e2e/client"
	"rollcall/e2e/program"
)

// The Ruby of the documents is run unchanged against a live server. What
// belongs to the application around it is given here.

// TestRuby runs the Ruby of docs/reference/redis-keys.md: it must list who is online.
func TestRuby(t *testing.T) {
	blocks := rubyOf(t, "docs/reference/redis-keys.md")
	if len(blocks) != 3 {
		t.Fatalf("redis-keys.md has %d blocks of Ruby; this test knows of three, which set users, names and ids", len(blocks))
	}
	script := "require 'redis'; require 'json'\n" + strings.Join(blocks, "") +
		"puts users.map { |u| u['name'] }.sort.join(','), ids.sort.join(','), names.join(',')\n"
	server := redistest.Start(t)
	base, _, _ := serve(t, map[string]string{"REDIS_URL": server.URL()})
	for _, user := range []string{`{"id":1,"name":"Ann"}`, `{"id":2,"name":"Bob"}`, `{"id":1,"name":"Ann"}`} {
		listen(t, base, `["register",`+user+`]`, `["join",{"room":"lobby","user":`+user+`}]`)
	}
	eventually(t, "three sockets are in Redis", func() bool {
		return server.Do("HLEN", "{rollcall}:users") == int64(3) && server.Do("HLEN", "{rollcall}:room:lobby:users") == int64(3)
	})
	out, err := ruby(script, "REDIS_URL="+server.URL())
	if err != nil || out != "Ann,Bob\n1,2\nAnn,Bob\n" && out != "Ann,Bob\n1,2\nBob,Ann\n" {
		t.Errorf("%v: %s\n%s", err, out, script)
	}
}

// application is what a Rails app has, as far as the documents use it.
const application = `
require "logger"
module Rails
  def self.logger = @logger ||= Logger.new(File::NULL)
end
class ApplicationController
  User = Struct.new(:id)
  def request = Struct.new(:env).new({})
  def current_user = User.new(7)
  def reset_session = puts("session reset")
  def login_path = "/login"
  def redirect_to(path) = puts("to #{path}")
  def logger = self
  def warn(text) = puts(text)
end
class Message < Struct.new(:id, :username, :content, :timestamp, :secret)
  def as_json(only:) = to_h.slice(*only)
end
class Room
  def name = "lobby"
  def messages = self
  def create!(username:, content:) = Message.new(1042, username, content, "2026-01-02T03:04:05.678Z", "secret")
end
room, session, params = Room.new, { username: "Ada" }, { content: "kept by the app" }
`

// TestRubyOverHTTP runs the Ruby of docs/how-to/call-from-your-app.md and
// migrate/sinatra.md, which speaks to Rollcall over HTTP.
func TestRubyOverHTTP(t *testing.T) {
	blocks := rubyOf(t, "docs/how-to/call-from-your-app.md", "client", "list", "emit", "sign-out")
	archive := rubyOf(t, "docs/how-to/migrate/sinatra.md", "archive")
	client, list, emit, signOut := blocks[0], blocks[1], blocks[2], blocks[3]
	index := list + "\nputs UsersController.new.tap(&:index).instance_variable_get(:@online).map { |user| user['name'] }.inspect\n"

	base, _, _ := serve(t, map[string]string{"API_KEY": "the-key-of-this-test"})
	online := func(users string) func() bool {
		return func() bool {
			_, body := get(base + "/api/online_users/count")
			return strings.Contains(body, `"users":`+users)
		}
	}
	ada := listen(t, base, `["register",{"id":7,"name":"Ada"}]`)
	eventually(t, "Ada is online", online("1"))
	bob := listen(t, base, `["register",{"id":"b/8?","name":"Bob"}]`, `["join",{"room":"lobby"}]`)
	eventually(t, "both are online", online("2"))
	eventually(t, "Bob is in the lobby", func() bool { return strings.Contains(bob.String(), `"user_list"`) })

	script := client + application + index + emit + archive[0] + `
puts Rollcall.user("b/8?").slice("id", "online", "status").inspect
begin
  Rollcall.emit("connect")
rescue Rollcall::Refused => refused
  puts refused.message[/\A\w+/]
end
` + signOut + "SessionsController.new.destroy\n"
	out, err := ruby(script, "ROLLCALL_URL="+base, "ROLLCALL_API_KEY=the-key-of-this-test")
	want := `["Ada", "Bob"]
{"id"=>"b/8?", "online"=>true, "status"=>"active"}
bad_event
session reset
to /login
`
	if err != nil || out != want {
		t.Fatalf("%v: got\n%swant\n%s", err, out, want)
	}
	const notice, shipped, topic = `["notice",{"text":"We restart at noon"}]`, `["order_shipped",{"number":1042}]`, `["topic","Tracks for Sunday"]`
	const kept = `["message",{"room":"lobby","data":{"id":1042,"username":"Ada","content":"kept by the app","timestamp":"2026-01-02T03:04:05.678Z"}}]`
	type delivery struct {
		user     string
		received *program.Log
		event    string
	}
	for _, one := range []delivery{
		{"Ada", ada, notice}, {"Ada", ada, shipped}, {"Ada", ada, `["signed_out"]`},
		{"Bob", bob, notice}, {"Bob", bob, topic}, {"Bob", bob, kept},
		{"Bob", bob, `["remove_user",{"id":7,"name":"Ada"},{"reason":"signed_out"}]`},
	} {
		eventually(t, one.user+" gets "+one.event, func() bool { return strings.Contains(one.received.String(), one.event) })
	}
	// Both have the last event: what is not here by now never comes.
	for _, one := range []delivery{{"Ada", ada, topic}, {"Ada", ada, kept}, {"Bob", bob, shipped}, {"Bob", bob, `["signed_out"]`}} {
		if strings.Contains(one.received.String(), one.event) {
			t.Errorf("%s gets %s", one.user, one.event)
		}
	}
	// Without the right key, and without Rollcall.
	out, err = ruby(client+"Rollcall.sign_out(7) rescue puts $!.class, $!.message[/\\A\\w+/]", "ROLLCALL_URL="+base, "ROLLCALL_API_KEY=another")
	if err != nil || out != "Rollcall::Refused\nunauthorized\n" {
		t.Errorf("%v: %s", err, out)
	}
	out, err = ruby(client+application+index, "ROLLCALL_URL=http://127.0.0.1:"+program.FreePort(t), "ROLLCALL_API_KEY=any")
	if err != nil || !strings.HasPrefix(out, "rollcall: ") || !strings.HasSuffix(out, "\n[]\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// rubyOf returns a document's blocks of Ruby: those of the names, in their
// order, or, without names, those that have none.
func rubyOf(t *testing.T, doc string, names ...string) []string {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		names = []string{""}
	}
	var blocks []string
	for _, name := range names {
		fence := "```ruby"
		if name != "" {
			fence += " " + name
		}
		found := regexp.MustCompile("(?ms)^"+regexp.QuoteMeta(fence)+"\n(.*?)^```$").FindAllSubmatch(text, -1)
		if len(found) == 0 || name != "" && len(found) > 1 {
			t.Fatalf("%s has %d blocks %q", doc, len(found), fence)
		}
		for _, block := range found {
			blocks = append(blocks, string(block[1]))
		}
	}
	return blocks
}

func ruby(script string, env ...string) (string, error) {
	cmd := exec.Command("ruby", "-e", script)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// listen connects a client that emits the events, and returns a log of those that it
// receives.
func listen(t *testing.T, base string, events ...string) *program.Log {
	t.Helper()
	received := &program.Log{}
	c, err := socketio.New(base, "", socketio.Handlers{Event: func(_ time.Time, _ string, event []byte) { received.Write(event) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, event := range events {
		if err := c.Send("42" + event); err != nil {
			t.Fatal(err)
		}
	}
	return received
}
