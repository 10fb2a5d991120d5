package public

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

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
