package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// An application on Rack and Puma, with the controllers and the hook of
// docs/how-to/call-from-your-app.md unchanged: signing out must remove the session's cookie
// before Rollcall sends the page an event, and must work without Rollcall.

// rackApplication is what the documents take as given. A request with the
// header Gate is answered when that URL is: the answer is ready by then, as if
// the app and what stands before it were slow.
const rackApplication = `
require "rack"
require "warden"
require "logger"
module Rails
  def self.logger = @logger ||= Logger.new($stderr)
end
User = Struct.new(:id)
class ApplicationController
  attr_reader :request, :response
  def initialize(env) = (@request, @response = Rack::Request.new(env), Rack::Response.new)
  def current_user = request.env["warden"].user
  def reset_session = request.session.clear
  def login_path = "/login"
  def redirect_to(path) = response.redirect(path)
  def self.answer(env) = new(env).tap(&:destroy).response.finish
end
%s
# Calls Rollcall at once, as the documents once said: the test has to notice it.
class TooEarly < ApplicationController
  def destroy
    Rollcall.sign_out(current_user.id, after: "0s")
    reset_session
    redirect_to login_path
  end
end
class Gate
  def initialize(app) = @app = app
  def call(env) = @app.call(env).tap { Net::HTTP.get(URI(env["HTTP_GATE"])) if env["HTTP_GATE"] }
end
Warden::Manager.serialize_into_session(&:id)
Warden::Manager.serialize_from_session { |id| User.new(id) }
APP = Rack::Builder.app do
  use Gate
  use Rack::Session::Cookie, secret: "a secret of this test, long enough for Rack" * 2
  use Warden::Manager
  run lambda { |env|
    case env["PATH_INFO"]
    when "/sign_in" then env["warden"].set_user(User.new(7))
    when "/me" then return [200, {}, [env["warden"].user ? "signed in" : "nobody"]]
    when "/sign_out" then return SessionsController.answer(env)
    when "/devise" # what Devise does to sign out
      env["warden"].user(run_callbacks: false)
      env["warden"].logout
    when "/too_early" then return TooEarly.answer(env)
    end
    [200, {}, ["done"]]
  }
end
`

// rubyApp is the application, with Rollcall at base.
func rubyApp(t *testing.T) string {
	t.Helper()
	blocks := rubyOf(t, "docs/how-to/call-from-your-app.md", "client", "sign-out", "devise")
	return fmt.Sprintf(rackApplication, strings.Join(blocks, "\n"))
}

// startPuma serves the application and returns its address.
func startPuma(t *testing.T, rollcall string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.ru")
	if err := os.WriteFile(config, []byte(rubyApp(t)+"\nrun APP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := program.FreePort(t)
	cmd := exec.Command("puma", "--quiet", "--threads", "2:4", "--bind", "tcp://127.0.0.1:"+port, config)
	cmd.Env = append(os.Environ(), "ROLLCALL_URL="+rollcall, "ROLLCALL_API_KEY="+rackKey, "RACK_ENV=production")
	out := &program.Log{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Puma (on Debian: apt-get install puma ruby-rack ruby-warden, as make test does): %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("puma:\n%s", out)
		}
	})
	app := "http://127.0.0.1:" + port
	eventually(t, "Puma answers", func() bool { _, body := get(app + "/me"); return body == "nobody" })
	return app
}

const rackKey = "the-key-of-this-test"

// A visit is a browser that is signed in at the app and listens at Rollcall.
type visit struct {
	t        *testing.T
	app      string
	web      *http.Client
	received *program.Log
}

func signIn(t *testing.T, app, rollcall string) *visit {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	v := &visit{t: t, app: app, web: &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	v.get("/sign_in", "")
	v.sees("signed in")
	if rollcall != "" {
		v.received = listen(t, rollcall, `["register",{"id":7,"name":"Ada"}]`)
		eventually(t, "Ada is listed", func() bool { return strings.Contains(v.received.String(), `"online_users"`) })
	}
	return v
}

// get requests a path of the app, through a gate if there is one, and returns the status
// and up to 100 bytes of the answer.
func (v *visit) get(path, gate string) (int, string) {
	v.t.Helper()
	request, _ := http.NewRequestWithContext(v.t.Context(), "GET", v.app+path, nil)
	if gate != "" {
		request.Header.Set("Gate", gate)
	}
	response, err := v.web.Do(request)
	if err != nil {
		v.t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 100))
	return response.StatusCode, string(body)
}

// signsOut requests a path that redirects after signing out.
func (v *visit) signsOut(path, gate string) {
	v.t.Helper()
	if status, body := v.get(path, gate); status >= 400 {
		v.t.Errorf("%s = %d %s", path, status, body)
	}
}

