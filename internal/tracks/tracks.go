// Package tracks fetches the list of race tracks from the Rails app from time to time
// and keeps the last valid one. It knows nothing of races: see rooms.
package tracks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"rollcall/internal/retry"
)

// Options configures Tracks. The zero value of a field means its default.
type Options struct {
	// URL is the Rails app's, such as https://app.example.com, with user and password
	// if it needs them. Empty: there are no tracks.
	URL string
	// Every is the pause after a success, and the longest one after a failure.
	// Default: 5 minutes.
	Every time.Duration
	// Retry is the pause after the first failure; it doubles with each further one.
	// Default: 2 seconds.
	Retry time.Duration
	// Timeout bounds one request and its answer. Default: 10 seconds.
	Timeout time.Duration
	// Log gets a line when the list becomes known and when it cannot be fetched.
	// Default: no log.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Every == 0 {
		o.Every = 5 * time.Minute
	}
	if o.Retry == 0 {
		o.Retry = 2 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Tracks is the list of tracks. IDs is safe for concurrent use; Run is called
// once.
type Tracks struct {
	opts   Options
	url    *url.URL      // nil: there are no tracks
	user   *url.Userinfo // nil: without credentials
	client *http.Client
	// fetch does one request. Tests replace it.
	fetch func(context.Context) ([]json.RawMessage, error)
	ids   atomic.Pointer[[]json.RawMessage]
}

// New makes an empty list, which Run fills. An error does not contain the URL.
func New(opts Options) (*Tracks, error) {
	t := &Tracks{opts: opts.withDefaults()}
	if opts.URL == "" {
		return t, nil
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the tracks' URL is not an http or https URL")
	}
	// Without user and password the URL may be logged.
	t.user, u.User = u.User, nil
	t.url = u.JoinPath("api", "tracks")
	t.client = newClient()
	t.fetch = t.ask
	return t, nil
}

// IDs returns the ids of the known tracks as JSON values, strings or numbers,
// byte for byte as the Rails app wrote them. The caller must not change the list.
func (t *Tracks) IDs() []json.RawMessage {
	if ids := t.ids.Load(); ids != nil {
		return *ids
	}
	return nil
}

// Run keeps the list up to date until ctx ends. Without a URL it returns at once.
func (t *Tracks) Run(ctx context.Context) {
	if t.fetch == nil {
		return
	}
	backoff := retry.Backoff{First: t.opts.Retry, Max: t.opts.Every}
	known, failing := false, false
	for ctx.Err() == nil {
		ids, err := t.fetch(ctx)
		pause := t.opts.Every
		switch {
		case ctx.Err() != nil:
			return // the request failed because ctx ended
		case err != nil:
			if !failing {
				t.opts.Log.Warn("cannot get the tracks", "url", t.shown(), "error", err, "kept", len(t.IDs()))
			}
			known, failing = false, true
			pause = backoff.Next()
		default:
			t.ids.Store(&ids)
			if !known {
				t.opts.Log.Info("got the tracks", "url", t.shown(), "tracks", len(ids))
			}
			known, failing = true, false
			backoff.Reset()
		}
		retry.Sleep(ctx, pause)
	}
}

// shown is the URL for logs.
func (t *Tracks) shown() string {
	if t.url == nil {
		return ""
	}
	return t.url.String()
}
