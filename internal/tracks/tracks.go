// Package tracks knows which tracks there are to race on: it asks the Rails app
// for them, again and again, and keeps the last good list. What a race is, it
// does not know; that is the business of rooms.
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
)

// Options configures Tracks. The zero value of a field means its default.
type Options struct {
	// URL is the Rails app's, such as https://app.example.com, with user and
	// password if it asks for them. Empty: there are no tracks.
	URL string
	// Every is the pause after a good answer, and the longest one after a bad
	// one. Default 5 minutes.
	Every time.Duration
	// Retry is the pause after the first bad answer; it doubles with each
	// further one. Default 2 seconds.
	Retry time.Duration
	// Timeout bounds one question and its whole answer. Default 10 seconds.
	Timeout time.Duration
	// Log hears when tracks become known and when they cannot be had. Default:
	// nobody.
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
	url    *url.URL      // nil: there are none
	user   *url.Userinfo // nil: nobody has to be named
	client *http.Client
	// fetch asks once. Tests of the pauses put theirs in its place.
	fetch func(context.Context) ([]json.RawMessage, error)
	ids   atomic.Pointer[[]json.RawMessage]
}

// New makes an empty list; Run fills it. An error says what is wrong with the
// URL, and does not show it.
func New(opts Options) (*Tracks, error) {
	t := &Tracks{opts: opts.withDefaults()}
	if opts.URL == "" {
		return t, nil
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the tracks' URL is not an http or https URL")
	}
	// From here on the URL may be shown: user and password go separately.
	t.user, u.User = u.User, nil
	t.url = u.JoinPath("api", "tracks")
	t.client = newClient()
	t.fetch = t.ask
	return t, nil
}

// IDs returns the ids of the known tracks as JSON values, strings or numbers,
// byte for byte as the Rails app wrote them. The list is shared: it must not be
// changed.
func (t *Tracks) IDs() []json.RawMessage {
	if ids := t.ids.Load(); ids != nil {
		return *ids
	}
	return nil
}

// Run keeps the list up to date until ctx ends. Without a URL it returns at
// once.
func (t *Tracks) Run(ctx context.Context) {
	if t.fetch == nil {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	known, failures := false, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		ids, err := t.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return // what failed is the end, not the Rails app
		case err != nil:
			if failures++; failures == 1 {
				t.opts.Log.Warn("cannot get the tracks", "url", t.shown(), "error", err, "kept", len(t.IDs()))
			}
			known = false
		default:
			t.ids.Store(&ids)
			if !known {
				t.opts.Log.Info("got the tracks", "url", t.shown(), "tracks", len(ids))
			}
			known, failures = true, 0
		}
		timer.Reset(t.pause(failures))
	}
}

// pause is how long to wait after so many failures in a row.
func (t *Tracks) pause(failures int) time.Duration {
	if failures == 0 {
		return t.opts.Every
	}
	pause := t.opts.Retry
	for range failures - 1 {
		if pause >= t.opts.Every {
			break
		}
		pause *= 2
	}
	return min(pause, t.opts.Every)
}

// shown is the URL for logs.
func (t *Tracks) shown() string {
	if t.url == nil {
		return ""
	}
	return t.url.String()
}
