package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// A contract checks requests and answers against openapi.json, and records which of the
// described answers it has seen.
type contract struct {
	doc *openapi3.T

	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// theContract checks every request of the tests.
var theContract = loadContract()

func loadContract() *contract {
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err == nil {
		err = doc.Validate(context.Background())
	}
	if err != nil {
		panic(err)
	}
	return &contract{doc: doc, seen: map[string]bool{}}
}

// After all tests every described answer must have been seen.
func TestMain(m *testing.M) {
	status := m.Run()
	all := !slices.ContainsFunc([]string{"run", "skip", "list", "fuzz"}, func(name string) bool {
		return flag.Lookup("test."+name).Value.String() != ""
	})
	if all && status == 0 {
		for _, what := range theContract.unseen() {
			fmt.Fprintln(os.Stderr, "described, but never seen:", what)
			status = 1
		}
	}
	os.Exit(status)
}

// described names every answer and every error code of the description.
func (c *contract) described() map[string]bool {
	all := map[string]bool{}
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				all[method+" "+path+" "+status] = true
			}
		}
	}
	for _, code := range c.doc.Components.Schemas["Error"].Value.Properties["error"].Value.Enum {
		all["error "+code.(string)] = true
	}
	return all
}

func (c *contract) unseen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := c.described()
	for what := range c.seen {
		delete(missing, what)
	}
	return slices.Sorted(maps.Keys(missing))
}

func (c *contract) saw(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what] = true
}

// An exchange is a request and its answer.
type exchange struct {
	method, path string // path: percent-encoded, with the query
	header       http.Header
	body         string

	status int
	answer http.Header
	got    string

	// beyond says that what is wrong with the request is more than a schema
	// can say.
	beyond bool
}

// check returns the violations of the description: an unknown answer, a request that
// should have been refused, and one that should not have been.
func (c *contract) check(x exchange) error {
	u, err := url.Parse(x.path)
	if err != nil {
		return err
	}
	if x.method == http.MethodOptions && x.header.Get("Access-Control-Request-Method") != "" && x.status == http.StatusNoContent {
		if x.got != "" {
			return errors.New("the answer to a preflight has a body")
		}
		return nil
	}
	path, params := c.find(u.EscapedPath())
	item := c.doc.Paths.Value(path)
	method := x.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, known := c.operation(item, method)
	if op.Responses.Status(x.status) == nil {
		return fmt.Errorf("the status %d is not described", x.status)
	}
	req, err := http.NewRequest(method, "http://localhost"+x.path, strings.NewReader(x.body))
	if err != nil {
		return err
	}
	req.Header = x.header.Clone()
	input := &openapi3filter.RequestValidationInput{
		Request:    req,
		PathParams: params,
		Route:      &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: method, Operation: op},
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			SkipSettingDefaults:   true,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc, // 401 and 403 are its matter
		},
	}
	if known {
		wrong := openapi3filter.ValidateRequest(context.Background(), input)
		switch taken := x.status < 300 || x.status == http.StatusNotModified; {
		case taken && wrong != nil:
			return fmt.Errorf("this should have been refused: %w", wrong)
		case x.status == http.StatusBadRequest && wrong == nil && !x.beyond:
			return errors.New("this should not have been refused")
		}
	}
	if err := c.checkAnswer(x, input); err != nil {
		return err
	}
	c.saw(method + " " + path + " " + strconv.Itoa(x.status))
	return nil
}

func (c *contract) checkAnswer(x exchange, input *openapi3filter.RequestValidationInput) error {
	op := input.Route.Operation
	for name, header := range op.Responses.Status(x.status).Value.Headers {
		switch value := x.answer.Get(name); {
		case value == "" && header.Value.Required:
			return fmt.Errorf("the header %s is missing", name)
		case value != "":
			if err := header.Value.Schema.Value.VisitJSONString(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if x.status == http.StatusMethodNotAllowed {
		if want := c.allow(input.Route.PathItem); x.answer.Get("Allow") != want {
			return fmt.Errorf("Allow is %q, not %q", x.answer.Get("Allow"), want)
		}
	}
	if x.method == http.MethodHead || x.status == http.StatusNotModified {
		if x.got != "" {
			return errors.New("there is a body")
		}
		return nil
	}
	response := (&openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: x.status, Header: x.answer, Options: input.Options,
	}).SetBodyBytes([]byte(x.got))
	if err := openapi3filter.ValidateResponse(context.Background(), response); err != nil {
		return err
	}
	if x.status >= 400 {
		var failure struct{ Error string }
		if err := json.Unmarshal([]byte(x.got), &failure); err != nil {
			return err
		}
		c.saw("error " + failure.Error)
	}
	return nil
}

// find matches a path to one of the described, segment by segment.
func (c *contract) find(escaped string) (path string, params map[string]string) {
	segments := strings.Split(escaped, "/")
	// Those without parameters first: none of them has one's place here.
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(c.doc.Paths.Map()))) {
		params := map[string]string{}
		matches := slices.EqualFunc(strings.Split(path, "/"), segments, func(pattern, segment string) bool {
			name, isParam := strings.CutPrefix(pattern, "{")
			if !isParam {
				return pattern == segment
			}
			value, err := url.PathUnescape(segment)
			params[strings.TrimSuffix(name, "}")] = value
			return err == nil && value != ""
		})
		if matches {
			return path, params
		}
	}
	return "", nil
}

