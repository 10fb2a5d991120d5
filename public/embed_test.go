package public

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func ask(t *testing.T, h http.Handler, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://rollcall.test:8000/", nil)
	r.URL.Path = target
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPage(t *testing.T) {
	h := Handler()
	r := ask(t, h, "GET", "/")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("GET / = %d %q", r.StatusCode, r.Header.Get("Content-Type"))
	}
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self' ws://rollcall.test:8000 wss://rollcall.test:8000; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := r.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy = %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
		"Access-Control-Allow-Origin": "", // the page itself is nobody else's
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	// Whatever the page refers to must be there.
	page := body(t, r)
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 5 {
		t.Fatalf("only %d links found in the page", len(links))
	}
	for _, link := range links {
		if got := ask(t, h, "GET", "/"+link[1]).StatusCode; got != 200 {
			t.Errorf("GET %s = %d", link[1], got)
		}
	}
	// The policy would block these, and a visitor would see half a page.
	if inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son\w+=`).FindString(page); inline != "" {
		t.Errorf("the page has inline code or style: %q", inline)
	}
}

func TestPolicyTakesNoStrangeHost(t *testing.T) {
	for _, host := range []string{"", "a;script-src *", "a b", "[::1]:8000", "a\r\nb", "*"} {
		if got := policy(host); !strings.Contains(got, "connect-src 'self'; ") {
			t.Errorf("host %q got into the policy: %s", host, got)
		}
	}
}

func TestModulesResolve(t *testing.T) {
	h := Handler()
	names, _ := fs.Glob(files, "js/*.js")
	for _, name := range append(names, "page.js") {
		for line := range strings.Lines(string(read(name))) {
			if !strings.HasPrefix(line, "import ") {
				continue
			}
			m := importLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				t.Fatalf("%s: the bundler does not understand %q", name, line)
			}
			target := "/" + strings.TrimPrefix(m[1], "./")
			if !strings.HasPrefix(target, "/js/") {
				target = "/js" + target
			}
			if got := ask(t, h, "GET", target).StatusCode; got != 200 {
				t.Errorf("%s imports %s: %d", name, target, got)
			}
		}
	}
}

func TestDropInIsOneClassicScript(t *testing.T) {
	r := ask(t, Handler(), "GET", "/rollcall.js")
	if r.Header.Get("Access-Control-Allow-Origin") != "*" || r.Header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Errorf("other sites cannot load it: %v", r.Header)
	}
	script := body(t, r)
	if m := regexp.MustCompile(`(?m)^\s*(import|export)\b.*`).FindString(script); m != "" {
		t.Errorf("a classic script cannot have %q", m)
	}
	if !strings.HasPrefix(script, "(() => {") || !strings.HasSuffix(script, "})();\n") {
		t.Error("it leaks its names into the page")
	}
	at := func(name string) int {
		if n := strings.Count(script, "\n// "+name+"\n"); n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
		return strings.Index(script, "\n// "+name+"\n")
	}
	if !(at("js/person.js") < at("js/list.js") && at("js/list.js") < at("js/element.js") && at("js/element.js") < at("rollcall.js")) {
		t.Error("a module stands after its first user")
	}
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:const|let|function|async function|class) (\w+)`).FindAllStringSubmatch(script, -1) {
		if declared[m[1]] {
			t.Errorf("two modules declare %s; in one script they collide", m[1])
		}
		declared[m[1]] = true
	}
}

