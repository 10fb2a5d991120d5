package tracks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"unicode/utf8"
)

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
	ctx, cancel := context.WithTimeout(ctx, t.opts.Timeout)
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
		return fmt.Errorf("no complete answer within %v", t.opts.Timeout)
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
	return len(value) > 0 && (value[0] == '"' || value[0] == '-' || bytes.IndexByte([]byte("0123456789"), value[0]) >= 0)
}
