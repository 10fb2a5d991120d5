// Package public serves what browsers load: the page at /, the element
// <rollcall-online> as /rollcall.js and /rollcall.mjs, and the official Socket.IO
// client below /socket.io/. `make build` makes these files from the sources here
// (build.mjs); they are embedded, and only the ones named here are served. The
// package knows nothing of presence, sockets or configuration.
package public

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed dist
var embedded embed.FS

// dist is what was built: nothing but a README in a clone of the repository.
var dist, _ = fs.Sub(embedded, "dist")

const (
	// clientPath is where Socket.IO servers have the browser client.
	clientPath = "/socket.io/"

	notBuilt = "This file is not part of this build: run `make build`, which needs Node.js, and start bin/rollcall.\n"
	nothing  = "There is nothing here. The page is at /."
)

// hostPort is what may be repeated from a Host header into a policy.
var hostPort = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// served is every file by its path.
var served = func() map[string]file {
	all := map[string]file{"/": {name: "index.html"}}
	for _, name := range []string{"page.css", "page.css.map", "page.js", "page.js.map", "icon.svg"} {
		all["/"+name] = file{name: name}
	}
	for _, name := range []string{"rollcall.js", "rollcall.mjs"} {
		all["/"+name] = file{name, true}
		all["/"+name+".map"] = file{name + ".map", true}
	}
	for _, name := range []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"} {
		all[clientPath+name] = file{name, true}
		all[clientPath+name+".map"] = file{name + ".map", true}
	}
	return all
}()

// A file has a name in dist; if it is shared, pages of other origins load it.
type file struct {
	name   string
	shared bool
}

// IsBuilt reports whether this build has the files that browsers load.
func IsBuilt() bool {
	_, err := fs.Stat(dist, "index.html")
	return err == nil
}

// IsClient reports whether a path is that of one of the official client's files,
// built or not.
func IsClient(path string) bool {
	_, ok := served[path]
	return ok && strings.HasPrefix(path, clientPath)
}

// Handler serves the page, the element and the official client. A file that was
// not built is answered with 404 and what to do about it.
func Handler() http.Handler { return handlerOf(dist) }

func handlerOf(dist fs.FS) http.Handler {
	// Read when first asked for: they are 1.6 MB, and most instances never are.
	assets := make(map[string]func() *asset, len(served))
	for path, f := range served {
		assets[path] = sync.OnceValue(func() *asset { return newAsset(dist, f) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy(r.Host))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		message := nothing
		if load := assets[r.URL.Path]; load != nil {
			if a := load(); a != nil {
				a.ServeHTTP(w, r)
				return
			}
			message = notBuilt
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, message, http.StatusNotFound)
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

// types are the content types of what is served; the system's own table differs
// by machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".map":  "application/json",
	".svg":  "image/svg+xml",
}

// An asset is one file as it is sent: immutable, hashed once, and compressed
// once, on the first request for that.
type asset struct {
	body    []byte
	kind    string
	tag     string
	shared  bool
	gzipped func() []byte
}

// newAsset reads a file; nil: it is not there.
func newAsset(dist fs.FS, f file) *asset {
	body, err := fs.ReadFile(dist, f.name)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(body)
	return &asset{
		body: body, kind: types[path.Ext(f.name)], tag: hex.EncodeToString(sum[:12]), shared: f.shared,
		gzipped: sync.OnceValue(func() []byte {
			var out bytes.Buffer
			zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
			zip.Write(body) // a bytes.Buffer takes everything
			zip.Close()
			return out.Bytes()
		}),
	}
}

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD are answered here.", http.StatusMethodNotAllowed)
		return
	}
	body, tag := a.body, a.tag
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = a.gzipped(), a.tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(body))) // http.ServeContent does not where there is an encoding
	h.Set("ETag", `"`+tag+`"`)
	if a.shared { // other sites' visitors may keep it for a while
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	} else { // the parts of the page must be of one version
		h.Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads an Accept-Encoding header; "gzip;q=0" is a refusal.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		q := strings.TrimPrefix(strings.TrimSpace(params), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return err != nil || weight > 0
	}
	return false
}