func TestNothingElseIsServed(t *testing.T) {
	h := Handler()
	for _, path := range []string{"/embed.go", "/js", "/js/", "/client", "/client/", "/client/README.md", "/client/socket.io.js",
		"/.git/config", "/index.html/..", "/js/../embed.go", "//", "/js/none.js", "/client.build.mjs", ""} {
		r := ask(t, h, "GET", path)
		if r.StatusCode != 404 || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %q = %d", path, r.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		r := ask(t, h, method, "/")
		if r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s / = %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

func TestHeadRevalidationAndGzip(t *testing.T) {
	h := Handler()
	plain := ask(t, h, "GET", "/rollcall.js")
	text := body(t, plain)
	head := ask(t, h, "HEAD", "/rollcall.js")
	if head.StatusCode != 200 || body(t, head) != "" || head.Header.Get("Content-Length") != plain.Header.Get("Content-Length") {
		t.Errorf("HEAD = %d, length %s", head.StatusCode, head.Header.Get("Content-Length"))
	}
	zipped := ask(t, h, "GET", "/rollcall.js", "Accept-Encoding", "br, gzip;q=0.8")
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("not compressed: %v", zipped.Header)
	}
	raw := body(t, zipped)
	unzip, err := gzip.NewReader(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(unzip); string(got) != text || len(raw) >= len(text)/2 {
		t.Errorf("%d bytes zipped are %d, and not the same text", len(raw), len(got))
	}
	if r := ask(t, h, "GET", "/rollcall.js", "Accept-Encoding", "gzip;q=0, identity"); r.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for a client that refuses gzip")
	}
	etag, zipTag := plain.Header.Get("ETag"), zipped.Header.Get("ETag")
	if etag == zipTag || etag == "" {
		t.Errorf("two representations, tags %s and %s", etag, zipTag)
	}
	for header, want := range map[string]int{etag: 304, `"x", W/` + etag: 304, "*": 304, `"x"`: 200, zipTag: 200, "": 200} {
		r := ask(t, h, "GET", "/rollcall.js", "If-None-Match", header)
		if r.StatusCode != want || (want == 304) != (body(t, r) == "") {
			t.Errorf("If-None-Match %s = %d, want %d", header, r.StatusCode, want)
		}
	}
}

func TestClient(t *testing.T) {
	js := bytes.Repeat([]byte("var io;"), 100)
	built := fstest.MapFS{
		"client/socket.io.js":         {Data: js},
		"client/socket.io.min.js":     {Data: js[:70]},
		"client/socket.io.min.js.map": {Data: []byte("{}")},

		"client/socket.io.esm.min.js":         {Data: js},
		"client/socket.io.esm.min.js.map":     {Data: []byte("{}")},
		"client/socket.io.msgpack.min.js":     {Data: js},
		"client/socket.io.msgpack.min.js.map": {Data: []byte("{}")},
		"client/README.md":                    {Data: []byte("not for the web")},
	}
	h := clientFrom(built)
	for path, kind := range map[string]string{
		"/socket.io/socket.io.js":         "text/javascript; charset=utf-8",
		"/socket.io/socket.io.min.js":     "text/javascript; charset=utf-8",
		"/socket.io/socket.io.min.js.map": "application/json",

		"/socket.io/socket.io.esm.min.js":         "text/javascript; charset=utf-8",
		"/socket.io/socket.io.esm.min.js.map":     "application/json",
		"/socket.io/socket.io.msgpack.min.js":     "text/javascript; charset=utf-8",
		"/socket.io/socket.io.msgpack.min.js.map": "application/json",
	} {
		if !IsClient(path) {
			t.Errorf("%s is not taken for the client's", path)
		}
		if head := ask(t, h, "HEAD", path); head.StatusCode != 200 || head.Header.Get("Content-Type") != kind || body(t, head) != "" {
			t.Errorf("HEAD %s = %d %v", path, head.StatusCode, head.Header)
		}
		r := ask(t, h, "GET", path)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != kind || r.Header.Get("Access-Control-Allow-Origin") != "*" ||
			r.Header.Get("Cross-Origin-Resource-Policy") != "cross-origin" || r.Header.Get("ETag") == "" {
			t.Errorf("GET %s = %d %v", path, r.StatusCode, r.Header)
		}
	}
	if got := body(t, ask(t, h, "GET", "/socket.io/socket.io.js")); got != string(js) {
		t.Error("the bundle is not what was built")
	}
	for _, path := range []string{"/socket.io/README.md", "/socket.io/socket.io.esm.js", "/socket.io/1/socket.io.js", "/socket.io.js", "/socket.io/"} {
		if IsClient(path) {
			t.Errorf("%s is taken for the client's", path)
		}
	}
	for _, path := range []string{"/socket.io/README.md", "/socket.io/socket.io.js.map", "/socket.io/1/socket.io.js", "/socket.io/"} {
		r := ask(t, h, "GET", path)
		if r.StatusCode != 404 || !strings.Contains(body(t, r), "npm run build") {
			t.Errorf("GET %s = %d", path, r.StatusCode)
		}
	}
	if r := ask(t, clientFrom(fstest.MapFS{}), "GET", "/socket.io/socket.io.js"); r.StatusCode != 404 {
		t.Errorf("a build without the bundle answers %d", r.StatusCode)
	}
}

// What npm has in the client's dist folder is what is served, if it was fetched.
func TestClientIsWhole(t *testing.T) {
	dist, err := os.ReadDir("../node_modules/socket.io-client/dist")
	if err != nil {
		t.Skip("the client was not fetched: make client")
	}
	h := Client()
	for _, file := range dist {
		path := clientPath + file.Name()
		want, _ := os.ReadFile("../node_modules/socket.io-client/dist/" + file.Name())
		if r := ask(t, h, "GET", path); r.StatusCode != 200 || body(t, r) != string(want) {
			t.Errorf("GET %s = %d", path, r.StatusCode)
		}
	}
}
