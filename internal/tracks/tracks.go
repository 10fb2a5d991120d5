// Package tracks fetches the list of race tracks from the Rails app from time to time
// and keeps the last valid one. It knows nothing of races: see rooms.
package tracks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"rollcall/internal/retry"
)

const (
	every          = 5 * time.Minute  // the pause after a success, and the longest one after a failure
	firstRetry     = 2 * time.Second  // the pause after the first failure; it doubles with each further one
	requestTimeout = 10 * time.Second // for one request and its answer
)

// Tracks is the list of tracks. IDs is safe for concurrent use; Run is called
// once.
type Tracks struct {
	log                   *slog.Logger
	every, retry, timeout time.Duration
	url                   *url.URL      // without user and password, so that it may be logged
	user                  *url.Userinfo // nil: without credentials
	client                *http.Client
	// fetch does one request; nil: there are no tracks. Tests replace it.
	fetch func(context.Context) ([]json.RawMessage, error)
	ids   atomic.Value // []json.RawMessage, once known
}

// New makes an empty list, which Run fills from the Rails app at a URL such as
// https://app.example.com, with user and password if it needs them; without a URL there
// are no tracks. log gets a line when the list becomes known and when it cannot be
// fetched. An error does not contain the URL.
func New(rails string, log *slog.Logger) (*Tracks, error) {
	t := &Tracks{log: log, every: every, retry: firstRetry, timeout: requestTimeout, client: newClient()}
	if rails == "" {
		return t, nil
	}
	u, err := url.Parse(rails)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the tracks' URL is not an http or https URL")
	}
	t.user, u.User = u.User, nil
	t.url = u.JoinPath("api", "tracks")
	t.fetch = t.ask
	return t, nil
}

// IDs returns the ids of the known tracks as JSON values, strings or numbers,
// byte for byte as the Rails app wrote them. The caller must not change the list.
func (t *Tracks) IDs() []json.RawMessage {
	ids, _ := t.ids.Load().([]json.RawMessage)
	return ids
}

// Run keeps the list up to date until ctx ends. Without a URL it returns at once.
func (t *Tracks) Run(ctx context.Context) {
	if t.fetch == nil {
		return
	}
	backoff := retry.Backoff{First: t.retry, Max: t.every}
	known, failing := false, false
	for ctx.Err() == nil {
		ids, err := t.fetch(ctx)
		pause := t.every
		switch {
		case ctx.Err() != nil:
			return // the request failed because ctx ended
		case err != nil:
			if !failing {
				t.log.Warn("cannot get the tracks", "url", t.url.String(), "error", err, "kept", len(t.IDs()))
			}
			known, failing = false, true
			pause = backoff.Next()
		default:
			t.ids.Store(ids)
			if !known {
				t.log.Info("got the tracks", "url", t.url.String(), "tracks", len(ids))
			}
			known, failing = true, false
			backoff.Reset()
		}
		retry.Sleep(ctx, pause)
	}
}

// Bounds of an answer. A larger one is rejected as a whole.
const (
	maxBytes     = 1 << 20
	maxTracks    = 10_000
	maxRedirects = 5
)

// newClient makes a client that keeps no connection between two requests and uses no
// proxy from the environment.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			from := via[0].URL
			switch {
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case to.URL.Host != from.Host:
				return errors.New("redirected to another host")
			case from.Scheme == "https" && to.URL.Scheme != "https":
				return errors.New("redirected to where nothing is encrypted")
			}
			return nil
		},
	}
}

// ask fetches the tracks once.
func (t *Tracks) ask(ctx context.Context) ([]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "rollcall")
	if t.user != nil {
		password, _ := t.user.Password()
		req.SetBasicAuth(t.user.Username(), password)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, t.explain(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBytes+1))
	if err != nil {
		return nil, t.explain(err)
	}
	return parse(body)
}

// explain removes the URL from an error: that of a redirect may contain a secret.
func (t *Tracks) explain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no complete answer within %v", t.timeout)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// parse reads the ids of an array of objects. It returns at least one id, or an error.
func parse(body []byte) ([]json.RawMessage, error) {
	if len(body) > maxBytes {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxBytes)
	}
	var elements []json.RawMessage
	switch {
	case !utf8.Valid(body) || !json.Valid(body):
		return nil, errors.New("the answer is not JSON")
	case json.Unmarshal(body, &elements) != nil:
		return nil, errors.New("the answer is not an array")
	case len(elements) > maxTracks:
		return nil, fmt.Errorf("the answer has more than %d tracks", maxTracks)
	}
	ids := make([]json.RawMessage, 0, len(elements))
	for _, element := range elements {
		// A struct would also match "ID".
		var track map[string]json.RawMessage
		if json.Unmarshal(element, &track) != nil {
			continue
		}
		if id := track["id"]; isID(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("the answer has no track with an id")
	}
	return ids, nil
}

// isID reports whether a JSON value is a string or a number.
func isID(value json.RawMessage) bool {
	return len(value) > 0 && (value[0] == '"' || value[0] == '-' || '0' <= value[0] && value[0] <= '9')
}
