package public

import (
	"bytes"
	"compress/gzip"
	"io"
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

// built has every file that is served, each with its own name as content, and one
// that is not served.
func built() fstest.MapFS {
	files := fstest.MapFS{"README.md": {}}
	for _, f := range served {
		files[f.name] = &fstest.MapFile{Data: bytes.Repeat([]byte(f.name+"\n"), 100)}
	}
	return files
}

func TestEveryFile(t *testing.T) {
	h := handlerOf(built())
	for path, f := range served {
		r := ask(t, h, "GET", path)
		if got := body(t, r); r.StatusCode != 200 || !strings.HasPrefix(got, f.name+"\n") {
			t.Errorf("GET %s = %d %.40q", path, r.StatusCode, got)
		}
		want := map[string]string{
			"Content-Length": r.Header.Get("Content-Length"), "ETag": r.Header.Get("ETag"), "Vary": "Accept-Encoding",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "", "Cross-Origin-Resource-Policy": "",
		}
		if strings.Contains(path, "rollcall") || strings.HasPrefix(path, "/socket.io/") { // other sites load these
			want["Cache-Control"], want["Access-Control-Allow-Origin"], want["Cross-Origin-Resource-Policy"] = "public, max-age=3600", "*", "cross-origin"
		}
		head := ask(t, h, "HEAD", path)
		if head.StatusCode != 200 || body(t, head) != "" || want["Content-Length"] == "" || want["ETag"] == "" {
			t.Errorf("HEAD %s = %d %v", path, head.StatusCode, head.Header)
		}
		for name, want := range want {
			if got := head.Header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got, want)
			}
		}
		if IsClient(path) != strings.HasPrefix(path, "/socket.io/") {
			t.Errorf("IsClient(%s) = %t", path, IsClient(path))
		}
	}
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml",
		"/rollcall.js": "text/javascript; charset=utf-8", "/rollcall.mjs": "text/javascript; charset=utf-8", "/rollcall.mjs.map": "application/json",
		"/socket.io/socket.io.esm.min.js": "text/javascript; charset=utf-8", "/socket.io/socket.io.min.js.map": "application/json",
	} {
		if got := ask(t, h, "GET", path).Header.Get("Content-Type"); got != kind {
			t.Errorf("%s is %s, want %s", path, got, kind)
		}
	}
}

func TestPolicy(t *testing.T) {
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self' ws://rollcall.test:8000 wss://rollcall.test:8000; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := ask(t, handlerOf(built()), "GET", "/").Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy = %s\nwant %s", got, want)
	}
	for _, host := range []string{"", "a;script-src *", "a b", "[::1]:8000", "a\r\nb", "*"} {
		if got := policy(host); !strings.Contains(got, "connect-src 'self'; ") {
			t.Errorf("host %q got into the policy: %s", host, got)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	h := handlerOf(built())
	for _, path := range []string{"/embed.go", "/js", "/js/el.js", "/dist", "/dist/", "/dist/README.md", "/README.md", "/socket.io.js", "/socket.io/", "/socket.io/README.md",
		"/socket.io/socket.io.esm.js", "/socket.io/1/socket.io.js", "/.git/config", "/index.html", "/index.html/..", "/js/../embed.go", "//", "/build.mjs", ""} {
		r := ask(t, h, "GET", path)
		if r.StatusCode != 404 || r.Header.Get("Cache-Control") != "no-store" || IsClient(path) {
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

// A build with Go alone says what to do.
func TestNotBuilt(t *testing.T) {
	h := handlerOf(fstest.MapFS{"README.md": {}})
	for path := range served {
		r := ask(t, h, "GET", path)
		if text := body(t, r); r.StatusCode != 404 || r.Header.Get("Cache-Control") != "no-store" || !strings.Contains(text, "make build") {
			t.Errorf("GET %s = %d %q", path, r.StatusCode, text)
		}
	}
}

func TestRevalidationAndGzip(t *testing.T) {
	h := handlerOf(built())
	plain := ask(t, h, "GET", "/rollcall.js")
	text := body(t, plain)
	zipped := ask(t, h, "GET", "/rollcall.js", "Accept-Encoding", "br, gzip;q=0.8")
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("Content-Length") == plain.Header.Get("Content-Length") {
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
	if etag == zipTag {
		t.Errorf("two representations have the tag %s", etag)
	}
	for header, want := range map[string]int{etag: 304, `"x", W/` + etag: 304, "*": 304, `"x"`: 200, zipTag: 200, "": 200} {
		r := ask(t, h, "GET", "/rollcall.js", "If-None-Match", header)
		if r.StatusCode != want || (want == 304) != (body(t, r) == "") {
			t.Errorf("If-None-Match %s = %d, want %d", header, r.StatusCode, want)
		}
	}
}

// What `make build` made, if it did: whatever the page refers to is there, and the
// official client is npm's.
func TestBuilt(t *testing.T) {
	if !IsBuilt() {
		t.Skip("make client")
	}
	h := Handler()
	for path := range served {
		if r := ask(t, h, "GET", path); r.StatusCode != 200 {
			t.Errorf("GET %s = %d", path, r.StatusCode)
		}
	}
	page := body(t, ask(t, h, "GET", "/"))
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 3 {
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
	client, err := os.ReadDir("../node_modules/socket.io-client/dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range client {
		want, _ := os.ReadFile("../node_modules/socket.io-client/dist/" + file.Name())
		if r := ask(t, h, "GET", clientPath+file.Name()); r.StatusCode != 200 || body(t, r) != string(want) {
			t.Errorf("GET %s = %d", clientPath+file.Name(), r.StatusCode)
		}
	}
}