// operation is the description of a request. An unknown path or method has the answers
// that the description names for those.
func (c *contract) operation(item *openapi3.PathItem, method string) (op *openapi3.Operation, known bool) {
	status, name := http.StatusNotFound, "NotFound"
	if item != nil {
		if op := item.Operations()[method]; op != nil {
			return op, true
		}
		status, name = http.StatusMethodNotAllowed, "MethodNotAllowed"
	}
	op = openapi3.NewOperation()
	op.Responses = openapi3.NewResponses(
		openapi3.WithStatus(status, c.doc.Components.Responses[name]),
		openapi3.WithStatus(http.StatusForbidden, c.doc.Components.Responses["Forbidden"]),
	)
	return op, false
}

func (c *contract) allow(item *openapi3.PathItem) string {
	var names []string
	for name := range item.Operations() {
		if names = append(names, name); name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// The check finds each of these violations.
func TestTheContractCanBeBroken(t *testing.T) {
	c := loadContract()
	asJSON := http.Header{"Content-Type": {"application/json"}}
	good := exchange{
		method: "GET", path: "/api/online_users/count", header: http.Header{},
		status: 200, answer: asJSON, got: `{"users":1,"sockets":2}`,
	}
	emit := exchange{
		method: "POST", path: "/api/emit", header: asJSON, body: `{"event":"x"}`,
		status: 200, answer: asJSON, got: `{"ok":true}`,
	}
	for _, x := range []exchange{good, emit} {
		if err := c.check(x); err != nil {
			t.Fatal("a good exchange:", err)
		}
	}
	refusal := `{"error":"bad_to","message":"x"}`
	for name, broken := range map[string]func(x, e *exchange){
		"unknown status":        func(x, _ *exchange) { x.status = 201 },
		"unknown field":         func(x, _ *exchange) { x.got = `{"users":1,"sockets":2,"x":3}` },
		"missing field":         func(x, _ *exchange) { x.got = `{"users":1}` },
		"wrong type":            func(x, _ *exchange) { x.got = `{"users":"1","sockets":2}` },
		"negative":              func(x, _ *exchange) { x.got = `{"users":-1,"sockets":2}` },
		"not JSON":              func(x, _ *exchange) { x.got = `ok` },
		"said to be text":       func(x, _ *exchange) { x.answer = http.Header{"Content-Type": {"text/plain"}} },
		"body to HEAD":          func(x, _ *exchange) { x.method = "HEAD" },
		"no ETag":               func(x, _ *exchange) { x.path, x.got = "/api/online_users", `[]` },
		"no ETag with 304":      func(x, _ *exchange) { x.path, x.got, x.status = "/api/online_users", ``, 304 },
		"body with 304":         func(x, _ *exchange) { x.path, x.status, x.answer = "/api/openapi.json", 304, tag() },
		"unknown path taken":    func(x, _ *exchange) { x.path = "/api/nothing" },
		"unknown method taken":  func(x, _ *exchange) { x.method = "PUT" },
		"405 without Allow":     func(x, _ *exchange) { x.method, x.status, x.got = "PUT", 405, refusal },
		"unknown error":         func(x, _ *exchange) { x.status, x.got = 403, `{"error":"other","message":"x"}` },
		"error without message": func(x, _ *exchange) { x.status, x.got = 403, `{"error":"no_api_key"}` },
		"401 without challenge": func(_, e *exchange) { e.status, e.got = 401, refusal },
		"bad request taken":     func(_, e *exchange) { e.body = `{"event":"x","args":{}}` },
		"bad target taken":      func(_, e *exchange) { e.body = `{"event":"x","to":{"user":1,"room":"a"}}` },
		"unknown field taken":   func(_, e *exchange) { e.body = `{"event":"x","rooms":[]}` },
		"reserved name taken":   func(_, e *exchange) { e.body = `{"event":"disconnect"}` },
		"good request refused":  func(_, e *exchange) { e.status, e.got = 400, refusal },
		"preflight with a body": func(x, _ *exchange) {
			x.method, x.status, x.header = "OPTIONS", 204, http.Header{"Access-Control-Request-Method": {"GET"}}
		},
	} {
		x, e := good, emit
		broken(&x, &e)
		if c.check(x) == nil && c.check(e) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func tag() http.Header { return http.Header{"Etag": {`"x"`}} }

// The contract names what it has not seen.
func TestUnseen(t *testing.T) {
	c := loadContract()
	all := slices.Sorted(maps.Keys(c.described()))
	for _, what := range all[1:] {
		c.saw(what)
	}
	if got := c.unseen(); len(all) < 40 || !slices.Equal(got, all[:1]) {
		t.Errorf("of %d: got %q, want %q", len(all), got, all[0])
	}
}

// The file is served unchanged.
func TestDescription(t *testing.T) {
	s := serve(t, Options{})
	x := s.ask("GET", "/api/openapi.json")
	if !bytes.Equal([]byte(x.got), openapi) {
		t.Error("it is not the file")
	}
	s.want(s.ask("GET", "/api/openapi.json", "If-None-Match", x.answer.Get("ETag")), 304, "")
}
