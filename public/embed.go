// Package public is what browsers load: the page at /, the drop-in script
// rollcall.js and the official Socket.IO client. It lives in the binary and
// knows nothing of presence, sockets or configuration; only files that are
// named here are ever served. Standard library only.
package public

import (
	"embed"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed index.html page.css page.js icon.svg rollcall.js js/*.js client
var files embed.FS

const (
	// fresh asks browsers to revalidate: the page and its modules must be of
	// one version.
	fresh = "no-cache"
	// shared lets other sites' visitors keep what they load from here a while.
	shared = "public, max-age=3600"

	// clientPath is where Socket.IO servers have the browser client.
	clientPath = "/socket.io/"

	notBuilt = "The Socket.IO browser client is not part of this build. " +
		"Run `npm ci && npm run build` in Rollcall's directory and build the server again. " +
		"The page and rollcall.js work without it.\n"
)

// hostPort is what may be repeated from a Host header into a policy.
var hostPort = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// Handler serves the page, its assets and /rollcall.js.
func Handler() http.Handler {
	site := map[string]*asset{
		"/":            newAsset("index.html", read("index.html"), fresh),
		"/rollcall.js": newAsset("rollcall.js", bundle("rollcall.js"), shared).crossOrigin(),
	}
	for _, name := range []string{"page.css", "page.js", "icon.svg"} {
		site["/"+name] = newAsset(name, read(name), fresh)
	}
	modules, _ := fs.Glob(files, "js/*.js")
	for _, name := range modules {
		site["/"+name] = newAsset(name, read(name), fresh)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy(r.Host))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if a := site[r.URL.Path]; a != nil {
			a.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "There is nothing here. The page is at /.", http.StatusNotFound)
	})
}

// HasClient tells whether the official client was built in.
func HasClient() bool {
	_, err := fs.Stat(files, "client/socket.io.min.js")
	return err == nil
}

// clientFiles are the official client's, all of its dist folder.
var clientFiles = []string{
	"socket.io.js", "socket.io.js.map",
	"socket.io.min.js", "socket.io.min.js.map",
	"socket.io.esm.min.js", "socket.io.esm.min.js.map",
	"socket.io.msgpack.min.js", "socket.io.msgpack.min.js.map",
}

// IsClient tells whether a path is that of one of the official client's files,
// built in or not.
func IsClient(path string) bool {
	name, ok := strings.CutPrefix(path, clientPath)
	return ok && slices.Contains(clientFiles, name)
}

// Client serves the official browser client where Socket.IO servers have it:
// the paths that IsClient knows. What was not built in is answered with 404 and
// what to do about it.
func Client() http.Handler { return clientFrom(files) }

func clientFrom(built fs.FS) http.Handler {
	// Made when first asked for: they are 1.3 MB, and most instances are never asked.
	bundles := map[string]func() *asset{}
	for _, name := range clientFiles {
		if _, err := fs.Stat(built, "client/"+name); err == nil {
			bundles[clientPath+name] = sync.OnceValue(func() *asset {
				body, _ := fs.ReadFile(built, "client/"+name) // it is there
				return newAsset(name, body, shared).crossOrigin()
			})
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if bundle := bundles[r.URL.Path]; bundle != nil {
			bundle().ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, notBuilt, http.StatusNotFound)
	})
}

// policy is the page's Content-Security-Policy. Older browsers do not count
// WebSockets of the same host as 'self', so they are named.
func policy(host string) string {
	connect := "'self'"
	if hostPort.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src " + connect + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// read returns an embedded file. The names are constants, so a missing one is
// a mistake in this package.
func read(name string) []byte {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return body
}