// sees checks what the app answers to the browser: "signed in" or "nobody".
func (v *visit) sees(want string) {
	v.t.Helper()
	if _, body := v.get("/me", ""); body != want {
		v.t.Errorf("the app says %q, want %q", body, want)
	}
}

func (v *visit) isSignedOut() bool { return strings.Contains(v.received.String(), `["signed_out"]`) }

// TestSignOutAfterTheResponse delays the app's answer when it is ready, and checks which
// reaches the browser first: the answer or Rollcall's event.
func TestSignOutAfterTheResponse(t *testing.T) {
	rollcall, _, _ := serve(t, map[string]string{"API_KEY": rackKey})
	app := startPuma(t, rollcall)

	// overtaken signs out by that path and reports whether the event came first.
	overtaken := func(path string, until func(*visit)) bool {
		v := signIn(t, app, rollcall)
		ready, open := make(chan struct{}), make(chan struct{})
		gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(ready); <-open }))
		defer gate.Close()
		first := make(chan bool, 1)
		go func() {
			v.signsOut(path, gate.URL)
			first <- v.isSignedOut()
		}()
		select {
		case <-ready:
		case <-first:
			t.Fatalf("%s: the app has failed", path)
		}
		until(v)
		close(open)
		eventFirst := <-first
		v.sees("nobody")
		eventually(t, path+": the page gets the event", v.isSignedOut)
		return eventFirst
	}
	if !overtaken("/too_early", func(v *visit) { eventually(t, "the event comes", v.isSignedOut) }) {
		t.Error("control: sent at once, the event has to overtake the answer")
	}
	for _, path := range []string{"/sign_out", "/devise"} {
		// Rollcall is not called before the answer is sent, however long that takes.
		if overtaken(path, func(v *visit) { stillListed(t, rollcall, v) }) {
			t.Errorf("%s: the event came before the answer that removes the cookie", path)
		}
	}
}

// stillListed asks Rollcall whether the user is online, and the page.
func stillListed(t *testing.T, rollcall string, v *visit) {
	t.Helper()
	if _, body := get(rollcall + "/api/users/7"); !strings.Contains(body, `"online":true`) || v.isSignedOut() {
		t.Errorf("signed out before the answer was sent: %s", body)
	}
}

// TestSignOutByOtherServers runs the samples without Puma: with the list of a
// server of Rack 3, and without any.
func TestSignOutByOtherServers(t *testing.T) {
	rollcall, _, _ := serve(t, map[string]string{"API_KEY": rackKey})
	script := rubyApp(t) + `
session = Rack::MockRequest.new(APP).get("/sign_in")["Set-Cookie"][/[^;]+/]
sent = []
ask = ->(env) { sent.clear; Rack::MockRequest.new(APP).get("/sign_out", "HTTP_COOKIE" => session, **env) }
Rollcall.singleton_class.prepend(Module.new { def sign_out(id, **) = super.tap { $called = true } })
later = []
answer = ask.("rack.response_finished" => later)
puts [answer.status, answer["Location"], $called.inspect].join(" ")
later.each { |one| one.call({}, 302, {}, nil) }
puts $called.inspect
$called = nil
puts [ask.({}).status, $called.inspect].join(" ")
`
	out, err := ruby(script, "ROLLCALL_URL="+rollcall, "ROLLCALL_API_KEY="+rackKey)
	if want := "302 /login nil\ntrue\n302 true\n"; err != nil || out != want {
		t.Errorf("%v: got\n%swant\n%s", err, out, want)
	}
}

// TestSignOutWithoutRollcall signs out of an app whose Rollcall is gone, does not answer, is
// another server, or has another key.
func TestSignOutWithoutRollcall(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // takes connections, and never answers
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		w.Write([]byte("<html>Bad gateway</html>"))
	}))
	defer page.Close()
	refusing, _, _ := serve(t, map[string]string{"API_KEY": "another-key-than-the-app-has"})
	for name, rollcall := range map[string]string{
		"gone": "http://127.0.0.1:" + program.FreePort(t), "silent": "http://" + silent.Addr().String(),
		"a proxy's error": page.URL, "another key": refusing,
	} {
		t.Run(name, func(t *testing.T) {
			app := startPuma(t, rollcall)
			for _, path := range []string{"/sign_out", "/devise"} {
				v := signIn(t, app, "")
				v.signsOut(path, "")
				v.sees("nobody")
			}
			// Control: without the samples' care it is an error, and the user stays signed in.
			v := signIn(t, app, "")
			if status, body := v.get("/too_early", ""); status != 500 {
				t.Errorf("control: %d %s", status, body)
			}
			v.sees("signed in")
		})
	}
}
