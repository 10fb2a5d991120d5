package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A route is a path of the API. A segment in braces matches any text that is not
// empty.
type route struct {
	segments []string
	methods  methods
}

// routes finds the route of a path. http.ServeMux would redirect paths with the
// segments "." and "..", which are valid ids.
type routes []route

func (rs *routes) handle(path string, m methods) {
	*rs = append(*rs, route{strings.Split(path, "/"), m})
}

func (rs routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for _, one := range rs {
		if one.matches(r, segments) {
			one.methods.ServeHTTP(w, r)
			return
		}
	}
	fail(w, http.StatusNotFound, "not_found", "There is no such path: /api/openapi.json describes what there is.")
}

// matches compares the percent-encoded segments of a path and sets the request's path
// values.
func (one route) matches(r *http.Request, segments []string) bool {
	if len(segments) != len(one.segments) {
		return false
	}
	for i, pattern := range one.segments {
		value, err := url.PathUnescape(segments[i])
		name, isAny := strings.CutPrefix(pattern, "{")
		switch {
		case err != nil, !isAny && value != pattern, isAny && value == "":
			return false
		case isAny:
			r.SetPathValue(strings.TrimSuffix(name, "}"), value)
		}
	}
	return true
}

// methods has the handlers of one path. HEAD is handled as GET: net/http drops the
// body.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Method
	if name == http.MethodHead {
		name = http.MethodGet
	}
	if handle := m[name]; handle != nil {
		handle(w, r)
		return
	}
	var allowed []string
	for name := range m {
		if allowed = append(allowed, name); name == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	fail(w, http.StatusMethodNotAllowed, "method_not_allowed", "Only "+allow+" can be used here.")
}
