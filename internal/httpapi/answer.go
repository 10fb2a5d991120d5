package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// answer writes a value as JSON.
func answer(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil { // our own types: a bug
		panic(err)
	}
	write(w, append(body, '\n'))
}

func write(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// tagged remembers the entity tag of the last body, so that one that has not
// changed is not hashed again.
type tagged struct{ last atomic.Pointer[taggedBody] }

type taggedBody struct {
	body []byte
	tag  string
}

// answer writes the body, or that the client has it already. The tag follows
// from the body alone: it is the same on all instances.
func (t *tagged) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	now := t.last.Load()
	if now == nil || !sameSlice(now.body, body) {
		sum := sha256.Sum256(body)
		now = &taggedBody{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
		t.last.Store(now)
	}
	w.Header().Set("ETag", now.tag)
	w.Header().Set("Cache-Control", "private, no-cache") // may be kept, is to be checked each time
	if hasTag(r.Header.Values("If-None-Match"), now.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, body)
}

// sameSlice needs no comparison of bytes: what is in use is not allocated anew.
func sameSlice(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// hasTag reads If-None-Match: entity tags, or a star for any. Weak ones count
// as well, since proxies that compress make them so. At the first thing that
// is no tag it stops.
func hasTag(headers []string, tag string) bool {
	for _, rest := range headers {
		for {
			rest = strings.TrimLeft(rest, " \t,")
			if rest == "*" {
				return true
			}
			rest = strings.TrimPrefix(rest, "W/")
			if !strings.HasPrefix(rest, `"`) {
				break
			}
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				break
			}
			if rest[:end+2] == tag {
				return true
			}
			rest = rest[end+2:]
		}
	}
	return false
}
